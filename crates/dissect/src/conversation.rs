//! Both directions of one connection: the opening handshake, and by what it agrees on the frames behind it.

use core::mem;
use core::time::Duration;

use http::{Response, StatusCode};
use sockeye_proto::Role;
use sockeye_proto::deflate::Params;

use crate::handshake::{self, Asked};
use crate::head::{self, HeadBytes, Read};
use crate::{Deflate, Dissector, Finding, Frame, Gap, Item, Opaque, Opening, Record, Skip, Span, Why};

/// Takes a connection apart, in any pieces its bytes come in.
///
/// It begins with the heads of HTTP/1.1 that open a WebSocket (§4), or [midway](Self::joined) with frames. What a response
/// agrees on counts for the frames behind it: compressed messages are inflated. What is no WebSocket becomes one
/// [opaque](Opaque) record for each direction, at the [end](Self::finish).
///
/// It never fails. Its memory grows with the bytes it is given, up to what it [keeps](Self::keeping) for each direction
/// and 64 KiB for a head; never with what a header claims.
///
/// ```
/// use core::time::Duration;
/// use sockeye_dissect::{Conversation, Item, Opening};
/// use sockeye_proto::Role;
///
/// let mut conversation = Conversation::new();
/// let at = Duration::from_millis;
/// let request = b"GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
///     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// let response = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
///     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x05Hello";
/// let request = conversation.push(Role::Client, at(0), request);
/// assert!(matches!(request[0].head().unwrap().opening, Opening::Asks { .. }));
/// let records = conversation.push(Role::Server, at(5), response);
/// assert!(matches!(records[0].head().unwrap().opening, Opening::Opens(_)));
/// assert_eq!(records[1].frame().unwrap().message_text(), Some("Hello"));
/// ```
#[derive(Debug)]
pub struct Conversation {
    number: Option<u64>,
    keep: usize,
    client: Half,
    server: Half,
    /// What the request asks for, while there is no answer.
    asked: Option<Asked>,
    /// Whether there are frames.
    is_websocket: bool,
}

/// One direction.
#[derive(Debug)]
struct Half {
    role: Role,
    /// Bytes that were sent.
    offset: u64,
    /// When the first byte of what is at hand came.
    began: Duration,
    /// When the latest byte came.
    latest: Duration,
    at: At,
}

/// How far a direction has come.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "two of these in a conversation, mostly with frames in them")]
enum At {
    /// Within a head, or before one.
    Head(HeadBytes),
    /// Behind the request, and before the response. What comes here comes too early.
    Waiting(Vec<u8>),
    /// Among frames; those before this offset have come too early.
    Frames(Dissector, u64),
    /// Among bytes that are not taken apart.
    Opaque(Opaque),
}

impl Default for Conversation {
    fn default() -> Self {
        Self::new()
    }
}

impl Conversation {
    /// As much is held of what a client sends before the response: as much as of a head.
    const HELD: usize = HeadBytes::MAX;

