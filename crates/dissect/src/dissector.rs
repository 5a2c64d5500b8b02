//! Bytes in, records out. It never fails: what breaks the rules or is cut off becomes a record that says so.

use core::mem;

use sockeye_proto::frame::{Context, Header, Opcode, Parse, Violation, rules};
use sockeye_proto::{Role, mask};

use crate::finding::is_decided;
use crate::inflate::Inflation;
use crate::message::Messages;
use crate::{BadUtf8, CloseBody, Deflate, Finding, InflateOutcome, Missing, Receiver, Record, Sender, TextPart, field};

/// Takes the bytes of one direction of a connection apart, from the first frame on, in any pieces they come in.
///
/// It goes on where a connection would not: after a broken rule the next frame is read as if nothing had happened, and
/// [`Record::receiver`] says what a receiver does. Its memory grows with the bytes it is given and up to
/// [`keeping`](Self::keeping), never with what a header claims; where it [inflates](Self::inflating), a byte that it is
/// given may become a thousand.
///
/// ```
/// use sockeye_dissect::{Dissector, Missing};
/// use sockeye_proto::Role;
///
/// let mut dissector = Dissector::new(Role::Client);
/// assert!(dissector.push(&[0x84, 0x67, 0x78, 0x83, 0x21, 0x22, 0x12, 0x43, 0x12]).is_empty());
/// let record = dissector.finish().expect("the frame is cut off");
/// assert_eq!(record.missing, Missing::Exactly(96));
/// assert_eq!(record.findings[0].to_string(), "opcode 0x4 is reserved (RFC 6455 §5.2)");
/// assert_eq!(record.findings[1].to_string(), "a client must mask its frames (RFC 6455 §5.1)");
/// ```
#[derive(Debug)]
pub struct Dissector {
    sender: Sender,
    keep: usize,
    /// Frames begun, the one at hand included.
    frames: u64,
    /// Where the frame at hand begins.
    offset: u64,
    position: Position,
    messages: Messages,
    /// There where permessage-deflate was agreed on.
    inflation: Option<Inflation>,
    /// The first Close frame.
    closed_at: Option<u64>,
    /// What becomes of the frames after the one that failed the connection or closed it.
    stopped: Option<Receiver>,
}

#[derive(Debug)]
enum Position {
    /// Within a header, of which these bytes have come; between frames none have.
    Header(Vec<u8>),
    /// Within a payload, of which this much is still to come.
    Payload { record: Box<Record>, remaining: u64 },
}

impl Dissector {
    /// How much is kept of a payload, and of a message over several frames, unless it is set: 64 MiB, what `sockeye
    /// serve` takes as a message.
    pub const KEEP: usize = 64 << 20;

    /// A dissector for what this role has sent.
    #[must_use]
    pub fn new(sender: Role) -> Self {
        Self::from_sender(Sender::Given(sender))
    }

    /// A dissector that takes the sender for a client if the first frame is masked, else for a server.
    #[must_use]
    pub fn assuming_sender() -> Self {
        Self::from_sender(Sender::Unknown)
    }

    /// Sets how many bytes of a payload, and of a message over several frames, are kept to be shown. What is beyond is
    /// counted and checked, then forgotten. At least a control frame's 125 are kept.
    #[must_use]
    pub fn keeping(self, bytes: usize) -> Self {
        Self { keep: bytes.max(125), ..self }
    }

    /// Says that both ends have agreed on permessage-deflate (RFC 7692), and from where on the stream is here. A message
    /// whose first frame has RSV1 is then inflated; without it, RSV1 breaks a rule.
    ///
    /// A message that inflates to more than is [kept](Self::keeping) is not shown inflated, nor judged any further. No
    /// rule has a limit, so that is not one broken.
    ///
    /// ```
    /// use sockeye_dissect::{Deflate, Dissector};
    /// use sockeye_proto::Role;
    ///
    /// // The "Hello" of RFC 7692 §7.2.3.1.
    /// let mut dissector = Dissector::new(Role::Server).inflating(Deflate::FromStart);
    /// let records = dissector.push(&[0xC1, 0x07, 0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]);
    /// assert_eq!(records[0].message_text(), Some("Hello"));
    /// assert_eq!(records[0].percent(), Some(140));
    /// ```
    #[must_use]
    pub fn inflating(self, deflate: Deflate) -> Self {
        Self { inflation: Some(Inflation::new(deflate)), ..self }
    }

