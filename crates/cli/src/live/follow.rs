//! From what a watch is told to lines of JSON: each connection in a conversation of its own.

use core::{iter, mem};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sockeye::Role;
use sockeye::tap::{self, Begins, Ends, Event, Watch, What};
use sockeye_dissect::{Conversation, Record, render};
use sockeye_traffic::Ending;
use tokio::sync::Semaphore;

use super::history::{Entry, History, Stage};
use crate::view::{json_line, nanos};

/// So long things are gathered before they are shown: a few frames of a screen, and a wake-up for many of a busy server's.
const GATHERED: Duration = Duration::from_millis(20);
/// So much is taken apart at once: 512 of the smallest frames, whose lines have a thousand times the bytes.
const PIECE: usize = 1 << 10;
/// After so many bytes, of lines and of what they are made of, others have a turn: it is the connections' threads that this
/// runs on.
const TURN: usize = 64 << 10;
/// Of a payload so much is kept, and of an inflated message: what a record shows.
const MOST_KEPT: usize = 64 << 10;
/// However many connections there are, so much is; and no more than this by all of them, beyond that.
const LEAST_KEPT: usize = 4 << 10;
const KEPT_IN_ALL: usize = 16 << 20;

/// Follows what a watch is told, into a history, until there is nothing to watch any more. Of those who share `turns` as
/// many work at a time as it has permits.
pub(super) async fn follow(
    mut watch: Watch,
    history: Arc<History>,
    turns: Arc<Semaphore>,
    most: usize,
    started: Instant,
) {
    let mut connections = Connections { most, started, open: HashMap::new(), left_out: 0 };
    let mut lines = Vec::new();
    while watch.gather(GATHERED).await {
        let mut permit = turns.acquire().await;
        let mut turn = 0;
        while let Some(event) = watch.try_recv() {
            for event in pieces(event) {
                let before = lines.len();
                turn += size(&event);
                connections.take(event, &mut lines);
                turn += lines[before..].iter().map(|entry| entry.line.len()).sum::<usize>();
                if turn >= TURN {
                    turn = 0;
                    history.publish(&mut lines);
                    drop(permit);
                    tokio::task::yield_now().await;
                    permit = turns.acquire().await;
                }
            }
        }
        drop(permit);
        connections.tell_left_out(&mut lines);
        history.publish(&mut lines);
    }
}

fn size(event: &Event) -> usize {
    let bytes = if let What::Bytes { bytes, .. } = &event.what { bytes.len() } else { 0 };
    size_of::<Event>() + bytes
}

/// The same in pieces that are small enough to be taken apart at once.
fn pieces(event: Event) -> impl Iterator<Item = Event> {
    let mut rest = Some(event);
    iter::from_fn(move || {
        let Event { connection, time, what } = rest.take()?;
        let what = match what {
            What::Bytes { from, mut bytes } if bytes.len() > PIECE => {
                let piece = bytes.split_to(PIECE);
                rest = Some(Event { connection, time, what: What::Bytes { from, bytes } });
                What::Bytes { from, bytes: piece }
            }
            what => what,
        };
        Some(Event { connection, time, what })
    })
}

/// The connections that are open and followed.
struct Connections {
    most: usize,
    started: Instant,
    open: HashMap<u64, Conversation>,
    /// Those that are open and not followed, since that was last told.
    left_out: u64,
}

impl Connections {
    /// Takes what has happened.
    fn take(&mut self, event: Event, lines: &mut Vec<Entry>) {
        let Event { connection: number, time, what } = event;
        let time = time.saturating_duration_since(self.started);
        let mut entry = |stage, line: String| lines.push(Entry { connection: Some(number), stage, line: line.into() });
        match what {
            What::Opened(ends) => {
                if self.open.len() >= self.most {
                    self.left_out += 1;
                    return;
                }
                entry(Stage::Opens, opened(number, time, &ends));
                let conversation = match ends.begins {
                    Begins::Handshake => Conversation::new(),
                    Begins::Frames(compression) => Conversation::opened(compression),
                };
                let kept = (KEPT_IN_ALL / (self.open.len() + 1)).clamp(LEAST_KEPT, MOST_KEPT);
                self.open.insert(number, conversation.numbered(number).keeping(kept));
            }
            What::Bytes { from, bytes } => {
                if let Some(conversation) = self.open.get_mut(&number) {
                    conversation.push(from, time, &bytes).iter().for_each(|record| entry(Stage::Goes, line(record)));
                }
            }
            What::Missing { from, bytes } => {
                if let Some(conversation) = self.open.get_mut(&number) {
                    entry(Stage::Goes, missed(number, time, from, bytes));
                    conversation.skip(from, time, bytes).iter().for_each(|record| entry(Stage::Goes, line(record)));
                }
            }
            What::Ended(ending) => {
                if let Some(mut conversation) = self.open.remove(&number) {
                    conversation.finish().iter().for_each(|record| entry(Stage::Goes, line(record)));
                    entry(Stage::Ends, closed(number, time, ending));
                }
            }
        }
    }

