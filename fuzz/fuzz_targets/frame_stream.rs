//! Any bytes, cut anywhere, given to a connection in three ways: the same must come of it.
//!
//! ```text
//! byte 0   bit 0: who sends (0: a client, 1: a server)   bits 1–2: limit on messages   bits 3–4: limit on fragments
//!          bit 5: we have begun to close   bit 6: the transport takes all   bit 7: we send messages back
//! byte 1–3 how many bytes come at a time, over and over
//! byte 4   how many times 256 zero bytes follow the rest, so that a short input can hold a large payload
//! rest     what the peer sends
//! ```
#![no_main]

use std::io::IoSlice;
use std::time::Instant;

use allocation_counter::measure;
use bytes::BufMut;
use libfuzzer_sys::fuzz_target;
use sockeye_dissect::{Dissector, Finding, Frame, Receiver};
use sockeye_proto::connection::ControlPayload;
use sockeye_proto::frame::{Context, Header, Opcode, Parse, rules};
use sockeye_proto::mask::{self, MaskingKey};
use sockeye_proto::{CloseCode, CloseReason, Connection, Error, Event, Limits, Message, Role};

fuzz_target!(|input: &[u8]| {
    if let Some((plan, sent)) = Plan::read(input) {
        run(&plan, &sent);
    }
});

/// What the first bytes of the input decide.
struct Plan {
    sender: Role,
    limits: Limits,
    closes: bool,
    writes_all: bool,
    echoes: bool,
    cuts: [usize; 3],
}

impl Plan {
    fn read(input: &[u8]) -> Option<(Self, Vec<u8>)> {
        let (&[options, a, b, c, zeros], sent) = input.split_first_chunk()?;
        let message = [1 << 20, 0, 125, 40_000][usize::from(options >> 1 & 3)];
        let fragments = [131_072, 1, 2, 5][usize::from(options >> 3 & 3)];
        let plan = Self {
            sender: if options & 1 == 0 { Role::Client } else { Role::Server },
            limits: Limits::default().message(message).fragments(fragments),
            closes: options & 0x20 != 0,
            writes_all: options & 0x40 != 0,
            echoes: options & 0x80 != 0,
            // Not three times nothing: the bytes would never come.
            cuts: if (a, b, c) == (0, 0, 0) { [1; 3] } else { [a, b, c].map(usize::from) },
        };
        let zeros = vec![0; 256 * usize::from(zeros)];
        Some((plan, [sent, &zeros].concat()))
    }

    fn connection(&self) -> Connection {
        let mut connection = match self.sender {
            Role::Client => Connection::server(self.limits),
            Role::Server => Connection::client(self.limits, || MaskingKey::new([0x37, 0xFA, 0x21, 0x3D])),
        };
        if self.closes {
            connection.close(CloseReason::new(CloseCode::NORMAL, "bye").expect("a good reason"));
        }
        connection
    }

    /// What the application does.
    fn answer(&self, connection: &mut Connection, event: &Event) {
        if let (true, Event::Message(message)) = (self.echoes, event) {
            let sent = connection.send(message.clone());
            assert_eq!(sent.is_err(), self.closes, "a message comes before the end, and can be answered");
        }
    }

    /// How many bytes come, or leave, at a time.
    fn sizes(&self) -> impl Iterator<Item = usize> {
        self.cuts.into_iter().cycle()
    }
}

fn run(plan: &Plan, sent: &[u8]) {
    let whole = in_one_piece(plan, sent);
    assert_eq!(whole, in_pieces(plan, sent), "in one piece (left) and in pieces (right)");
    assert_eq!(whole, landing(plan, sent), "in one piece (left) and by landing (right)");
    for event in &whole {
        if let Event::Message(Message::Text(text)) = event {
            assert!(core::str::from_utf8(text.as_bytes()).is_ok(), "a text that is none");
        }
    }
    if !plan.closes {
        agrees_with_the_dissector(plan, sent, &whole);
    }
    memory(plan, sent);
}