    /// A connection from its first byte on.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            number: None,
            keep: Dissector::KEEP,
            client: Half::new(Role::Client),
            server: Half::new(Role::Server),
            asked: None,
            is_websocket: false,
        }
    }

    /// A WebSocket that was joined after its opening handshake, in both directions where a frame begins. Whether both
    /// ends agreed on permessage-deflate has to be said.
    #[must_use]
    pub fn joined(deflate: Option<Deflate>) -> Self {
        let mut conversation = Self { is_websocket: true, ..Self::new() };
        for half in [&mut conversation.client, &mut conversation.server] {
            half.at = At::Frames(deflate.into_iter().fold(Dissector::new(half.role), Dissector::inflating), 0);
        }
        conversation
    }

    /// A WebSocket from its first frame on, whose opening handshake is known from elsewhere: what it agreed on of
    /// permessage-deflate.
    #[must_use]
    pub fn opened(compression: Option<Params>) -> Self {
        let mut conversation = Self { is_websocket: true, ..Self::new() };
        conversation.client.at = At::Frames(conversation.dissector(Role::Client, compression), 0);
        conversation.server.at = At::Frames(conversation.dissector(Role::Server, compression), 0);
        conversation
    }

    /// A connection whose beginning is missing, and with it where a frame begins: nothing of it is taken apart.
    #[must_use]
    pub fn without_beginning() -> Self {
        let mut conversation = Self::new();
        conversation.client.at = At::Opaque(Opaque::new(Role::Client, 0, Why::NoBeginning));
        conversation.server.at = At::Opaque(Opaque::new(Role::Server, 0, Why::NoBeginning));
        conversation
    }

    /// Gives the connection a number, which its records then have.
    #[must_use]
    pub fn numbered(self, number: u64) -> Self {
        Self { number: Some(number), ..self }
    }

    /// Sets how many bytes of a payload, and of a message over several frames, are kept to be shown, as
    /// [`Dissector::keeping`] does. To be said at the beginning.
    #[must_use]
    pub fn keeping(mut self, bytes: usize) -> Self {
        self.keep = bytes;
        for half in [&mut self.client, &mut self.server] {
            half.at = match half.leave() {
                At::Frames(dissector, early) => At::Frames(dissector.keeping(bytes), early),
                other => other,
            };
        }
        self
    }

    /// Whether there are frames: a response opened a WebSocket, or it was joined.
    #[must_use]
    pub const fn is_websocket(&self) -> bool {
        self.is_websocket
    }

    /// Takes the next bytes that an end has sent, and when they came; gives a record for each piece that ends in them.
    ///
    /// Times are counted from whatever beginning the caller likes.
    pub fn push(&mut self, sender: Role, time: Duration, bytes: &[u8]) -> Vec<Record> {
        let mut records = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = &rest[self.step(sender, time, rest, &mut records)..];
        }
        records
    }

    /// Passes over bytes that an end has sent and that are not here, at least one.
    ///
    /// Within a payload, whose length covers them, frames are read on behind them. Otherwise nobody can know where one
    /// begins, and the rest of this direction is [opaque](Why::AfterGap).
    pub fn skip(&mut self, sender: Role, time: Duration, bytes: u64) -> Vec<Record> {
        let number = self.number;
        let half = self.half(sender);
        let offset = half.offset;
        half.offset = offset.saturating_add(bytes);
        half.latest = time;
        let behind = |offset| At::Opaque(Opaque::new(sender, offset, Why::AfterGap));
        let mut within = None;
        let mut ended = None;
        half.at = match half.leave() {
            At::Frames(mut dissector, early) => match dissector.skip(bytes) {
                Skip::Within(frame) => {
                    within = Some(frame);
                    At::Frames(dissector, early)
                }
                Skip::Ends(frame) => {
                    within = Some(frame.number);
                    ended = Some(frame);
                    At::Frames(dissector, early)
                }
                Skip::Beyond(frame) => {
                    ended = frame;
                    behind(half.offset)
                }
            },
            At::Opaque(mut opaque) => {
                opaque.skip(bytes);
                At::Opaque(opaque)
            }
            At::Head(head) if head.is_empty() => behind(half.offset),
            At::Head(head) => At::Opaque(half.opaque(offset, &head.into_bytes(), Why::AfterGap, bytes)),
            At::Waiting(held) if held.is_empty() => behind(half.offset),
            At::Waiting(held) => At::Opaque(half.opaque(offset, &held, Why::AfterGap, bytes)),
        };
        let gap = Item::Gap(Gap { sender, offset, bytes, within });
        let frame = ended.map(|frame| (half.began, Item::Frame(*frame)));
        if half.is_between() {
            half.began = time;
        }
        let items = [(time, gap)].into_iter().chain(frame);
        items
            .map(|(began, item)| Record { connection: number, time: Some(Span { began, ended: time }), item })
            .collect()
    }

    /// Ends both directions; gives a record for what is cut off, and for all that was not taken apart.
    pub fn finish(&mut self) -> Vec<Record> {
        let mut records = Vec::new();
        for half in [&mut self.client, &mut self.server] {
            let item = match half.leave() {
                At::Frames(dissector, early) => dissector.finish().map(|frame| Item::Frame(marked(frame, early))),
                At::Head(head) => Some(Item::Opaque(half.opaque(half.offset, &head.into_bytes(), Why::CutHead, 0))),
                At::Waiting(held) => Some(Item::Opaque(half.opaque(half.offset, &held, Why::Unanswered, 0))),
                At::Opaque(opaque) => Some(Item::Opaque(opaque)),
            };
            let item = item.filter(|item| !matches!(item, Item::Opaque(opaque) if opaque.len == 0));
            let time = Some(Span { began: half.began, ended: half.latest });
            records.extend(item.map(|item| Record { connection: self.number, time, item }));
        }
        records
    }

    const fn half(&mut self, sender: Role) -> &mut Half {
        match sender {
            Role::Client => &mut self.client,
            Role::Server => &mut self.server,
        }
    }

    /// Takes some of the bytes; gives how many.
    fn step(&mut self, sender: Role, time: Duration, bytes: &[u8], records: &mut Vec<Record>) -> usize {
        let number = self.number;
        let half = self.half(sender);
        if half.is_between() {
            half.began = time;
        }
        half.latest = time;
        let taken = match &mut half.at {
            At::Head(head) => {
                let (taken, ended) = head.push(sender, bytes);
                half.offset = half.offset.saturating_add(taken as u64);
                match ended {
                    Ok(false) => {}
                    Ok(true) => self.end_head(sender, records),
                    Err(why) => half.give_up(why),
                }
                return taken;
            }
            At::Waiting(held) => {
                held.extend_from_slice(bytes);
                bytes.len()
            }
            At::Frames(dissector, early) => {
                for frame in dissector.push(bytes) {
                    let time = Some(Span { began: half.began, ended: time });
                    records.push(Record { connection: number, time, item: Item::Frame(marked(frame, *early)) });
                    half.began = half.latest;
                }
                bytes.len()
            }
            At::Opaque(opaque) => {
                opaque.push(bytes);
                bytes.len()
            }
        };
        half.offset = half.offset.saturating_add(taken as u64);
        if matches!(&half.at, At::Waiting(held) if held.len() > Self::HELD) {
            half.give_up(Why::TooEarly);
        }
        taken
    }

    /// A head is whole: what it says, and what comes behind it.
    fn end_head(&mut self, sender: Role, records: &mut Vec<Record>) {
        let half = self.half(sender);
        let At::Head(head) = half.leave() else { unreachable!("a head has ended") };
        let bytes = head.into_bytes();
        let time = Some(Span { began: half.began, ended: half.latest });
        let (mut head, read) = head::read(sender, half.offset - bytes.len() as u64, bytes);
        let mut held = Vec::new();
        match read {
            Read::Bad => half.give_up(Why::BadHead),
            Read::Request(request) => match Asked::judge(request) {
                Some((asked, findings)) => {
                    head.opening = Opening::Asks { accept: asked.accept() };
                    head.findings = findings;
                    self.asked = Some(asked);
                }
                None => half.give_up(Why::NoUpgrade),
            },
            // An interim response: another one follows (RFC 9110 §15.2).
            Read::Response(response)
                if response.status().is_informational() && response.status() != StatusCode::SWITCHING_PROTOCOLS =>
            {
                half.at = At::Head(HeadBytes::default());
            }
            Read::Response(response) if self.is_opened_by(&response) => {
                let answer = handshake::answer(self.asked.as_ref(), response);
                self.is_websocket = true;
                self.server.at = At::Frames(self.dissector(Role::Server, answer.agreed.compression), 0);
                if let At::Waiting(early) = &mut self.client.at {
                    held = mem::take(early);
                    // Given back, to be taken again as what it is.
                    let early = self.client.offset;
                    self.client.offset -= held.len() as u64;
                    self.client.at = At::Frames(self.dissector(Role::Client, answer.agreed.compression), early);
                }
                (head.opening, head.findings, head.hints) =
                    (Opening::Opens(answer.agreed), answer.findings, answer.hints);
            }
            Read::Response(response) => {
                let why = match response.status() {
                    StatusCode::SWITCHING_PROTOCOLS => Why::OtherProtocol,
                    status => Why::Refused(status),
                };
                self.server.give_up(why);
                if matches!(self.client.at, At::Waiting(_)) {
                    self.client.give_up(why);
                }
            }
        }
        records.push(Record { connection: self.number, time, item: Item::Head(head) });
        if !held.is_empty() {
            let latest = self.client.latest;
            self.step(Role::Client, latest, &held, records);
        }
    }

    /// Whether a response is the answer to a request for a WebSocket, good or bad. Where the request is missing, it counts
    /// as asked for.
    fn is_opened_by(&self, response: &Response<()>) -> bool {
        let unasked = matches!(&self.client.at, At::Opaque(opaque) if opaque.why == Why::NoUpgrade);
        response.status() == StatusCode::SWITCHING_PROTOCOLS && handshake::opens(response) && !unasked
    }

    /// What takes the frames of an end apart from here on.
    fn dissector(&self, sender: Role, compression: Option<Params>) -> Dissector {
        let half = if sender == Role::Client { &self.client } else { &self.server };
        let dissector = Dissector::new(sender).keeping(self.keep).at_offset(half.offset);
        match compression {
            None => dissector,
            Some(params) if params.takeover(sender) => dissector.inflating(Deflate::FromStart),
            Some(_) => dissector.inflating(Deflate::FromStart).without_takeover(),
        }
    }
}

