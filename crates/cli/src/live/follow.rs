//! From what a watch is told to lines of JSON: each connection in a conversation of its own.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sockeye::Role;
use sockeye::tap::{self, Begins, Ends, Event, Watch, What};
use sockeye_dissect::{Conversation, Record, render};
use sockeye_traffic::Ending;

use super::history::{Entry, History, Stage};
use crate::view::{json_line, nanos};

/// So long things are gathered before they are shown: a few frames of a screen, and a wake-up for many of a busy server's.
const GATHERED: Duration = Duration::from_millis(20);
/// After so many bytes others have a turn: it is the connections' threads that this runs on.
const TURN: usize = 64 << 10;
/// Of a payload so much is kept, and of an inflated message: what a record shows.
const MOST_KEPT: usize = 64 << 10;
/// However many connections there are, so much is; and no more than this by all of them, beyond that.
const LEAST_KEPT: usize = 4 << 10;
const KEPT_IN_ALL: usize = 16 << 20;

/// Follows what a watch is told, into a history, until there is nothing to watch any more.
pub(super) async fn follow(mut watch: Watch, history: Arc<History>, most: usize, started: Instant) {
    let mut connections = Connections { most, started, open: HashMap::new() };
    let mut lines = Vec::new();
    while watch.gather(GATHERED).await {
        let mut turn = 0;
        let mut left_out = 0;
        while let Some(event) = watch.try_recv() {
            turn += size_of::<Event>();
            if let What::Bytes { bytes, .. } = &event.what {
                turn += bytes.len();
            }
            left_out += connections.take(event, &mut lines);
            if turn >= TURN {
                turn = 0;
                history.publish(&mut lines);
                tokio::task::yield_now().await;
            }
        }
        if left_out > 0 {
            let line = json_line(&[("record", json!("missed")), ("connections", json!(left_out))]).into();
            lines.push(Entry { connection: None, stage: Stage::Goes, line });
        }
        history.publish(&mut lines);
    }
}

/// The connections that are open and followed.
struct Connections {
    most: usize,
    started: Instant,
    open: HashMap<u64, Conversation>,
}

impl Connections {
    /// Takes what has happened; how many connections are left out because of it.
    fn take(&mut self, event: Event, lines: &mut Vec<Entry>) -> u64 {
        let Event { connection: number, time, what } = event;
        let time = time.saturating_duration_since(self.started);
        let mut entry = |stage, line: String| lines.push(Entry { connection: Some(number), stage, line: line.into() });
        match what {
            What::Opened(ends) => {
                if self.open.len() >= self.most {
                    return 1;
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
        0
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