/// Gives bytes to a connection until they are used up.
fn receive(connection: &mut Connection, mut bytes: &mut [u8], take: &mut impl FnMut(&mut Connection, Event)) {
    while !bytes.is_empty() {
        let received = connection.receive(bytes);
        assert!(received.consumed > 0, "every call takes at least a byte");
        assert!(received.event.is_some() || received.consumed == bytes.len(), "without an event all is taken");
        if let Some(event) = received.event {
            take(connection, event);
        }
        bytes = &mut bytes[received.consumed..];
    }
}

/// How many of the bytes come next. What follows the end is discarded, so it may come at once.
fn size(connection: &Connection, sizes: &mut impl Iterator<Item = usize>, rest: usize) -> usize {
    if connection.state().reads() { sizes.next().expect("it cycles").min(rest) } else { rest }
}

/// Everything in one read; the peer reads our answers when all is over.
fn in_one_piece(plan: &Plan, sent: &[u8]) -> Vec<Event> {
    let mut connection = plan.connection();
    let mut events = Vec::new();
    receive(&mut connection, &mut sent.to_vec(), &mut |connection, event| {
        plan.answer(connection, &event);
        events.push(event);
    });
    let answers = written(&mut connection, usize::MAX);
    answers_keep_the_rules(plan, &answers, &events);
    events
}

/// A few bytes a read; the transport takes a few bytes of our answers in between.
fn in_pieces(plan: &Plan, sent: &[u8]) -> Vec<Event> {
    let mut connection = plan.connection();
    let (mut events, mut answers) = (Vec::new(), Vec::new());
    let mut sizes = plan.sizes();
    let mut sent = sent.to_vec();
    let mut rest = &mut sent[..];
    let mut arrived = 0;
    while !rest.is_empty() {
        let size = size(&connection, &mut sizes, rest.len());
        let (piece, after) = rest.split_at_mut(size);
        if piece.is_empty() {
            assert_eq!(connection.receive(piece).event, None, "nothing comes of nothing");
        }
        arrived += piece.len();
        receive(&mut connection, piece, &mut |connection, event| {
            plan.answer(connection, &event);
            events.push(event);
        });
        assert!(connection.held() <= arrived, "more is held than has come");
        let room = if plan.writes_all { usize::MAX } else { size };
        answers.extend(written(&mut connection, room));
        rest = after;
    }
    answers.extend(written(&mut connection, usize::MAX));
    answers_keep_the_rules(plan, &answers, &events);
    events
}

/// Payload goes where it stays whenever there is a landing. Every answer leaves at once, so that each Ping has its Pong.
fn landing(plan: &Plan, sent: &[u8]) -> Vec<Event> {
    let mut connection = plan.connection();
    let (mut events, mut answers) = (Vec::new(), Vec::new());
    let mut take = |connection: &mut Connection, event: Event| {
        plan.answer(connection, &event);
        events.push(event);
        answers.extend(written(connection, usize::MAX));
    };
    let mut sizes = plan.sizes();
    let mut at = 0;
    while at < sent.len() {
        let size = size(&connection, &mut sizes, sent.len() - at);
        let landed = connection.landing().map(|mut room| {
            let size = size.min(room.remaining_mut());
            room.put_slice(&sent[at..at + size]);
            size
        });
        if let Some(size) = landed {
            at += size;
            if let Some(event) = connection.landed() {
                take(&mut connection, event);
            }
        } else {
            receive(&mut connection, &mut sent[at..at + size].to_vec(), &mut take);
            at += size;
        }
        assert!(connection.held() <= at, "more is held than has come");
    }
    answers.extend(written(&mut connection, usize::MAX));
    let pings = events.iter().filter_map(|event| if let Event::Ping(ping) = event { Some(&ping[..]) } else { None });
    let frames = answers_keep_the_rules(plan, &answers, &events);
    let pongs = frames.iter().filter(|(opcode, _)| *opcode == Opcode::PONG).map(|(_, payload)| &payload[..]);
    if !plan.closes {
        assert!(pings.eq(pongs), "each Ping has its Pong");
    }
    events
}

