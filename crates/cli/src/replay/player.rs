//! Goes through what was recorded, in its order, and has it happen again.
//!
//! One event after the other, of all connections: what the part that is played has said is said, once its time has come and
//! all that the other ends had said before it has been said. So an answer never comes before its question, on whichever
//! connection that was. What arrives meanwhile is taken all the time.

use core::future::Future;
use core::pin::pin;
use core::time::Duration;
use std::collections::{BTreeSet, HashMap};
use std::io::Read;

use http::{HeaderName, HeaderValue};
use sockeye_dissect::render::safe;
use sockeye_proto::Role;
use sockeye_proto::handshake::accept;
use sockeye_traffic::{Ending, Event, Piece, Source, What};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::{TlsAcceptor, TlsStream};

use super::difference::{Difference, Differences};
use super::line::{Arrival, Asked, Line, Playing, write};
use crate::http1::{Request, accepting, head_end};
use crate::stream::{Stream, words};
use crate::upstream::Upstream;

/// Who is at the other end.
pub(super) enum Peer {
    /// A server, and the fields that requests to it have.
    Server(Box<Upstream>, Vec<(HeaderName, HeaderValue)>),
    /// Those who connect.
    Clients(TcpListener, Option<TlsAcceptor>),
}

/// When things are said.
pub(super) enum Pace {
    /// When they were recorded, so many times as fast.
    Recorded(f64),
    /// As soon as may be.
    Free,
}

/// Replays a recording.
pub(super) struct Player {
    peer: Peer,
    pace: Pace,
    exact: bool,
    patience: Duration,
    only: Vec<u64>,
    lines: HashMap<u64, Line>,
    /// Those on which something that was recorded has not been said yet.
    uneven: BTreeSet<u64>,
    arrivals: mpsc::Receiver<Arrival>,
    sender: mpsc::Sender<Arrival>,
    /// When the recording would have begun.
    started: Instant,
    /// Whether anything has been replayed: the times before it are nobody's to wait for.
    begun: bool,
    /// Connections that have said all that is to be said.
    leaving: JoinSet<()>,
    differences: Differences,
    total: Total,
}

/// What there was.
#[derive(Debug, Default)]
struct Total {
    connections: u64,
    compared: u64,
    others: u64,
    without_beginning: u64,
    incomplete: u64,
    redacted: bool,
    damaged: bool,
}

/// So long the other end has to read what was said last, and to end the connection.
const TAKING_LEAVE: Duration = Duration::from_secs(2);
/// What is not taken yet of all that arrives, in reads.
const ARRIVALS: usize = 64;

impl Player {
    pub(super) fn new(
        peer: Peer,
        pace: Pace,
        exact: bool,
        patience: u32,
        only: Vec<u64>,
        differences: Differences,
    ) -> Self {
        let (sender, arrivals) = mpsc::channel(ARRIVALS);
        Self {
            peer,
            pace,
            exact,
            patience: Duration::from_secs(patience.into()),
            only,
            lines: HashMap::new(),
            uneven: BTreeSet::new(),
            arrivals,
            sender,
            started: Instant::now(),
            begun: false,
            leaving: JoinSet::new(),
            differences,
            total: Total::default(),
        }
    }

