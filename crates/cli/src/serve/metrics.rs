//! `/metrics`: what the library counts, in Prometheus' text format.
//!
//! A recorder of our own, as counters and gauges are all there is: the ready-made exporter brings 36 crates along.

use core::fmt::Write as _;
use core::sync::atomic::{AtomicU64, Ordering};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

/// All numbers, by name and labels.
#[derive(Clone, Default)]
pub(super) struct Numbers(Arc<Mutex<BTreeMap<String, Family>>>);

/// The numbers of one name.
#[derive(Default)]
struct Family {
    help: String,
    is_gauge: bool,
    /// By labels, as they are written: `{code="1000"}`.
    series: BTreeMap<String, Arc<AtomicU64>>,
}

impl Numbers {
    /// Counts from now on, for the whole process. It can be done once.
    pub(super) fn install() -> Option<Self> {
        let numbers = Self::default();
        metrics::set_global_recorder(numbers.clone()).ok().map(|()| numbers)
    }

    /// The text format, version 0.0.4.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (name, Family { help, is_gauge, series }) in &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            let kind = if *is_gauge { "gauge" } else { "counter" };
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (labels, number) in series {
                let number = number.load(Ordering::Relaxed);
                let _ = match is_gauge {
                    true => writeln!(text, "{name}{labels} {}", f64::from_bits(number)),
                    false => writeln!(text, "{name}{labels} {number}"),
                };
            }
        }
        text
    }

    fn with_family<T>(&self, name: &str, change: impl FnOnce(&mut Family) -> T) -> T {
        let mut families = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(families.entry(name.to_owned()).or_default())
    }

    fn describe(&self, name: &KeyName, help: &SharedString, is_gauge: bool) {
        self.with_family(name.as_str(), |family| {
            *family = Family { help: help.to_string(), is_gauge, series: core::mem::take(&mut family.series) };
        });
    }

    fn number(&self, key: &Key) -> Arc<AtomicU64> {
        self.with_family(key.name(), |family| Arc::clone(family.series.entry(labels(key)).or_default()))
    }
}

fn labels(key: &Key) -> String {
    let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let labels: Vec<_> = key.labels().map(|label| format!("{}=\"{}\"", label.key(), escaped(label.value()))).collect();
    if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) }
}

impl Recorder for Numbers {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&name, &help, false);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&name, &help, true);
    }

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.number(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.number(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        // The library has none.
        Histogram::noop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_and_gauges_are_written_by_name_and_label() {
        let numbers = Numbers::default();
        metrics::with_local_recorder(&numbers, || {
            metrics::describe_counter!("b_total", "Things that were counted");
            metrics::describe_gauge!("a", "How much there is");
            metrics::counter!("b_total", "code" => "1000").increment(2);
            metrics::counter!("b_total", "code" => "1000").increment(1);
            metrics::counter!("b_total", "code" => "a \"quoted\"\nline \\").increment(1);
            metrics::gauge!("a").increment(2.5);
            metrics::gauge!("a").decrement(1.0);
        });
        assert_eq!(
            numbers.text(),
            "# HELP a How much there is\n# TYPE a gauge\na 1.5\n\
             # HELP b_total Things that were counted\n# TYPE b_total counter\n\
             b_total{code=\"1000\"} 3\nb_total{code=\"a \\\"quoted\\\"\\nline \\\\\"} 1\n"
        );
    }
}