    /// Takes the next bytes; gives a record for each frame that ends in them.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Record> {
        let mut records = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (taken, record) = self.step(rest);
            rest = &rest[taken..];
            records.extend(record);
        }
        records
    }

    /// Ends the stream; gives a record for the frame that it cuts off, if it does.
    #[must_use]
    pub fn finish(mut self) -> Option<Record> {
        match mem::replace(&mut self.position, Position::Header(Vec::new())) {
            Position::Header(bytes) if bytes.is_empty() => None,
            Position::Header(bytes) => Some(self.cut_header(bytes)),
            Position::Payload { mut record, remaining } => {
                record.missing = Missing::Exactly(remaining);
                if let Some((text, part)) = self.messages.text().zip(record.text_part.as_mut()) {
                    text.end_frame(part);
                }
                Some(self.judge_receiver(*record))
            }
        }
    }

    fn from_sender(sender: Sender) -> Self {
        Self {
            sender,
            keep: Self::KEEP,
            frames: 0,
            offset: 0,
            position: Position::Header(Vec::new()),
            messages: Messages::default(),
            inflation: None,
            closed_at: None,
            stopped: None,
        }
    }

    /// Takes one header, or as much of one payload as there is: at least one byte.
    fn step(&mut self, bytes: &[u8]) -> (usize, Option<Record>) {
        match &mut self.position {
            Position::Header(held) => {
                let missing = match Header::parse(held) {
                    Parse::Partial { missing } => missing.min(bytes.len()),
                    Parse::Complete(_) => 0,
                };
                held.extend_from_slice(&bytes[..missing]);
                let Parse::Complete(header) = Header::parse(held) else {
                    return (missing, None);
                };
                let held = mem::take(held);
                let record = self.begin_frame(held, header);
                (missing, self.continue_frame(Box::new(record), header.payload_len()))
            }
            Position::Payload { record, remaining } => {
                let piece = &bytes[..usize::try_from(*remaining).map_or(bytes.len(), |len| len.min(bytes.len()))];
                let remaining = *remaining - piece.len() as u64;
                take_payload(record, piece, remaining, &mut self.messages, self.inflation.as_mut(), self.keep);
                match mem::replace(&mut self.position, Position::Header(Vec::new())) {
                    Position::Payload { record, .. } => (piece.len(), self.continue_frame(record, remaining)),
                    Position::Header(_) => unreachable!("matched above"),
                }
            }
        }
    }

    /// Waits for the rest of the payload, or ends the frame if there is none.
    fn continue_frame(&mut self, record: Box<Record>, remaining: u64) -> Option<Record> {
        if remaining > 0 {
            self.position = Position::Payload { record, remaining };
            return None;
        }
        Some(self.end_frame(*record))
    }

    /// The header has come: what it says, and what is wrong with it.
    fn begin_frame(&mut self, header_bytes: Vec<u8>, header: Header) -> Record {
        self.assume_sender(header);
        let context = self.context();
        let mut record = self.record(header_bytes);
        record.header = Some(header);
        record.findings = rules::violations(header, context).into_iter().map(Finding::Rule).collect();
        record.within_message = self.messages.open_number().filter(|_| header.opcode().is_control());
        record.message = self.messages.begin_frame(header);
        record.inflated = self.inflation.as_mut().and_then(|inflation| inflation.begin_frame(header));
        if record.message.is_some() && self.messages.text().is_some() {
            record.text_part = Some(TextPart::default());
        }
        record
    }

    /// The payload has come: what can only be said of it as a whole.
    fn end_frame(&mut self, mut record: Record) -> Record {
        let fin = record.header.is_some_and(Header::fin);
        if record.arrived == 0 && record.inflated.is_some() {
            // No byte has come, and yet the message may end.
            take_payload(&mut record, &[], 0, &mut self.messages, self.inflation.as_mut(), self.keep);
        }
        let content_len = record.content().len() as u64;
        if let Some(message) = &mut record.message {
            if let Some((text, part)) = self.messages.text().zip(record.text_part.as_mut()) {
                text.end_frame(part);
                //= https://www.rfc-editor.org/rfc/rfc6455#section-8.1
                let in_payload = record.inflated.as_ref().map_or(record.arrived, |_| content_len);
                if let Some(at) = text.end_message(in_payload, record.inflated.is_some()).filter(|_| fin) {
                    record.findings.push(Finding::InvalidUtf8 { rule: Violation::InvalidUtf8InText, at });
                }
            }
            self.messages.end_frame(message, fin, &record.payload, self.keep);
            if let Some((inflation, inflated)) = self.inflation.as_mut().zip(record.inflated.as_mut()) {
                inflation.end_frame(inflated, message.fragment, fin);
            }
        }
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
        if record.opcode() == Some(Opcode::CLOSE) && record.not_kept() == 0 {
            let (body, findings) = CloseBody::parse(&record.payload);
            record.findings.extend(findings);
            record.close = Some(body);
        }
        self.offset += record.size();
        self.judge_receiver(record)
    }

    /// The stream ends within a header: what is there of it, and which rules that much of it breaks.
    fn cut_header(&mut self, bytes: Vec<u8>) -> Record {
        let there = bytes.len();
        let padded = field::padded(&bytes);
        if there >= 2 {
            self.assume_sender(padded);
        }
        let mut record = self.record(bytes);
        let violations = rules::violations(padded, self.context()).into_iter();
        let decided = violations.filter(|&violation| is_decided(violation, padded, 8 * there));
        record.findings = decided.map(Finding::Rule).collect();
        let length_known = there >= 2 + padded.length_form().extra_bytes();
        let missing = if there < 2 { 1 } else { padded.size() - there } as u64;
        record.missing = if length_known {
            // Saturates only for a length that breaks a rule, within 14 bytes of 2^64.
            Missing::Exactly(padded.payload_len().saturating_add(missing))
        } else {
            Missing::AtLeast(missing)
        };
        self.judge_receiver(record)
    }

    fn record(&mut self, header_bytes: Vec<u8>) -> Record {
        self.frames += 1;
        Record {
            number: self.frames,
            offset: self.offset,
            sender: self.sender,
            header_bytes,
            header: None,
            payload: Vec::new(),
            arrived: 0,
            missing: Missing::Nothing,
            message: None,
            inflated: None,
            within_message: None,
            text_part: None,
            close: None,
            findings: Vec::new(),
            receiver: Receiver::Takes,
        }
    }

    fn assume_sender(&mut self, first: Header) {
        if self.sender == Sender::Unknown {
            self.sender = Sender::Assumed(if first.masked() { Role::Client } else { Role::Server });
        }
    }

    fn context(&self) -> Context {
        Context {
            // Not known within the first byte only, which says nothing of masks.
            sender: self.sender.role().unwrap_or(Role::Client),
            in_message: self.messages.open_number().is_some(),
            compression: self.inflation.is_some(),
        }
    }

    /// The last word on a record: what a receiver does, here and from here on.
    fn judge_receiver(&mut self, mut record: Record) -> Record {
        let is_data = record.opcode().is_some_and(|opcode| !opcode.is_control());
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
        //# The application MUST NOT send any more data frames after sending a Close frame.
        if let Some(close) = self.closed_at.filter(|_| is_data) {
            record.findings.push(Finding::DataAfterClose { close });
        }
        if record.opcode() == Some(Opcode::CLOSE) && self.closed_at.is_none() {
            self.closed_at = Some(record.number);
        }
        if let Some(stopped) = self.stopped {
            record.receiver = stopped;
        } else if let Some(code) = record.findings.first().and_then(|finding| finding.close_code()) {
            record.receiver = Receiver::Fails(code);
            self.stopped = Some(Receiver::HasFailed(record.number));
        } else if self.closed_at.is_some() {
            self.stopped = Some(Receiver::Discards(record.number));
        }
        record
    }
}

