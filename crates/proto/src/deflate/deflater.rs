//! Compressing (RFC 7692 §7.2.1): a whole message to the payload it is sent as.

use core::fmt;

use bytes::{Bytes, BytesMut};
use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Method, Strategy};

use super::{Compression, Params, TAIL, pool};
use crate::role::Role;

/// Compresses what one end sends.
///
/// # In step with the peer
/// With context takeover the two ends hold the same past only as long as the peer inflates everything we deflate, in our
/// order. So what was compressed is either sent, or forgotten here: when a message did not shrink and goes out plain, the
/// next one refers to nothing before it. The peer need not know, for its past is longer than ours, and ends with it. A
/// message that never came here disturbs nobody.
pub struct Deflater {
    settings: Settings,
    threshold: usize,
    /// With takeover the state, once a message has needed it.
    context: Option<Context>,
}

#[derive(Default)]
struct Context {
    state: Option<Box<Deflate>>,
    /// The state knows something the peer will not see, or has no use for any more.
    stale: bool,
}

impl Deflater {
    /// For what `sender` sends. Allocates nothing before the first message.
    #[must_use]
    pub fn new(compression: &Compression, params: Params, sender: Role) -> Self {
        Self {
            settings: compression.settings(params.window_bits(sender).min(compression.own_bits())),
            threshold: compression.min_len(),
            context: params.takeover(sender).then(Context::default),
        }
    }

    /// Whether a message of this length is worth the attempt: not below the
    /// [threshold](Compression::threshold).
    #[must_use]
    pub const fn wants(&self, len: usize) -> bool {
        len >= self.threshold
    }

    /// Compresses a message and appends the payload to `out`. Says whether it is smaller than the message; if not, nothing
    /// was appended, and the message is to be sent plain.
    ///
    /// What was appended must be sent, as one message after those before it. An empty message, which cannot shrink, is the
    /// one byte of §7.2.3.6, and does not touch the context.
    #[must_use = "a message that did not shrink is to be sent plain"]
    pub fn compress(&mut self, message: &[u8], out: &mut BytesMut) -> bool {
        let Some(context) = &mut self.context else {
            return self.settings.compress_into(message, out);
        };
        if message.is_empty() {
            out.extend_from_slice(EMPTY);
            return true;
        }
        if self.settings.level == 0 {
            return false;
        }
        let state = match &mut context.state {
            Some(state) => {
                if context.stale {
                    state.reset();
                }
                state
            }
            none => none.insert(Box::new(self.settings.start())),
        };
        let end = self.settings.run(state, message, out);
        context.stale = end != End::Smaller;
        if end == End::GivenUp {
            context.state = None;
        }
        end == End::Smaller
    }

    /// Makes the next message refer to nothing before it, so that one which was compressed elsewhere
    /// ([`Settings::compress`]) can be sent in between.
    pub fn forget(&mut self) {
        if let Some(context) = &mut self.context {
            context.stale = true;
        }
    }

    /// How it compresses: two with the same settings can share what either makes of a message by
    /// [`Settings::compress`]. Where there is context takeover, [`forget`](Self::forget) before sending it.
    #[must_use]
    pub const fn settings(&self) -> Settings {
        self.settings
    }

    /// Whether messages refer to earlier ones.
    #[must_use]
    pub const fn takes_over(&self) -> bool {
        self.context.is_some()
    }
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflater")
            .field("settings", &self.settings)
            .field("threshold", &self.threshold)
            .field("takeover", &self.takes_over())
            .field("holds_state", &self.context.as_ref().is_some_and(|context| context.state.is_some()))
            .finish()
    }
}

/// How to compress: what the payload of a message depends on besides the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    level: u8,
    window_bits: u8,
    memory_level: u8,
}

/// The payload of an empty message: the beginning of an empty stored block, of which the rest is the tail.
const EMPTY: &[u8] = &[0x00];

impl Settings {
    /// For a window that was agreed on.
    pub(super) const fn new(level: u8, window_bits: u8, memory_level: u8) -> Self {
        // A window of 256 bytes is not to be had, but one of 512 will do: deflate looks back no further than the window's
        // size less 262 bytes (its longest match and what it reads ahead), and that is 250. A test measures it.
        let window_bits = if window_bits < 9 { 9 } else { window_bits };
        Self { level, window_bits, memory_level }
    }