    /// Replays all of it. Whether it could be, and nothing differs.
    pub(super) async fn play(mut self, source: Source<impl Read>, name: &str) -> bool {
        let name = safe(name);
        for piece in source {
            match piece {
                Piece::Event(event) if self.only.is_empty() || self.only.contains(&event.connection) => {
                    self.event(event).await;
                }
                Piece::Event(_) => {}
                Piece::Note(note) => eprintln!("sockeye: {name}: note: {note}"),
                Piece::Damage(damage) => {
                    self.total.damaged = true;
                    eprintln!("sockeye: {name}: {}", safe(&damage.to_string()));
                }
            }
        }
        let mut left: Vec<u64> = self.lines.keys().copied().collect();
        left.sort_unstable();
        for number in left {
            self.end(number, &Ending::Closed(None)).await;
        }
        let mut leaving = core::mem::take(&mut self.leaving);
        while self.meanwhile(leaving.join_next()).await.is_some() {}
        let Total { connections, compared, others, without_beginning, incomplete, redacted, damaged } = self.total;
        self.differences.end(connections, compared);
        let note = |text: &str| eprintln!("sockeye: {name}: note: {text}");
        if others > 0 {
            note(&format!("connections that ask for no WebSocket, and are not replayed: {others}"));
        }
        if without_beginning > 0 {
            note(&format!("connections whose beginning is missing, and that are not replayed: {without_beginning}"));
        }
        if incomplete > 0 {
            note(&format!("connections that could be replayed only in part, as bytes are missing: {incomplete}"));
        }
        if redacted {
            note("credentials were replaced by * when it was recorded; --header gives others");
        }
        if connections == 0 {
            note("there is nothing in it to replay");
        }
        self.differences.is_none() && !damaged && incomplete == 0 && connections > 0
    }

    const fn own(&self) -> Role {
        match self.peer {
            Peer::Server(..) => Role::Client,
            Peer::Clients(..) => Role::Server,
        }
    }

    async fn event(&mut self, event: Event) {
        let Event { connection: number, time, what } = event;
        match what {
            What::Opened(ends) => {
                self.end(number, &Ending::Closed(None)).await;
                self.total.without_beginning += u64::from(ends.joined);
                let line = if ends.joined { Line::Over } else { Line::Asking(Vec::new()) };
                self.lines.insert(number, line);
            }
            What::Bytes { from, bytes, redacted } => {
                self.total.redacted |= redacted && self.own() == from && from == Role::Client;
                self.bytes(number, time, from, &bytes).await;
            }
            What::Missing { .. } => {
                if let Some(Line::Playing(_)) = self.lines.get(&number) {
                    self.total.incomplete += 1;
                    self.leave(number);
                }
                self.lines.insert(number, Line::Over);
            }
            What::Ended(ending) => {
                self.due(time).await;
                self.end(number, &ending).await;
            }
        }
    }

    async fn bytes(&mut self, number: u64, time: Duration, from: Role, bytes: &[u8]) {
        let own = self.own();
        match self.lines.get_mut(&number) {
            None | Some(Line::Over) => {}
            Some(Line::Asking(head)) if from == Role::Client => match Line::ask(head, bytes) {
                Asked::NotYet => {}
                Asked::Other => {
                    self.total.others += 1;
                    self.lines.insert(number, Line::Over);
                }
                Asked::WebSocket(request, head, taken) => {
                    self.begin(number, time, &request, &head).await;
                    if taken < bytes.len() {
                        Box::pin(self.bytes(number, time, from, &bytes[taken..])).await;
                    }
                }
            },
            // An answer to nothing.
            Some(Line::Asking(_)) => {
                self.lines.insert(number, Line::Over);
            }
            Some(Line::Playing(playing)) if from == own => {
                if playing.head.is_none() {
                    return self.say(number, time, bytes, bytes).await;
                }
                self.answer(number, time, bytes).await;
            }
            Some(Line::Playing(playing)) => {
                let said = playing.matching.was_said(bytes, time);
                let is_far_behind = playing.matching.is_far_behind();
                self.judge(number, said);
                if is_far_behind {
                    self.settle().await;
                }
            }
        }
    }

    /// A connection, at the end of its request.
    async fn begin(&mut self, number: u64, time: Duration, request: &Request, recorded: &[u8]) {
        if !self.begun {
            self.begun = true;
            // Nobody waits for what was before the first one.
            self.started = Instant::now() - self.span(time);
        }
        self.due(time).await;
        self.settle().await;
        self.total.connections += 1;
        let own = self.own();
        let stream = match &self.peer {
            Peer::Server(upstream, _) => match timeout(self.patience, upstream.connect()).await {
                Ok(connected) => connected,
                Err(_) => Err(format!("cannot connect to {} within {:?}", upstream.address(), self.patience)),
            },
            Peer::Clients(..) => self.accept(time).await,
        };
        let stream = match stream {
            Ok(stream) => stream,
            Err(why) => {
                self.differences.tell(number, &Difference::new(why, None, None));
                self.lines.insert(number, Line::Over);
                return;
            }
        };
        let playing = Playing::new(number, own, self.exact, stream, self.sender.clone());
        self.lines.insert(number, Line::Playing(Box::new(playing)));
        match &self.peer {
            Peer::Server(upstream, fields) => {
                let now = upstream.head_of(request, fields);
                self.say(number, time, recorded, &now).await;
            }
            Peer::Clients(..) => Box::pin(self.bytes(number, time, Role::Client, recorded)).await,
        }
    }