/// Takes up to `room` bytes of what the connection wants to write.
fn written(connection: &mut Connection, room: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < room {
        let mut slices = [IoSlice::new(&[]); 2];
        let count = connection.outgoing(&mut slices);
        if count == 0 {
            assert!(!connection.has_outgoing() && connection.queued() == 0, "something waits and is not shown");
            break;
        }
        let before = bytes.len();
        bytes.extend(slices[..count].iter().flat_map(|slice| slice.iter()).take(room - before));
        let taken = bytes.len() - before;
        connection.written(taken, Instant::now);
    }
    bytes
}

/// What we answer is a stream of frames that keeps every rule, and says what the events call for.
fn answers_keep_the_rules(plan: &Plan, mut bytes: &[u8], events: &[Event]) -> Vec<(Opcode, Vec<u8>)> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let Parse::Complete(header) = Header::parse(bytes) else { panic!("a header is cut off") };
        let context = Context { sender: plan.sender.peer(), in_message: false, compression: false };
        assert!(rules::check(header, context), "we break {:?}", rules::violations(header, context));
        let size = header.size() + usize::try_from(header.payload_len()).expect("a small frame");
        assert!(size <= bytes.len(), "a payload is cut off");
        let mut payload = bytes[header.size()..size].to_vec();
        if let Some(key) = header.masking_key() {
            mask::apply(key, 0, &mut payload);
        }
        frames.push((header.opcode(), payload));
        bytes = &bytes[size..];
    }

    let mut pings = events.iter().filter_map(|event| match event {
        Event::Ping(ping) => Some(ping),
        _ => None,
    });
    let mut messages = events.iter().filter_map(|event| match event {
        Event::Message(message) if plan.echoes && !plan.closes => Some(message),
        _ => None,
    });
    for (i, (opcode, payload)) in frames.iter().enumerate() {
        match *opcode {
            // Each Pong answers a Ping, in their order; some Pings may go without.
            Opcode::PONG => assert!(pings.any(|ping| ping[..] == payload[..]), "a Pong that answers no Ping"),
            Opcode::CLOSE => {
                CloseReason::parse(payload).expect("our Close keeps the rules");
                // When we close first and stay able to read, Pongs follow our Close.
                assert!(plan.closes || i + 1 == frames.len(), "something follows our Close");
            }
            other => {
                let Some(message) = messages.next() else { panic!("nobody asked for a {other} frame") };
                assert_eq!(message.as_text().is_some(), other == Opcode::TEXT);
                assert!(message.as_bytes() == payload, "a message has changed on its way");
            }
        }
    }
    assert_eq!(messages.next(), None, "a message is not sent back");
    let closes = frames.iter().filter(|(opcode, _)| *opcode == Opcode::CLOSE).count();
    let ended = events.iter().any(|event| matches!(event, Event::Close(_) | Event::Failed(_)));
    assert_eq!(closes, usize::from(plan.closes || ended), "one Close, and only where there is reason for one");
    let close = frames.iter().find(|(opcode, _)| *opcode == Opcode::CLOSE);
    if let (false, Some(Event::Failed(error)), Some((_, payload))) = (plan.closes, events.last(), close) {
        assert_eq!(CloseReason::parse(payload).map(|reason| reason.code()), Ok(error.close_code()));
    }
    frames
}