impl Half {
    const fn new(role: Role) -> Self {
        let at = At::Head(HeadBytes::new());
        Self { role, offset: 0, began: Duration::ZERO, latest: Duration::ZERO, at }
    }

    /// Whether the next byte begins something.
    fn is_between(&self) -> bool {
        match &self.at {
            At::Head(head) => head.is_empty(),
            At::Waiting(held) => held.is_empty(),
            At::Frames(dissector, _) => dissector.is_between_frames(),
            At::Opaque(opaque) => opaque.len == 0,
        }
    }

    /// Takes the state out, to put another in.
    const fn leave(&mut self) -> At {
        mem::replace(&mut self.at, At::Waiting(Vec::new()))
    }

    /// What is held, and all that comes, is not taken apart.
    fn give_up(&mut self, why: Why) {
        let held = match self.leave() {
            At::Head(head) => head.into_bytes(),
            At::Waiting(held) => held,
            At::Frames(..) | At::Opaque(_) => Vec::new(),
        };
        self.at = At::Opaque(self.opaque(self.offset, &held, why, 0));
    }

    /// These bytes, which end at the offset, and so many behind them that are missing.
    fn opaque(&self, offset: u64, bytes: &[u8], why: Why, missing: u64) -> Opaque {
        let mut opaque = Opaque::new(self.role, offset - bytes.len() as u64, why);
        opaque.push(bytes);
        opaque.skip(missing);
        opaque
    }
}

/// A frame of a client that began before the response had come breaks a rule by that.
fn marked(mut frame: Frame, early: u64) -> Frame {
    if frame.offset < early {
        frame.findings.push(Finding::BeforeResponse);
    }
    frame
}
