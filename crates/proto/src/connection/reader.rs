//! Bytes in, events out: the inbound pipeline, step by step.

use bytes::buf::Limit;
use bytes::{Buf, Bytes, BytesMut};

use super::{ControlPayload, Event};
use crate::assembler::{self, Assembler, Incoming, Wanted};
use crate::close::CloseReason;
use crate::deflate::Inflater;
use crate::error::Error;
use crate::frame::{Context, Header, Opcode, Parse, Violation, rules};
use crate::limits::Limits;
use crate::mask;
use crate::message_ref::MessageRef;
use crate::role::Role;

/// Where in the stream the reader stands, and what it holds of what has begun.
#[derive(Debug)]
pub(super) struct Reader {
    sender: Role,
    position: Position,
    /// Whether messages are wanted whole.
    whole: bool,
    /// The latest window that was wanted: with it a message goes on of which a piece was taken, whatever is wanted of the next.
    window: usize,
    /// There while anything is held or awaited of a message.
    assembler: Option<Box<Assembler>>,
    /// There once permessage-deflate is agreed on.
    pub(super) inflater: Option<Box<Inflater>>,
}

#[derive(Debug)]
enum Position {
    /// Within a header, of which these bytes have come.
    Header { bytes: [u8; Header::MAX_SIZE], len: u8 },
    /// Within a data frame's payload, of which this many bytes have come.
    Data { header: Header, taken: u64 },
    /// Within a control frame's payload, of which some has come.
    Control(Box<Control>),
}

#[derive(Debug)]
struct Control {
    header: Header,
    payload: BytesMut,
}

impl Position {
    const BETWEEN_FRAMES: Self = Self::Header { bytes: [0; Header::MAX_SIZE], len: 0 };
}

type Outcome = Result<Option<Event>, Error>;

/// Why there is an assembler within a data frame.
const BEGUN: &str = "a data frame begins with one";

impl Reader {
    pub(super) fn new(sender: Role) -> Self {
        Self {
            sender,
            position: Position::BETWEEN_FRAMES,
            whole: true,
            window: Assembler::WINDOW,
            assembler: None,
            inflater: None,
        }
    }

    /// Takes bytes until they are used up, have completed an event, or there is no room for more of a message.
    pub(super) fn receive(&mut self, bytes: &mut [u8], limits: &Limits) -> (usize, Outcome) {
        let mut consumed = 0;
        while !self.is_held_back() {
            let (taken, outcome) = self.step(&mut bytes[consumed..], limits);
            consumed += taken;
            if consumed == bytes.len() || !matches!(outcome, Ok(None)) {
                return (consumed, outcome);
            }
        }
        (consumed, Ok(None))
    }