/// The dissector, which walks the same bytes in its own way, sees the same events and the same end.
fn agrees_with_the_dissector(plan: &Plan, sent: &[u8], events: &[Event]) {
    let mut dissector = Dissector::new(plan.sender);
    let mut frames = Vec::new();
    for piece in sent.chunks(64) {
        frames.extend(dissector.push(piece));
        // It reads on where a connection stops; that is not the question here, and takes its time.
        if frames.last().is_some_and(|frame| frame.receiver != Receiver::Takes) {
            break;
        }
    }
    frames.extend(dissector.finish());

    let mut events = events.iter();
    for frame in &frames {
        // Of a header that is cut off a connection takes no notice yet.
        if frame.header.is_none() {
            break;
        }
        if let Some(seen) = event_of(frame) {
            match events.next() {
                // The dissector knows no limits.
                Some(Event::Failed(Error::Limit(limit))) => {
                    assert!(over_limit(plan, frame), "{limit}");
                    return;
                }
                event => assert_eq!(event, Some(&seen), "the connection (left) and the dissector (right)"),
            }
        } else if let Some(Event::Failed(Error::Limit(_))) = events.as_slice().first() {
            // Refused on its header, or on the number of frames, before it could become an event.
            if frame.opcode().is_some_and(|opcode| !opcode.is_control()) && over_limit(plan, frame) {
                return;
            }
        }
        if frame.receiver != Receiver::Takes {
            break;
        }
        if frame.opcode() == Some(Opcode::CLOSE) && !frame.is_cut_off() {
            break;
        }
    }
    assert_eq!(events.next(), None, "the connection sees more than the dissector");
}

/// Whether this frame's header goes over a limit.
fn over_limit(plan: &Plan, frame: &Frame) -> bool {
    let (Some(part), Some(header)) = (&frame.message, frame.header) else { return false };
    part.fragment > u64::from(plan.limits.max_fragments())
        || (part.len - frame.arrived).saturating_add(header.payload_len()) > plan.limits.max_message() as u64
}

/// What a connection makes of a frame, as the dissector tells it.
fn event_of(frame: &Frame) -> Option<Event> {
    if let Receiver::Fails(_) = frame.receiver {
        return match *frame.findings.first()? {
            Finding::Rule(rule) | Finding::InvalidUtf8 { rule, .. } => Some(Event::Failed(rule.into())),
            ref other => panic!("{other} fails no connection"),
        };
    }
    if frame.is_cut_off() {
        return None;
    }
    let control = || ControlPayload::new(&frame.payload).expect("it keeps the rules");
    match frame.opcode()? {
        Opcode::PING => Some(Event::Ping(control())),
        Opcode::PONG => Some(Event::Pong(control())),
        Opcode::CLOSE => Some(Event::Close(CloseReason::parse(&frame.payload).expect("it keeps the rules"))),
        _ => {
            let kind = frame.message.as_ref()?.kind;
            let payload = frame.message_payload()?;
            Some(Event::Message(if kind == Opcode::TEXT {
                Message::from(core::str::from_utf8(payload).expect("the dissector has checked it"))
            } else {
                Message::from(payload)
            }))
        }
    }
}

/// Memory follows what has come. Room is made for sixteen times that, of which pages are used as they are written to; when
/// it is made, the old and the new exist side by side for a moment.
fn memory(plan: &Plan, sent: &[u8]) {
    let mut bytes = sent.to_vec();
    let mut connection = plan.connection();
    let mut sizes = plan.sizes();
    let cost = measure(|| {
        let mut rest = &mut bytes[..];
        while !rest.is_empty() {
            let size = size(&connection, &mut sizes, rest.len());
            let (piece, after) = rest.split_at_mut(size);
            receive(&mut connection, piece, &mut |_, event| drop(event));
            let _ = connection.landing();
            rest = after;
        }
    });
    let most = |times: usize| times * sent.len() + (64 << 10);
    assert!(cost.bytes_max <= most(18) as u64, "{} bytes have come: {cost:?}", sent.len());
    assert!(cost.bytes_current <= most(17) as i64, "{} bytes have come: {cost:?}", sent.len());
}