/// The next piece of a frame's payload, and how much comes after it: unmasked, kept, inflated if it is compressed, and
/// walked along if it is text.
fn take_payload(
    record: &mut Record,
    piece: &[u8],
    remaining: u64,
    messages: &mut Messages,
    inflation: Option<&mut Inflation>,
    keep: usize,
) {
    let mut piece = piece.to_vec();
    if let Some(key) = record.header.and_then(Header::masking_key) {
        mask::apply(key, record.arrived, &mut piece);
    }
    let room = keep - record.payload.len();
    record.payload.extend_from_slice(&piece[..piece.len().min(room)]);
    let before = record.inflated.as_ref().map_or(record.arrived, |inflated| inflated.payload.len() as u64);
    record.arrived += piece.len() as u64;
    if let Some(message) = &mut record.message {
        message.len += piece.len() as u64;
    }

    let mut outcome = InflateOutcome::Good;
    if let Some((inflation, inflated)) = inflation.zip(record.inflated.as_mut()) {
        let (already, so_far) = (inflated.outcome, inflated.payload.len());
        let last = remaining == 0 && record.header.is_some_and(Header::fin);
        inflation.feed(&piece, last, keep, inflated);
        piece = inflated.payload[so_far..].to_vec();
        if inflated.outcome != already {
            outcome = inflated.outcome;
        }
    }
    if let Some((text, part)) = messages.text().zip(record.text_part.as_mut())
        && let Err(bad) = text.feed(record.number, &piece, part)
    {
        let inflated = record.inflated.is_some();
        let at = BadUtf8 { byte: Some(piece[bad]), in_payload: before + bad as u64, in_text: text.len(), inflated };
        record.findings.push(Finding::InvalidUtf8 { rule: Violation::InvalidUtf8InText, at });
        messages.break_text();
    }
    // Where inflating ends, so does what can be said of the text.
    match outcome {
        InflateOutcome::Good => return,
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
        InflateOutcome::Corrupt(_) => record.findings.push(Finding::Rule(Violation::CorruptDeflate)),
        InflateOutcome::TooLong(_) | InflateOutcome::TooManyBytes(_) => {
            record.text_part = None;
            if let Some(inflated) = &mut record.inflated {
                inflated.payload = Vec::new();
            }
        }
        InflateOutcome::WindowUnknown => {}
    }
    messages.break_text();
}
