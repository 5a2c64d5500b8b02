//! Compressed messages (RFC 7692): inflated as they come, with a window that is kept from one to the next.

use core::{fmt, slice};

use http::{HeaderMap, HeaderValue, header::SEC_WEBSOCKET_EXTENSIONS};
use sockeye_proto::deflate::{self, Compression, Inflater, Input};
use sockeye_proto::frame::{Header, Opcode};
use sockeye_proto::{Error, Role};

/// That permessage-deflate was agreed on, and how much of what was sent since then is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "either the first message is here or it is not")]
pub enum Deflate {
    /// All of it, from the first message on.
    FromStart,
    /// The stream was joined midway: a message may refer to earlier ones that are not here.
    Joined,
}

/// What a frame of a compressed message adds to it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inflated {
    /// What this frame's payload inflates to, given the frames before it; empty where it is too long to be shown.
    pub payload: Vec<u8>,
    /// Bytes of the message, inflated, up to the end of this frame or of the stream.
    pub len: u64,
    /// What the payload of all frames inflates to, on the one that ends a message of several, if all of it is good.
    pub assembled: Option<Vec<u8>>,
    /// How far inflating has come, up to the end of this frame or of the stream.
    pub outcome: InflateOutcome,
}

/// How far inflating a message has come. What is not good ends it: the rest of the message is not inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InflateOutcome {
    /// All that has come is inflated.
    Good,
    /// It refers to something before the window that is known: not a fault, as what was sent there is not here.
    WindowUnknown,
    /// It inflates to more than so many bytes.
    TooLong(usize),
    /// It has more than so many bytes that inflate to next to nothing.
    TooManyBytes(usize),
    /// It is no deflated data, which shows at this byte of the message's payload, from 0 and over all frames. (The last
    /// one stands for the four too that a receiver puts behind it, §7.2.2.)
    Corrupt(u64),
}

/// In words: `compressed, window unknown`.
impl fmt::Display for InflateOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good => f.write_str("inflated"),
            Self::WindowUnknown => f.write_str("compressed, window unknown"),
            Self::TooLong(limit) => write!(f, "inflates to more than {limit} bytes, not shown"),
            Self::TooManyBytes(limit) => write!(f, "more than {limit} bytes, not inflated any further"),
            Self::Corrupt(at) => write!(f, "corrupt at byte {at} of the compressed message"),
        }
    }
}

/// Follows the compressed messages of one direction.
///
/// Where it is not known whether messages may refer to earlier ones, the window is kept: that inflates those of a sender
/// who does, and of one who does not.
#[derive(Debug)]
pub(crate) struct Inflation {
    /// Whether a message may refer to earlier ones.
    takeover: bool,
    inflater: Inflater,
    /// Bytes that a message can refer to, and that are here. From [`WINDOW`] on it can refer to nothing else.
    window: u64,
    /// The compressed message that has begun and not ended.
    open: Option<OpenMessage>,
}

#[derive(Debug)]
struct OpenMessage {
    outcome: InflateOutcome,
    /// Bytes so far, compressed and inflated.
    taken: u64,
    len: u64,
    /// What the frames before this one inflate to; a message in one frame puts nothing here.
    payload: Vec<u8>,
}

/// The furthest that a reference reaches back, for any window that can be agreed on (RFC 1951 §2).
const WINDOW: u64 = 32 << 10;

/// Room for what a step inflates to: what a connection's has, so that both stop at the same place.
const STEP: usize = 16 << 10;

impl Inflation {
    pub(crate) fn new(deflate: Deflate) -> Self {
        let window = match deflate {
            // Before the first message there is nothing to refer to.
            Deflate::FromStart => WINDOW,
            Deflate::Joined => 0,
        };
        Self { takeover: true, inflater: inflater(true), window, open: None }
    }

    /// Says that no message may refer to earlier ones.
    pub(crate) fn without_takeover(self) -> Self {
        Self { takeover: false, inflater: inflater(false), ..self }
    }

