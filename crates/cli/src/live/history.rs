//! Lines that are kept for whoever comes, and the queues of those who are there. Both are bounded, in bytes.

use core::mem;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use serde_json::json;
use tokio::sync::Notify;

use crate::view::json_line;

/// One line, and which part of its connection it is.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) connection: Option<u64>,
    pub(super) stage: Stage,
    pub(super) line: Arc<str>,
}

/// What a line is for its connection: the first, the last, or one between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Opens,
    Goes,
    Ends,
}

/// What is kept, and who is told of what comes.
pub(super) struct History {
    bound: usize,
    queue: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: VecDeque<Entry>,
    bytes: usize,
    forgotten: u64,
    /// The first lines, forgotten otherwise, of connections of which later ones are kept.
    openings: BTreeMap<u64, Arc<str>>,
    feeds: Vec<Weak<Queue>>,
}

/// Lines that wait for one page.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    has_come: Notify,
}

#[derive(Default)]
struct Waiting {
    lines: VecDeque<Arc<str>>,
    bytes: usize,
    /// Lines that found no room, since the last one that did.
    missed: u64,
}

/// What an entry takes beside its line.
const ENTRY: usize = size_of::<Entry>();
/// As much goes into a message, if a line is not larger by itself.
const BATCH: usize = 256 << 10;

impl History {
    /// One that keeps `bound` bytes, and lets `queue` bytes wait for each page.
    pub(super) fn new(bound: usize, queue: usize) -> Self {
        Self { bound, queue, state: Mutex::default() }
    }

    /// Takes lines, and leaves none.
    pub(super) fn publish(&self, lines: &mut Vec<Entry>) {
        if lines.is_empty() {
            return;
        }
        let mut state = lock(&self.state);
        state.feeds.retain(|feed| feed.upgrade().map(|feed| feed.push(lines, self.queue)).is_some());
        for entry in lines.drain(..) {
            state.bytes += ENTRY + entry.line.len();
            state.entries.push_back(entry);
        }
        while state.bytes > self.bound {
            let Some(Entry { connection, stage, line }) = state.entries.pop_front() else { break };
            state.bytes -= ENTRY + line.len();
            state.forgotten += 1;
            match (stage, connection) {
                (Stage::Opens, Some(connection)) => drop(state.openings.insert(connection, line)),
                (Stage::Ends, Some(connection)) => drop(state.openings.remove(&connection)),
                _ => {}
            }
        }
    }

    /// What a page is told: a greeting, what is kept, and from then on all that comes.
    pub(super) fn join(&self, hello: String) -> Feed {
        let mut state = lock(&self.state);
        let mut lines = VecDeque::from([hello.into()]);
        // The first lines that are kept apart are not forgotten.
        let forgotten = state.forgotten - state.openings.len() as u64;
        if forgotten > 0 {
            lines.push_back(json_line(&[("record", json!("forgotten")), ("records", json!(forgotten))]).into());
        }
        lines.extend(state.openings.values().cloned());
        lines.extend(state.entries.iter().map(|entry| Arc::clone(&entry.line)));
        lines.push_back(json_line(&[("record", json!("live"))]).into());
        let queue = Arc::new(Queue::default());
        // Those that have gone, too, where nothing comes that would tell.
        state.feeds.retain(|feed| feed.strong_count() > 0);
        state.feeds.push(Arc::downgrade(&queue));
        Feed { kept: lines, queue }
    }
}

impl Queue {
    /// Takes what finds room, and counts the rest.
    fn push(&self, lines: &[Entry], bound: usize) {
        let mut waiting = lock(&self.waiting);
        for Entry { line, .. } in lines {
            // Where one is missing all are that come behind it, until the page has taken what is here.
            if waiting.missed > 0 || waiting.bytes + line.len() > bound {
                waiting.missed += 1;
            } else {
                waiting.bytes += line.len();
                waiting.lines.push_back(Arc::clone(line));
            }
        }
        drop(waiting);
        self.has_come.notify_one();
    }

    /// What waits, as much as goes into a message; behind the last of it how many are missing.
    fn take(&self) -> Option<String> {
        let mut waiting = lock(&self.waiting);
        let mut batch = batch(&mut waiting.lines);
        waiting.bytes -= batch.iter().map(|line| line.len()).sum::<usize>();
        if waiting.lines.is_empty() && waiting.missed > 0 {
            let missed = mem::take(&mut waiting.missed);
            batch.push(json_line(&[("record", json!("missed")), ("records", json!(missed))]).into());
        }
        (!batch.is_empty()).then(|| batch.join("\n"))
    }
}

/// What one page is still to be told.
pub(super) struct Feed {
    kept: VecDeque<Arc<str>>,
    queue: Arc<Queue>,
}