    /// Waits for the next client. What was to be said since then is to be said as much later.
    async fn accept(&mut self, time: Duration) -> Result<Stream, String> {
        let Peer::Clients(listener, tls) = &self.peer else { return Err("nobody connects".to_owned()) };
        let (tcp, _) = listener.accept().await.map_err(|error| format!("no client can connect: {}", words(&error)))?;
        let _ = tcp.set_nodelay(true);
        let stream = match tls {
            None => Stream::Tcp(tcp),
            Some(acceptor) => {
                let tls = acceptor.accept(tcp).await;
                let tls = tls.map_err(|error| format!("the TLS handshake failed: {}", words(&error)))?;
                Stream::Tls(Box::new(TlsStream::Server(tls)))
            }
        };
        self.started = Instant::now() - self.span(time);
        Ok(stream)
    }

    /// Our own answer to a request: the recorded one, for the key that was sent now.
    async fn answer(&mut self, number: u64, time: Duration, bytes: &[u8]) {
        let Some(Line::Playing(playing)) = self.lines.get_mut(&number) else { return };
        let Some(head) = &mut playing.head else { return };
        let looked = head.len();
        head.extend_from_slice(bytes);
        let Some(end) = head_end(head, looked) else { return };
        let all = playing.head.take().unwrap_or_default();
        // The request has to be here for its key.
        self.settle().await;
        let Some(Line::Playing(playing)) = self.lines.get(&number) else { return };
        let (recorded, rest) = all.split_at(end);
        let now = match playing.matching.key() {
            Some(key) => accepting(recorded, &accept(key)),
            None => recorded.to_vec(),
        };
        self.say(number, time, recorded, &now).await;
        if !rest.is_empty() {
            self.say(number, time, rest, rest).await;
        }
    }

    /// Says something, where this was recorded, when its time has come.
    async fn say(&mut self, number: u64, time: Duration, recorded: &[u8], now: &[u8]) {
        self.due(time).await;
        self.settle().await;
        let Some(Line::Playing(playing)) = self.lines.get_mut(&number) else { return };
        playing.matching.say(recorded, now, time);
        let Some(mut out) = playing.out.take() else { return };
        let written = self.meanwhile(write(&mut out, now, self.patience)).await;
        let Some(Line::Playing(playing)) = self.lines.get_mut(&number) else { return };
        match written {
            Ok(()) => playing.out = Some(out),
            // It has ended; whether too early is to be seen by what it has said until then.
            Err(error) if error.kind() != std::io::ErrorKind::Other => {}
            Err(error) => {
                self.differences.tell(number, &Difference::new(words(&error), None, None));
                self.leave(number);
            }
        }
    }

    /// Ends a connection as it ended.
    async fn end(&mut self, number: u64, ending: &Ending) {
        let Some(Line::Playing(_)) = self.lines.get(&number) else {
            self.lines.remove(&number);
            return;
        };
        self.settle().await;
        let peer = self.own().peer();
        let by_peer = matches!(ending, Ending::Closed(Some(by)) | Ending::Reset(Some(by)) if *by == peer);
        if by_peer {
            let until = Instant::now() + self.patience;
            while let Some(Line::Playing(playing)) = self.lines.get(&number)
                && !playing.has_ended
            {
                if !self.arrive_until(until).await {
                    let why = format!("the {peer} ended the connection, and does not within {:?}", self.patience);
                    self.differences.tell(number, &Difference::new(why, None, None));
                    break;
                }
            }
        }
        if let Some(Line::Playing(playing)) = self.lines.get_mut(&number) {
            let more = playing.matching.more().filter(|_| matches!(ending, Ending::Closed(_)));
            if let Some(difference) = more {
                self.differences.tell(number, &difference);
            }
        }
        self.uneven.remove(&number);
        if let Some(Line::Playing(playing)) = self.lines.remove(&number) {
            self.total.compared += playing.matching.compared();
            self.leaving.spawn(playing.end(TAKING_LEAVE.min(self.patience)));
        }
    }