    /// Begins a data frame; gives its part of a compressed message, if it is one's.
    pub(crate) fn begin_frame(&mut self, header: Header) -> Option<Inflated> {
        //= https://www.rfc-editor.org/rfc/rfc7692#section-6
        match header.opcode() {
            Opcode::TEXT | Opcode::BINARY => {
                // One that has not ended is given up, and with it what later ones may refer to.
                if self.open.take().is_some() {
                    self.forget();
                }
                let begun = OpenMessage { outcome: InflateOutcome::Good, taken: 0, len: 0, payload: Vec::new() };
                self.open = header.rsv(1).then_some(begun);
                if !self.takeover {
                    // All that the message can refer to is here: nothing.
                    self.window = WINDOW;
                }
            }
            Opcode::CONTINUATION => {}
            _ => return None,
        }
        let open = self.open.as_ref()?;
        Some(Inflated { payload: Vec::new(), len: open.len, assembled: None, outcome: open.outcome })
    }

    /// Inflates the next piece of a payload; `last` ends the message, which may inflate to at most `limit` bytes.
    ///
    /// It goes byte by byte: what is no deflated data takes with it whatever came of the same piece before, and where a
    /// piece ends must make no difference to what is seen.
    pub(crate) fn feed(&mut self, piece: &[u8], last: bool, limit: usize, part: &mut Inflated) {
        let Some(open) = &mut self.open else { return };
        let mut failed = None;
        let mut scratch = [0; STEP];
        let mut take = |mut input: Input<'_>| {
            loop {
                let step = self.inflater.step(&mut input, limit, &mut scratch)?;
                part.payload.extend_from_slice(&scratch[..step.written]);
                open.len += step.written as u64;
                self.window += step.written as u64;
                if step.done {
                    return Ok::<_, Error>(());
                }
            }
        };
        if open.outcome == InflateOutcome::Good {
            let (parts, end) = piece.split_at(piece.len().saturating_sub(usize::from(last)));
            for byte in parts {
                failed = take(Input::part(slice::from_ref(byte))).err();
                if failed.is_some() {
                    break;
                }
                open.taken += 1;
            }
            if last && failed.is_none() {
                failed = take(Input::last(end)).err();
            }
        }
        if let Some(error) = failed {
            open.outcome = match error {
                Error::Violation(_) if self.window >= WINDOW => InflateOutcome::Corrupt(open.taken),
                Error::Violation(_) => InflateOutcome::WindowUnknown,
                _ if self.inflater.produced() > limit => InflateOutcome::TooLong(limit),
                _ => InflateOutcome::TooManyBytes(Inflater::most_input(limit)),
            };
            open.payload = Vec::new();
            self.forget();
        }
        if let Some(open) = &self.open {
            (part.len, part.outcome) = (open.len, open.outcome);
        }
    }

    /// Bytes of the frame at hand are not here: the rest of the message cannot be inflated, nor what refers to it.
    pub(crate) fn skip(&mut self, part: &mut Inflated) {
        let Some(open) = &mut self.open else { return };
        if open.outcome == InflateOutcome::Good {
            (open.outcome, open.payload) = (InflateOutcome::WindowUnknown, Vec::new());
            part.outcome = open.outcome;
            self.forget();
        }
    }

    /// Ends a frame that is whole.
    pub(crate) fn end_frame(&mut self, part: &mut Inflated, fragment: u64, fin: bool) {
        let Some(open) = &mut self.open else { return };
        let is_good = open.outcome == InflateOutcome::Good;
        if is_good && (!fin || fragment > 1) {
            open.payload.extend_from_slice(&part.payload);
        }
        if fin {
            part.assembled = (is_good && fragment > 1).then(|| core::mem::take(&mut open.payload));
            self.open = None;
        }
    }

    /// Begins a new window: what later messages refer to is no longer known.
    fn forget(&mut self) {
        self.inflater = inflater(self.takeover);
        self.window = 0;
    }
}

/// Which role it inflates for makes no difference: both are said to do the same.
fn inflater(takeover: bool) -> Inflater {
    let answer = HeaderValue::from_static(match takeover {
        // What is agreed on where nobody asks for less.
        true => "permessage-deflate",
        false => "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
    });
    let response = HeaderMap::from_iter([(SEC_WEBSOCKET_EXTENSIONS, answer)]);
    let verified = deflate::verify(&response, &Compression::takeover().window_bits(15));
    let params = verified.ok().flatten().expect("it is a good answer");
    Inflater::new(params, Role::Client)
}