impl Feed {
    /// Waits for the next lines.
    ///
    /// Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> String {
        if !self.kept.is_empty() {
            return batch(&mut self.kept).join("\n");
        }
        loop {
            if let Some(lines) = self.queue.take() {
                return lines;
            }
            self.queue.has_come.notified().await;
        }
    }
}

fn batch(lines: &mut VecDeque<Arc<str>>) -> Vec<Arc<str>> {
    let mut bytes = 0;
    let fit = lines.iter().take_while(|line| {
        bytes += line.len();
        bytes <= BATCH
    });
    let fit = fit.count().max(1).min(lines.len());
    lines.drain(..fit).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(connection: u64, stage: Stage, line: &str) -> Entry {
        Entry { connection: Some(connection), stage, line: line.into() }
    }

    fn goes(line: &str) -> Entry {
        entry(1, Stage::Goes, line)
    }

    async fn kept(history: &History) -> Vec<String> {
        let mut feed = history.join("hello".into());
        let mut lines = Vec::new();
        while !feed.kept.is_empty() {
            lines.extend(feed.next().await.lines().map(str::to_owned));
        }
        lines
    }

    #[tokio::test]
    async fn whoever_comes_gets_what_is_kept_and_from_then_on_what_comes() {
        let history = History::new(1 << 10, 1 << 10);
        history.publish(&mut vec![goes("a"), goes("b")]);
        let mut feed = history.join("hello".into());
        history.publish(&mut vec![goes("c")]);
        history.publish(&mut vec![goes("d")]);
        assert_eq!(feed.next().await, "hello\na\nb\n{\"record\":\"live\"}");
        assert_eq!(feed.next().await, "c\nd");
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded_and_what_is_forgotten_counted() {
        let history = History::new(3 * (ENTRY + 1), 1 << 10);
        for line in ["a", "b", "c", "d", "e"] {
            history.publish(&mut vec![goes(line)]);
        }
        let forgotten = r#"{"record":"forgotten","records":2}"#;
        assert_eq!(kept(&history).await, ["hello", forgotten, "c", "d", "e", r#"{"record":"live"}"#]);
    }

    #[tokio::test]
    async fn of_a_connection_that_is_still_shown_the_first_line_is_never_forgotten() {
        let history = History::new(2 * (ENTRY + 1), 1 << 10);
        history.publish(&mut vec![entry(7, Stage::Opens, "A"), entry(7, Stage::Goes, "b"), entry(7, Stage::Goes, "c")]);
        assert_eq!(kept(&history).await, ["hello", "A", "b", "c", r#"{"record":"live"}"#]);
        history.publish(&mut vec![entry(7, Stage::Ends, "D"), entry(8, Stage::Opens, "E")]);
        let forgotten = |number: u64| format!("{{\"record\":\"forgotten\",\"records\":{number}}}");
        assert_eq!(kept(&history).await, ["hello", &forgotten(2), "A", "D", "E", r#"{"record":"live"}"#]);
        // With the last line of it the first one goes.
        history.publish(&mut vec![entry(8, Stage::Goes, "f")]);
        assert_eq!(kept(&history).await, ["hello", &forgotten(4), "E", "f", r#"{"record":"live"}"#]);
    }

    #[tokio::test]
    async fn a_page_that_takes_nothing_loses_lines_is_told_how_many_and_goes_on_behind_them() {
        let history = History::new(1 << 10, 3);
        let mut feed = history.join("hello".into());
        feed.next().await;
        history.publish(&mut vec![goes("a"), goes("bb"), goes("c"), goes("d")]);
        history.publish(&mut vec![goes("e")]);
        assert_eq!(feed.next().await, "a\nbb\n{\"record\":\"missed\",\"records\":3}");
        history.publish(&mut vec![goes("f")]);
        assert_eq!(feed.next().await, "f");
    }

    #[tokio::test]
    async fn many_lines_go_into_several_messages_and_a_large_one_into_its_own() {
        let history = History::new(1 << 24, 1 << 24);
        let mut feed = history.join("hello".into());
        feed.next().await;
        let (large, small) = ("l".repeat(BATCH + 1), "s".repeat(BATCH / 2));
        history.publish(&mut vec![goes(&large), goes(&small), goes(&small), goes("x")]);
        let sizes = [feed.next().await.len(), feed.next().await.len(), feed.next().await.len()];
        assert_eq!(sizes, [BATCH + 1, BATCH + 1, 1]);
    }

    #[test]
    fn pages_that_have_gone_are_not_fed() {
        let history = History::new(1 << 10, 1 << 10);
        drop(history.join("hello".into()));
        history.publish(&mut vec![goes("a")]);
        assert!(lock(&history.state).feeds.is_empty());
    }
}