    /// Waits until all that was recorded so far has been said, on all connections. Those on which nothing comes are left.
    async fn settle(&mut self) {
        let mut until = Instant::now() + self.patience;
        let waited = Instant::now();
        while !self.uneven.is_empty() {
            if self.arrive_until(until).await {
                until = Instant::now() + self.patience;
                continue;
            }
            for number in core::mem::take(&mut self.uneven) {
                self.miss(number, format!("nothing came for {:?}", self.patience));
            }
        }
        // What is said next keeps its distance from it.
        self.started += waited.elapsed();
    }

    /// Takes what arrives until then. Whether something did.
    async fn arrive_until(&mut self, until: Instant) -> bool {
        match tokio::time::timeout_at(until, self.arrivals.recv()).await {
            Ok(Some(arrival)) => {
                self.arrive(arrival);
                true
            }
            _ => false,
        }
    }

    /// Takes what arrives while something is done.
    async fn meanwhile<T>(&mut self, what: impl Future<Output = T>) -> T {
        let mut what = pin!(what);
        loop {
            tokio::select! {
                done = &mut what => return done,
                Some(arrival) = self.arrivals.recv() => self.arrive(arrival),
            }
        }
    }

    /// Waits until a time of the recording has come.
    async fn due(&mut self, time: Duration) {
        if let Pace::Recorded(_) = self.pace {
            let due = self.started + self.span(time);
            self.meanwhile(sleep_until(due)).await;
        }
    }

    /// How long after its beginning something happens that happened so long after that of the recording.
    fn span(&self, time: Duration) -> Duration {
        match self.pace {
            Pace::Recorded(speed) => time.div_f64(speed),
            Pace::Free => Duration::ZERO,
        }
    }

    fn arrive(&mut self, (number, bytes): Arrival) {
        let Some(Line::Playing(playing)) = self.lines.get_mut(&number) else { return };
        if bytes.is_empty() {
            playing.has_ended = true;
            let is_even = playing.matching.is_even();
            if !is_even {
                let peer = self.own().peer();
                self.miss(number, format!("the {peer} has ended the connection"));
            }
            return;
        }
        let time = Instant::now().saturating_duration_since(self.started);
        let said = playing.matching.is_said(&bytes, time);
        self.judge(number, said);
    }

    fn judge(&mut self, number: u64, said: Result<(), Difference>) {
        let Some(Line::Playing(playing)) = self.lines.get_mut(&number) else { return };
        let (is_even, has_ended) = (playing.matching.is_even(), playing.has_ended);
        match said {
            Err(difference) => {
                self.differences.tell(number, &difference);
                self.leave(number);
            }
            Ok(()) if is_even => {
                self.uneven.remove(&number);
            }
            Ok(()) if has_ended => {
                let peer = self.own().peer();
                self.miss(number, format!("the {peer} has ended the connection"));
            }
            Ok(()) => {
                self.uneven.insert(number);
            }
        }
    }

    /// Something that was recorded does not come.
    fn miss(&mut self, number: u64, why: String) {
        if let Some(Line::Playing(playing)) = self.lines.get_mut(&number) {
            let difference = playing.matching.missing(why);
            self.differences.tell(number, &difference);
            self.leave(number);
        }
    }

    /// Is done with a connection.
    fn leave(&mut self, number: u64) {
        self.uneven.remove(&number);
        if let Some(Line::Playing(playing)) = self.lines.insert(number, Line::Over) {
            self.total.compared += playing.matching.compared();
        }
    }
}