    /// Compresses a message by itself, for any number of connections with these settings: the payload, or none where it
    /// would not be smaller than the message.
    ///
    /// ```
    /// use sockeye_proto::{Role, deflate::{Compression, Deflater, verify}};
    /// # use http::{HeaderMap, HeaderValue, header::SEC_WEBSOCKET_EXTENSIONS};
    /// # let compression = Compression::no_takeover();
    /// # let answer = HeaderValue::from_static("permessage-deflate; server_no_context_takeover");
    /// # let response = HeaderMap::from_iter([(SEC_WEBSOCKET_EXTENSIONS, answer)]);
    /// # let params = verify(&response, &compression)?.unwrap();
    /// let settings = Deflater::new(&compression, params, Role::Client).settings();
    /// let payload = settings.compress(&[b'.'; 1000]).expect("that shrinks");
    /// assert!(payload.len() < 20);
    /// assert_eq!(settings.compress(b"?!"), None);
    /// # Ok::<(), sockeye_proto::deflate::NegotiationError>(())
    /// ```
    #[must_use]
    pub fn compress(self, message: &[u8]) -> Option<Bytes> {
        let mut payload = BytesMut::new();
        self.compress_into(message, &mut payload).then(|| payload.freeze())
    }

    fn compress_into(self, message: &[u8], out: &mut BytesMut) -> bool {
        if message.is_empty() {
            out.extend_from_slice(EMPTY);
            return true;
        }
        if self.level == 0 {
            return false;
        }
        let mut state = pool::deflate(self);
        let end = self.run(&mut state, message, out);
        if end != End::GivenUp {
            pool::return_deflate(self, state);
        }
        end == End::Smaller
    }

    /// A new state.
    pub(super) fn start(self) -> Deflate {
        Deflate::new_with_config(DeflateConfig {
            level: self.level.into(),
            method: Method::Deflated,
            // Negative: raw, without zlib's header and checksum.
            window_bits: -i32::from(self.window_bits),
            mem_level: self.memory_level.into(),
            strategy: Strategy::Default,
        })
    }

    /// Compresses with a state. If the result is not smaller, takes it back; the state has seen the message all the same.
    fn run(self, state: &mut Deflate, message: &[u8], out: &mut BytesMut) -> End {
        let start = out.len();
        let end = pool::with_scratch(|scratch| {
            let mut taken = 0;
            loop {
                let (before_in, before_out) = (state.total_in(), state.total_out());
                // The flush brings it to a byte's end, with an empty stored block.
                if state.compress(&message[taken..], scratch, DeflateFlush::SyncFlush).is_err() {
                    return End::GivenUp;
                }
                taken += usize::try_from(state.total_in() - before_in).unwrap_or(usize::MAX);
                let written = usize::try_from(state.total_out() - before_out).unwrap_or(usize::MAX);
                out.extend_from_slice(&scratch[..written]);
                let len = out.len() - start;
                // With room left the flush is complete. (Where it just fitted, the next round adds a second one: five
                // bytes too many, and nothing else.)
                if written < scratch.len() {
                    let smaller = len < message.len() + TAIL.len() && out.ends_with(TAIL);
                    return if smaller { End::Smaller } else { End::NotSmaller };
                }
                if len >= message.len() + TAIL.len() || self.is_hopeless(taken, len) {
                    return End::GivenUp;
                }
            }
        });
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
        //# 3.  Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end.
        let keep = if end == End::Smaller { out.len() - TAIL.len() } else { start };
        out.truncate(keep);
        end
    }

    /// Whether the beginning of a message has not shrunk at all: then it is a picture or the like, and the rest is not
    /// worth the time.
    const fn is_hopeless(self, taken: usize, len: usize) -> bool {
        // What the state has taken and not put out: two windows, and a block of symbols.
        let held = (2 << self.window_bits) + (64 << self.memory_level);
        taken >= 2 * held && len + held >= taken
    }
}

/// How the attempt to compress a message ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Smaller,
    NotSmaller,
    /// Not smaller, and not brought to its end. Such a state is not to be used again: a reset in zlib-rs 0.6.8 forgets
    /// output that waits without giving its room back, so that a later message would not find enough and panic.
    GivenUp,
}