    /// Says how many connections are left out, if there are any.
    fn tell_left_out(&mut self, lines: &mut Vec<Entry>) {
        let left_out = mem::take(&mut self.left_out);
        if left_out > 0 {
            let line = json_line(&[("record", json!("missed")), ("connections", json!(left_out))]).into();
            lines.push(Entry { connection: None, stage: Stage::Goes, line });
        }
    }
}

/// A record as `sockeye inspect --format json` writes it.
fn line(record: &Record) -> String {
    let mut line = Vec::new();
    render::json::write(record, &mut line).expect("a Vec takes everything");
    line.pop();
    String::from_utf8(line).expect("JSON is UTF-8")
}

fn opened(number: u64, time: Duration, ends: &Ends) -> String {
    let Ends { client, server, target, begins } = ends;
    let (begins, compression) = match begins {
        Begins::Handshake => ("handshake", None),
        Begins::Frames(compression) => ("frames", compression.map(render::json::compression)),
    };
    let own = [
        ("client", json!(client)),
        ("server", json!(server)),
        ("target", json!(target)),
        ("begins", json!(begins)),
        ("compression", json!(compression)),
    ];
    of_connection("opened", number, time, own)
}

fn missed(number: u64, time: Duration, from: Role, bytes: u64) -> String {
    of_connection("missed", number, time, [("from", json!(from.to_string())), ("bytes", json!(bytes))])
}

fn closed(number: u64, time: Duration, ending: tap::Ending) -> String {
    let ending = match ending {
        tap::Ending::Closed(by) => Ending::Closed(by),
        tap::Ending::Reset(by) => Ending::Reset(Some(by)),
        tap::Ending::Failed(why) => Ending::Failed(why),
    };
    of_connection("closed", number, time, [("ending", json!(ending.to_string()))])
}

fn of_connection<const N: usize>(record: &str, number: u64, time: Duration, own: [(&'static str, Value); N]) -> String {
    let all = [("record", json!(record)), ("connection", json!(number)), ("time_ns", nanos(time))];
    json_line(&all.into_iter().chain(own).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use sockeye::Tap;

    use super::*;

    fn ends() -> Ends {
        Ends { begins: Begins::Frames(None), ..Ends::default() }
    }

    /// The records of all lines that were made of what a tap was told, in their order.
    async fn followed(capacity: usize, most: usize, tell: impl FnOnce(Tap)) -> Vec<Value> {
        let (tap, watch) = Tap::new(capacity);
        let history = Arc::new(History::new(1 << 30, 1 << 30));
        tell(tap);
        follow(watch, Arc::clone(&history), Arc::new(Semaphore::new(1)), most, Instant::now()).await;
        let mut feed = history.join("null".into());
        let mut lines: Vec<Value> = Vec::new();
        while lines.last().is_none_or(|line| line["record"] != "live") {
            lines.extend(feed.next().await.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
        }
        lines[1..lines.len() - 1].to_vec()
    }

    #[tokio::test]
    async fn frames_are_the_same_however_many_come_at_once() {
        let lines = followed(1 << 24, 1, |tap| {
            let mut line = tap.open(ends());
            line.push(Role::Server, &b"\x89\x00".repeat(10_000));
            line.push(Role::Server, &[&[0x82, 0x7E, 0x20, 0x00][..], &[7; 0x2000]].concat());
        })
        .await;
        assert_eq!(lines.len(), 1 + 10_001 + 1);
        assert!(lines[1..10_001].iter().all(|line| line["header"] == "8900"));
        assert_eq!(lines[10_001]["payload_length"], 0x2000);
        assert_eq!(lines[10_001]["payload"], "07".repeat(0x2000));
    }

    #[tokio::test]
    async fn what_the_watch_missed_is_told_and_frames_are_read_on_behind_it_where_a_length_covers_it() {
        let lines = followed(64 << 10, 1, |tap| {
            let mut line = tap.open(ends());
            line.push(Role::Server, &[0x82, 127, 0, 0, 0, 0, 0, 3, 0, 0]);
            line.push(Role::Server, &[7; 0x3_0000]);
        })
        .await;
        let records: Vec<_> = lines.iter().map(|line| line["record"].as_str().unwrap()).collect();
        assert_eq!(records, ["opened", "missed", "gap", "frame", "closed"]);
        assert_eq!((&lines[1]["from"], &lines[1]["bytes"]), (&json!("server"), &lines[2]["size"]));
        assert_eq!((&lines[3]["lost"]["bytes"], &lines[3]["missing"]), (&lines[1]["bytes"], &json!(0)));
    }

    #[tokio::test]
    async fn connections_beyond_the_most_are_counted_and_not_followed() {
        let lines = followed(1 << 20, 2, |tap| {
            let mut open: Vec<_> = (0..5).map(|_| tap.open(ends())).collect();
            open.iter_mut().for_each(|line| line.push(Role::Server, &[0x89, 0]));
        })
        .await;
        let count = |record: &str| lines.iter().filter(|line| line["record"] == record).count();
        assert_eq!((count("opened"), count("frame"), count("closed")), (2, 2, 2));
        assert_eq!(lines.last().unwrap(), &json!({ "record": "missed", "connections": 3 }));
    }
}
