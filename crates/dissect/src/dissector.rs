//! Bytes in, frames out. It never fails: what breaks the rules or is cut off becomes a frame that says so.

use core::mem;

use sockeye_proto::Role;
use sockeye_proto::frame::{Context, Header, Opcode, Parse, Violation, rules};
use sockeye_proto::mask::MaskingKey;

use crate::finding::is_decided;
use crate::inflate::Inflation;
use crate::message::Messages;
use crate::payload::take_payload;
use crate::{CloseBody, Deflate, Finding, Frame, Hint, Lost, Missing, Receiver, Sender, TextPart, field};

/// Takes the bytes of one direction of a connection apart, from the first frame on, in any pieces they come in.
///
/// It goes on where a connection would not: after a broken rule the next frame is read as if nothing had happened, and
/// [`Frame::receiver`] says what a receiver does. Its memory grows with the bytes it is given and up to
/// [`keeping`](Self::keeping), never with what a header claims; where it [inflates](Self::inflating), a byte that it is
/// given may become a thousand.
///
/// ```
/// use sockeye_dissect::{Dissector, Missing};
/// use sockeye_proto::Role;
///
/// let mut dissector = Dissector::new(Role::Client);
/// assert!(dissector.push(&[0x84, 0x67, 0x78, 0x83, 0x21, 0x22, 0x12, 0x43, 0x12]).is_empty());
/// let frame = dissector.finish().expect("the frame is cut off");
/// assert_eq!(frame.missing, Missing::Exactly(96));
/// assert_eq!(frame.findings[0].to_string(), "opcode 0x4 is reserved (RFC 6455 §5.2)");
/// assert_eq!(frame.findings[1].to_string(), "a client must mask its frames (RFC 6455 §5.1)");
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
    /// The masking key of the last frame that had one.
    last_key: Option<MaskingKey>,
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
    Payload { frame: Box<Frame>, remaining: u64 },
}

/// What becomes of bytes that are [not here](Dissector::skip).
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "either a length covers them or none does")]
pub enum Skip {
    /// They belong to the payload of the frame with this number, which goes on behind them.
    Within(u64),
    /// They end the payload of this frame.
    Ends(Box<Frame>),
    /// Where a frame begins behind them, nobody can know. This is what the frame that they begin within has, if they do.
    Beyond(Option<Box<Frame>>),
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
    /// let frames = dissector.push(&[0xC1, 0x07, 0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]);
    /// assert_eq!(frames[0].message_text(), Some("Hello"));
    /// assert_eq!(frames[0].percent(), Some(140));
    /// ```
    #[must_use]
    pub fn inflating(self, deflate: Deflate) -> Self {
        Self { inflation: Some(Inflation::new(deflate)), ..self }
    }

    /// Says that what was agreed on of permessage-deflate lets no message refer to earlier ones (RFC 7692 §7.1.1). One that
    /// does is then corrupt, as it is for its receiver. Without [`inflating`](Self::inflating) it says nothing.
    #[must_use]
    pub fn without_takeover(self) -> Self {
        Self { inflation: self.inflation.map(Inflation::without_takeover), ..self }
    }

    /// Says that so many bytes come before the first frame: those of an HTTP head, for one.
    #[must_use]
    pub fn at_offset(self, offset: u64) -> Self {
        Self { offset, ..self }
    }

    /// Whether the next byte begins a frame.
    #[must_use]
    pub fn is_between_frames(&self) -> bool {
        matches!(&self.position, Position::Header(bytes) if bytes.is_empty())
    }