    /// All steps at once for a message that is all there in one frame, as most are: nothing of it has to be remembered.
    /// `None` where anything is out of the ordinary, or wrong; nothing was taken then.
    #[inline(always)]
    pub(super) fn receive_borrowed<'a>(
        &self,
        bytes: &'a mut [u8],
        limits: &Limits,
    ) -> Option<(usize, Result<MessageRef<'a>, Error>)> {
        let Position::Header { len: 0, .. } = self.position else {
            return None;
        };
        let Parse::Complete(header) = Header::parse(bytes) else {
            return None;
        };
        let is_whole = rules::is_whole_message(header, self.sender) && self.assembler.is_none();
        if !is_whole || header.payload_len() > self.most_whole(limits) {
            return None;
        }
        let payload = bytes[header.size()..].get_mut(..usize::try_from(header.payload_len()).ok()?)?;
        let end = header.size() + payload.len();
        Some((end, assembler::judge_whole(header, payload)))
    }

    /// The most bytes a message may have that is all there in one frame: within what may be held, and the limits.
    #[inline]
    fn most_whole(&self, limits: &Limits) -> u64 {
        if self.whole { limits.max_message() as u64 } else { self.window as u64 - 1 }
    }

    /// Takes one header, or as much of one payload as there is. Where there is a byte, it takes one, or ends a compressed
    /// frame by inflating the rest of it, or fills the window.
    #[inline]
    fn step(&mut self, bytes: &mut [u8], limits: &Limits) -> (usize, Outcome) {
        match &mut self.position {
            Position::Header { .. } => match self.take_header(bytes) {
                (taken, Some(header)) => match self.begin_frame(header, limits) {
                    Ok(()) => {
                        let (payload, outcome) = self.take_payload(header, &mut bytes[taken..], limits);
                        (taken + payload, outcome)
                    }
                    Err(error) => (taken, Err(error)),
                },
                (taken, None) => (taken, Ok(None)),
            },
            Position::Data { header, .. } => {
                let header = *header;
                self.take_payload(header, bytes, limits)
            }
            Position::Control(control) => {
                let header = control.header;
                self.take_payload(header, bytes, limits)
            }
        }
    }

    /// Step 1: the header, as a value. It is read where it lies; only one that is cut off is copied.
    #[inline]
    fn take_header(&mut self, bytes: &[u8]) -> (usize, Option<Header>) {
        let Position::Header { bytes: held, len } = &mut self.position else {
            unreachable!("called between frames only");
        };
        if *len == 0
            && let Parse::Complete(header) = Header::parse(bytes)
        {
            return (header.size(), Some(header));
        }
        let mut taken = 0;
        loop {
            let have = usize::from(*len);
            match Header::parse(&held[..have]) {
                Parse::Complete(header) => return (taken, Some(header)),
                Parse::Partial { missing } => {
                    let piece = &bytes[taken..bytes.len().min(taken + missing)];
                    if piece.is_empty() {
                        return (taken, None);
                    }
                    held[have..have + piece.len()].copy_from_slice(piece);
                    taken += piece.len();
                    *len = u8::try_from(have + piece.len()).expect("a header has 14 bytes at most");
                }
            }
        }
    }

    /// Step 2: the rules and the limits, before anything of the payload is looked at or stored.
    fn begin_frame(&mut self, header: Header, limits: &Limits) -> Result<(), Error> {
        let context = Context {
            sender: self.sender,
            in_message: self.assembler.as_ref().is_some_and(|assembler| assembler.in_message()),
            compression: self.inflater.is_some(),
        };
        if !rules::check(header, context) {
            return Err(first_violation(header, context).into());
        }
        self.position = if header.opcode().is_control() {
            Position::Control(Box::new(Control { header, payload: BytesMut::new() }))
        } else {
            let new = || Box::new(Assembler::new(self.whole, self.window));
            self.assembler.get_or_insert_with(new).begin_frame(header, limits)?;
            Position::Data { header, taken: 0 }
        };
        Ok(())
    }

    /// Steps 3 to 7, for as much of the payload as has come.
    #[inline]
    fn take_payload(&mut self, header: Header, bytes: &mut [u8], limits: &Limits) -> (usize, Outcome) {
        let key = header.masking_key();
        match &mut self.position {
            Position::Data { taken, .. } => {
                let assembler = self.assembler.as_mut().expect(BEGUN);
                if assembler.is_compressed() {
                    return self.take_compressed(header, bytes, limits);
                }
                let remaining = header.payload_len() - *taken;
                let room = assembler.room() as u64;
                let piece = first(bytes, remaining.min(room));
                let is_rest = piece.len() as u64 == remaining;
                let key = key.map(|key| key.rotated(*taken));
                *taken += piece.len() as u64;
                // Steps 3, 5 and 6: unmask, UTF-8 as it arrives, and assembly.
                let outcome = match assembler.push(key, piece, remaining.min(room)) {
                    Ok(()) if is_rest => self.end_data_frame(header),
                    other => other.map(|()| None),
                };
                (piece.len(), outcome)
            }
            Position::Control(control) => {
                let payload = &mut control.payload;
                let remaining = header.payload_len() - payload.len() as u64;
                let piece = first(bytes, remaining);
                if let Some(key) = key {
                    mask::apply(key, payload.len() as u64, piece);
                }
                payload.extend_from_slice(piece);
                let outcome = if piece.len() as u64 == remaining { self.end_control_frame(header) } else { Ok(None) };
                (piece.len(), outcome)
            }
            Position::Header { .. } => unreachable!("called within a frame only"),
        }
    }

    /// Steps 3 to 6 for as much of a compressed payload as has come, and there is room for what comes of it.
    #[inline(never)]
    fn take_compressed(&mut self, header: Header, bytes: &mut [u8], limits: &Limits) -> (usize, Outcome) {
        /// So much is unmasked before the inflater is asked how much of it there is room for: the rest is masked again.
        const UNMASKED: u64 = 4 << 10;
        let Position::Data { taken, .. } = &mut self.position else {
            unreachable!("called within a data frame only");
        };
        let inflater = self.inflater.as_mut().expect("the rules allow RSV1 only where it was agreed on");
        let remaining = header.payload_len() - *taken;
        let assembler = self.assembler.as_mut().expect(BEGUN);
        let is_whole = assembler.is_whole();
        let piece = first(bytes, if is_whole { remaining } else { remaining.min(UNMASKED) });
        if let Some(key) = header.masking_key() {
            mask::apply(key, *taken, piece);
        }
        let is_rest = piece.len() as u64 == remaining;
        let last = is_rest && header.fin();
        let outcome = match is_whole {
            true => assembler.push_compressed(piece, last, inflater, limits).map(|()| (piece.len(), true)),
            false => assembler.push_compressed_within(piece, last, inflater),
        };
        let (used, done) = match outcome {
            Ok(taken) => taken,
            Err(error) => return (piece.len(), Err(error)),
        };
        *taken += used as u64;
        // What there is no room for is given again, as it came.
        if let Some(key) = header.masking_key().filter(|_| used < piece.len()) {
            mask::apply(key, *taken, &mut piece[used..]);
        }
        (used, if is_rest && done { self.end_data_frame(header) } else { Ok(None) })
    }

    fn end_data_frame(&mut self, header: Header) -> Outcome {
        self.position = Position::BETWEEN_FRAMES;
        if !header.fin() {
            return Ok(None);
        }
        let assembler = self.assembler.as_mut().expect(BEGUN);
        let message = assembler.finish()?;
        self.put_away();
        Ok(Some(message.map_or(Event::MessageEnd, Event::Message)))
    }

    /// An idle connection has no use for an assembler.
    fn put_away(&mut self) {
        self.assembler.take_if(|assembler| assembler.is_idle());
    }

    /// Step 7: control frames are whole in themselves; a Close has a body of its own.
    fn end_control_frame(&mut self, header: Header) -> Outcome {
        let Position::Control(control) = core::mem::replace(&mut self.position, Position::BETWEEN_FRAMES) else {
            unreachable!("called within a control frame only");
        };
        let payload = control.payload;
        Ok(Some(match header.opcode() {
            Opcode::CLOSE => Event::Close(CloseReason::parse(&payload)?),
            Opcode::PING => Event::Ping(ControlPayload::judged(payload.freeze())),
            _ => Event::Pong(ControlPayload::judged(payload.freeze())),
        }))
    }

    /// Where more of a data frame's payload can be read to, if enough of it is to come to be worth a read of its own.
    pub(super) fn landing(&mut self) -> Option<Limit<&mut BytesMut>> {
        const WORTH: u64 = 16 << 10;
        match self.position {
            Position::Data { header, taken } => {
                let assembler = self.assembler.as_mut().expect(BEGUN);
                let most = (header.payload_len() - taken).min(assembler.room() as u64);
                (most >= WORTH && !assembler.is_compressed()).then(|| assembler.landing(most))
            }
            _ => None,
        }
    }

    /// Steps 3, 5 and 6 for what was read into the landing.
    pub(super) fn landed(&mut self) -> Outcome {
        let Position::Data { header, taken } = &mut self.position else {
            return Ok(None);
        };
        let header = *header;
        let assembler = self.assembler.as_mut().expect(BEGUN);
        let (len, outcome) = assembler.landed(header.masking_key().map(|key| key.rotated(*taken)));
        *taken += len as u64;
        let is_rest = *taken == header.payload_len();
        outcome?;
        if is_rest { self.end_data_frame(header) } else { Ok(None) }
    }

    /// Steps 1 to 6 for a large message that begins where this buffer does, and is to stay in it: what is behind it is
    /// left. `None` if it is not such a one; nothing was taken then.
    pub(super) fn adopt(&mut self, buffer: &mut BytesMut, limits: &Limits) -> Option<Outcome> {
        let Position::Header { len: 0, .. } = self.position else {
            return None;
        };
        let Parse::Complete(header) = Header::parse(buffer) else {
            return None;
        };
        let (len, arrived) = (header.payload_len(), (buffer.len() - header.size()) as u64);
        let plain = matches!(header.opcode(), Opcode::TEXT | Opcode::BINARY) && !header.rsv(1);
        let is_free = self.assembler.is_none() && self.wants_whole();
        if !plain || !is_free || !Assembler::adopts(arrived.min(len), len, buffer.capacity() as u64) {
            return None;
        }
        if let Err(error) = self.begin_frame(header, limits) {
            return Some(Err(error));
        }
        buffer.advance(header.size());
        let mut behind = BytesMut::new();
        if arrived > len {
            let len = usize::try_from(len).expect("less than what is in the buffer");
            behind.extend_from_slice(&buffer[len..]);
            buffer.truncate(len);
        }
        self.assembler.as_mut().expect(BEGUN).adopt(core::mem::replace(buffer, behind));
        Some(self.landed())
    }

    pub(super) const fn wants_whole(&self) -> bool {
        self.whole
    }

    pub(super) fn held(&self) -> usize {
        self.assembler.as_ref().map_or(0, |assembler| assembler.len())
    }

    /// Whether nothing more is taken before some of what is held is. A control frame that has begun is finished.
    #[inline]
    pub(super) fn is_held_back(&self) -> bool {
        self.assembler.as_ref().is_some_and(|assembler| assembler.is_full())
            && !matches!(self.position, Position::Control(_))
    }

    #[inline]
    pub(super) fn want(&mut self, wanted: Wanted, limits: &Limits) -> Result<(), Error> {
        match wanted {
            Wanted::Whole => self.whole = true,
            Wanted::Pieces { window } => (self.whole, self.window) = (false, Assembler::window(window)),
        }
        match &mut self.assembler {
            Some(assembler) => assembler.want(wanted, limits),
            None => Ok(()),
        }
    }

    pub(super) fn incoming(&self) -> Option<Incoming> {
        self.assembler.as_ref()?.incoming()
    }

    pub(super) fn take_piece(&mut self) -> Bytes {
        let piece = self.assembler.as_mut().map(|assembler| assembler.take_piece());
        self.put_away();
        piece.unwrap_or_default()
    }

    /// Gives up what has begun.
    pub(super) fn discard(&mut self) {
        *self = Self::new(self.sender);
    }
}

/// The first `len` bytes, or all there are.
fn first(bytes: &mut [u8], len: u64) -> &mut [u8] {
    let len = usize::try_from(len).map_or(bytes.len(), |len| len.min(bytes.len()));
    &mut bytes[..len]
}

#[cold]
fn first_violation(header: Header, context: Context) -> Violation {
    let violations = rules::violations(header, context);
    *violations.first().expect("check and violations are equal, as a test proves")
}
