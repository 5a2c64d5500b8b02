//! From runs to figures: the best and the median of each cell.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use crate::record::{Environment, Line, Measure, Run};
use crate::servers::{Kind, SERVERS, Server};

/// All runs, by column and server.
#[derive(Debug, Default)]
pub struct Summary {
    pub environments: Vec<Environment>,
    /// Which of them each column was last measured in.
    measured_in: BTreeMap<String, usize>,
    cells: BTreeMap<(String, String), Vec<Run>>,
}

/// The runs of one server in one column.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'a> {
    runs: &'a [Run],
}

impl Summary {
    pub fn new(lines: Vec<Line>) -> Self {
        let mut summary = Self::default();
        for line in lines {
            match line {
                Line::Environment(environment) => summary.environments.push(environment),
                Line::Run(run) => {
                    let last = summary.environments.len().saturating_sub(1);
                    summary.measured_in.insert(run.column.clone(), last);
                    summary.cells.entry((run.column.clone(), run.server.clone())).or_default().push(run);
                }
            }
        }
        // One run that was left alone is worth more than any number that were not.
        for runs in summary.cells.values_mut() {
            if runs.iter().any(|run| !run.disturbed) {
                runs.retain(|run| !run.disturbed);
            }
        }
        summary
    }

    pub fn cell(&self, column: &str, server: &str) -> Option<Cell<'_>> {
        let runs = self.cells.get(&(column.to_owned(), server.to_owned()))?;
        Some(Cell { runs })
    }

    /// What a column was measured in.
    pub fn environment(&self, column: &str) -> Option<&Environment> {
        self.environments.get(*self.measured_in.get(column)?)
    }

    /// The peer with the least median of CPU time for a message.
    pub fn best_peer(&self, column: &str) -> Option<(&'static Server, f64)> {
        let peers = SERVERS.iter().filter(|server| server.kind == Kind::Peer);
        let medians = peers.filter_map(|peer| Some((peer, self.cell(column, peer.name)?.median(Measure::cpu_us))));
        medians.min_by(|a, b| a.1.total_cmp(&b.1))
    }

    pub fn has(&self, column: &str) -> bool {
        self.cells.keys().any(|(name, _)| name == column)
    }
}

impl<'a> Cell<'a> {
    /// Every run was disturbed.
    pub fn is_disturbed(&self) -> bool {
        self.runs[0].disturbed
    }

    pub fn median(&self, figure: impl Fn(&Measure) -> f64) -> f64 {
        let figures = self.sorted(figure);
        let middle = figures.len() / 2;
        if figures.len() % 2 == 1 { figures[middle] } else { (figures[middle - 1] + figures[middle]) / 2.0 }
    }

    pub fn least(&self, figure: impl Fn(&Measure) -> f64) -> f64 {
        self.sorted(figure)[0]
    }

    pub fn most(&self, figure: impl Fn(&Measure) -> f64) -> f64 {
        self.sorted(figure)[self.runs.len() - 1]
    }

    pub fn extensions(&self) -> Option<&'a str> {
        self.runs[0].measure.extensions.as_deref()
    }

    fn sorted(&self, figure: impl Fn(&Measure) -> f64) -> Vec<f64> {
        let mut figures: Vec<f64> = self.runs.iter().map(|run| figure(&run.measure)).collect();
        figures.sort_unstable_by(f64::total_cmp);
        figures
    }
}

/// The lines of raw results.
pub fn read(path: &Path) -> Result<Vec<Line>, Box<dyn Error>> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(cpu: u64, disturbed: bool) -> Line {
        let measure = format!(
            r#"{{"messages":1,"wall_ns":1,"server_cpu_ns":{cpu},"load_cpu_ns":0,"server_wait_ns":0,"load_wait_ns":0,
                "steal_ns":0,"answer_bytes":0,"idle_bytes":0,"used_bytes":0}}"#
        );
        let measure = serde_json::from_str(&measure).unwrap();
        Line::Run(Run { column: "a".into(), server: "ours".into(), round: 0, disturbed, measure })
    }

    #[test]
    fn disturbed_runs_count_only_where_there_are_no_others() {
        let summary = Summary::new(vec![run(1000, true), run(2000, false), run(4000, false), run(9000, true)]);
        let cell = summary.cell("a", "ours").unwrap();
        assert!(!cell.is_disturbed());
        assert_eq!((cell.least(Measure::cpu_us), cell.median(Measure::cpu_us)), (2.0, 3.0));
        let summary = Summary::new(vec![run(9000, true), run(1000, true), run(2000, true)]);
        let cell = summary.cell("a", "ours").unwrap();
        assert!(cell.is_disturbed());
        assert_eq!(cell.median(Measure::cpu_us), 2.0);
    }

    #[test]
    fn the_best_peer_is_neither_ours_nor_without_a_protocol() {
        let of = |server: &str, cpu| match run(cpu, false) {
            Line::Run(run) => Line::Run(Run { server: server.into(), ..run }),
            environment => environment,
        };
        let lines = vec![of("raw-epoll", 1000), of("ours", 2000), of("yawc", 5000), of("uWebSockets", 4000)];
        let summary = Summary::new(lines);
        assert_eq!(summary.best_peer("a").map(|(peer, cpu)| (peer.name, cpu)), Some(("uWebSockets", 4.0)));
        assert!(summary.best_peer("b").is_none());
    }

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let text = serde_json::to_string(&run(1000, false)).unwrap();
        assert_eq!(serde_json::to_string(&serde_json::from_str::<Line>(&text).unwrap()).unwrap(), text);
    }
}