    /// Takes the next bytes; gives a frame for each frame that ends in them.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Frame> {
        let mut frames = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (taken, frame) = self.step(rest);
            rest = &rest[taken..];
            frames.extend(frame);
        }
        frames
    }

    /// Passes over bytes, at least one, that were sent and are not here.
    ///
    /// Where they all belong to the payload at hand, its length covers them: the frame is read on behind them, without
    /// them. Otherwise it is not known where in them frames begin and end, and the stream is over.
    ///
    /// ```
    /// use sockeye_dissect::{Dissector, Skip};
    /// use sockeye_proto::Role;
    ///
    /// let mut dissector = Dissector::new(Role::Server);
    /// dissector.push(&[0x82, 5, 1, 2]);
    /// assert_eq!(dissector.skip(2), Skip::Within(1));
    /// let frames = dissector.push(&[5, 0x89, 0]);
    /// assert_eq!((frames[0].payload.as_slice(), frames[0].lost.unwrap().bytes), ([1, 2].as_slice(), 2));
    /// assert_eq!(frames[1].header_bytes, [0x89, 0]);
    /// assert_eq!(dissector.skip(1), Skip::Beyond(None));
    /// ```
    pub fn skip(&mut self, bytes: u64) -> Skip {
        match mem::replace(&mut self.position, Position::Header(Vec::new())) {
            Position::Payload { mut frame, remaining } if bytes <= remaining => {
                let lost = frame.lost.get_or_insert(Lost { at: frame.arrived, bytes: 0 });
                lost.bytes += bytes;
                frame.arrived += bytes;
                if let Some(message) = &mut frame.message {
                    message.len = message.len.saturating_add(bytes);
                    self.messages.skip(message);
                }
                if let Some((inflation, inflated)) = self.inflation.as_mut().zip(frame.inflated.as_mut()) {
                    inflation.skip(inflated);
                }
                let number = frame.number;
                match self.continue_frame(frame, remaining - bytes) {
                    Some(frame) => Skip::Ends(Box::new(frame)),
                    None => Skip::Within(number),
                }
            }
            position => {
                self.position = position;
                Skip::Beyond(self.cut_off().map(Box::new))
            }
        }
    }

    /// Ends the stream; gives a frame for the frame that it cuts off, if it does.
    #[must_use]
    pub fn finish(mut self) -> Option<Frame> {
        self.cut_off()
    }

    /// What there is of the frame at hand, if there is one.
    fn cut_off(&mut self) -> Option<Frame> {
        match mem::replace(&mut self.position, Position::Header(Vec::new())) {
            Position::Header(bytes) if bytes.is_empty() => None,
            Position::Header(bytes) => Some(self.cut_header(bytes)),
            Position::Payload { mut frame, remaining } => {
                frame.missing = Missing::Exactly(remaining);
                if let Some((text, part)) = self.messages.text().zip(frame.text_part.as_mut()) {
                    text.end_frame(part);
                }
                Some(self.judge_receiver(*frame))
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
            last_key: None,
            closed_at: None,
            stopped: None,
        }
    }

    /// Takes one header, or as much of one payload as there is: at least one byte.
    fn step(&mut self, bytes: &[u8]) -> (usize, Option<Frame>) {
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
                let frame = self.begin_frame(held, header);
                (missing, self.continue_frame(Box::new(frame), header.payload_len()))
            }
            Position::Payload { frame, remaining } => {
                let piece = &bytes[..usize::try_from(*remaining).map_or(bytes.len(), |len| len.min(bytes.len()))];
                let remaining = *remaining - piece.len() as u64;
                take_payload(frame, piece, remaining, &mut self.messages, self.inflation.as_mut(), self.keep);
                match mem::replace(&mut self.position, Position::Header(Vec::new())) {
                    Position::Payload { frame, .. } => (piece.len(), self.continue_frame(frame, remaining)),
                    Position::Header(_) => unreachable!("matched above"),
                }
            }
        }
    }

    /// Waits for the rest of the payload, or ends the frame if there is none.
    fn continue_frame(&mut self, frame: Box<Frame>, remaining: u64) -> Option<Frame> {
        if remaining > 0 {
            self.position = Position::Payload { frame, remaining };
            return None;
        }
        Some(self.end_frame(*frame))
    }

    /// The header has come: what it says, and what is wrong with it.
    fn begin_frame(&mut self, header_bytes: Vec<u8>, header: Header) -> Frame {
        self.assume_sender(header);
        let context = self.context();
        let mut frame = self.frame(header_bytes);
        frame.header = Some(header);
        frame.findings = rules::violations(header, context).into_iter().map(Finding::Rule).collect();
        frame.hints = Hint::of_header(header, self.last_key, &frame.findings);
        self.last_key = header.masking_key().or(self.last_key);
        frame.within_message = self.messages.open_number().filter(|_| header.opcode().is_control());
        frame.message = self.messages.begin_frame(header);
        frame.inflated = self.inflation.as_mut().and_then(|inflation| inflation.begin_frame(header));
        if frame.message.is_some() && self.messages.text().is_some() {
            frame.text_part = Some(TextPart::default());
        }
        frame
    }

    /// The payload has come: what can only be said of it as a whole.
    fn end_frame(&mut self, mut frame: Frame) -> Frame {
        let fin = frame.header.is_some_and(Header::fin);
        if frame.arrived == 0 && frame.inflated.is_some() {
            // No byte has come, and yet the message may end.
            take_payload(&mut frame, &[], 0, &mut self.messages, self.inflation.as_mut(), self.keep);
        }
        let content_len = frame.content().len() as u64;
        if let Some(message) = &mut frame.message {
            if let Some((text, part)) = self.messages.text().zip(frame.text_part.as_mut()) {
                text.end_frame(part);
                //= https://www.rfc-editor.org/rfc/rfc6455#section-8.1
                let in_payload = frame.inflated.as_ref().map_or(frame.arrived, |_| content_len);
                if let Some(at) = text.end_message(in_payload, frame.inflated.is_some()).filter(|_| fin) {
                    frame.findings.push(Finding::InvalidUtf8 { rule: Violation::InvalidUtf8InText, at });
                }
            }
            self.messages.end_frame(message, fin, &frame.payload, self.keep);
            if let Some((inflation, inflated)) = self.inflation.as_mut().zip(frame.inflated.as_mut()) {
                inflation.end_frame(inflated, message.fragment, fin);
            }
            frame.hints.extend(Hint::of_data(message, frame.inflated.as_ref(), frame.arrived, fin));
        }
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
        if frame.opcode() == Some(Opcode::CLOSE) && frame.not_kept() == 0 && frame.lost.is_none() {
            let (body, findings) = CloseBody::parse(&frame.payload);
            frame.findings.extend(findings);
            frame.close = Some(body);
        }
        self.offset = self.offset.saturating_add(frame.size());
        self.judge_receiver(frame)
    }

    /// The stream ends within a header: what is there of it, and which rules that much of it breaks.
    fn cut_header(&mut self, bytes: Vec<u8>) -> Frame {
        let there = bytes.len();
        let padded = field::padded(&bytes);
        if there >= 2 {
            self.assume_sender(padded);
        }
        let mut frame = self.frame(bytes);
        let violations = rules::violations(padded, self.context()).into_iter();
        let decided = violations.filter(|&violation| is_decided(violation, padded, 8 * there));
        frame.findings = decided.map(Finding::Rule).collect();
        let length_known = there >= 2 + padded.length_form().extra_bytes();
        let missing = if there < 2 { 1 } else { padded.size() - there } as u64;
        frame.missing = if length_known {
            // Saturates only for a length that breaks a rule, within 14 bytes of 2^64.
            Missing::Exactly(padded.payload_len().saturating_add(missing))
        } else {
            Missing::AtLeast(missing)
        };
        self.judge_receiver(frame)
    }

    fn frame(&mut self, header_bytes: Vec<u8>) -> Frame {
        self.frames += 1;
        Frame {
            number: self.frames,
            offset: self.offset,
            sender: self.sender,
            header_bytes,
            header: None,
            payload: Vec::new(),
            arrived: 0,
            lost: None,
            missing: Missing::Nothing,
            message: None,
            inflated: None,
            within_message: None,
            text_part: None,
            close: None,
            findings: Vec::new(),
            hints: Vec::new(),
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

    /// The last word on a frame: what a receiver does, here and from here on.
    fn judge_receiver(&mut self, mut frame: Frame) -> Frame {
        let is_data = frame.opcode().is_some_and(|opcode| !opcode.is_control());
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
        //# The application MUST NOT send any more data frames after sending a Close frame.
        if let Some(close) = self.closed_at.filter(|_| is_data) {
            frame.findings.push(Finding::DataAfterClose { close });
        }
        if frame.opcode() == Some(Opcode::CLOSE) && self.closed_at.is_none() {
            self.closed_at = Some(frame.number);
        }
        if let Some(stopped) = self.stopped {
            frame.receiver = stopped;
        } else if let Some(code) = frame.findings.first().and_then(|finding| finding.close_code()) {
            frame.receiver = Receiver::Fails(code);
            self.stopped = Some(Receiver::HasFailed(frame.number));
        } else if self.closed_at.is_some() {
            self.stopped = Some(Receiver::Discards(frame.number));
        }
        frame
    }
}
