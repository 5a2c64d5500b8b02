//! What an endpoint wants of permessage-deflate.

use super::Settings;

/// Whether to compress, and how: the configuration of one end. [`OFF`](Self::OFF) by default.
///
/// ```
/// use sockeye_proto::deflate::Compression;
///
/// let compression = Compression::no_takeover().threshold(1024).level(3);
/// assert!(compression.is_on());
/// assert!(!Compression::default().is_on());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compression {
    on: bool,
    takeover: bool,
    peer_takeover: bool,
    window_bits: u8,
    peer_window_bits: u8,
    level: u8,
    memory_level: u8,
    threshold: usize,
}

impl Default for Compression {
    fn default() -> Self {
        Self::OFF
    }
}

impl Compression {
    /// No compression: nothing is offered, and no offer accepted. The other settings are kept, and mean nothing.
    pub const OFF: Self = Self {
        on: false,
        takeover: false,
        peer_takeover: false,
        // Messages of up to 4 KiB gain nothing from a larger window.
        window_bits: 12,
        // The state to inflate with has the same size for every window, so nothing is gained by asking for less.
        peer_window_bits: 15,
        // zlib's default, as others have it: docs/decisions.md has what the others of both would cost and save. Memory levels
        // below 4 cut a message of 1 KiB into many blocks, which takes longer for more bytes; those above change nothing.
        level: 6,
        memory_level: 4,
        // Under it the bytes saved are fewer than a packet's headers, for microseconds on both ends.
        threshold: 512,
    };

    /// Each message is compressed by itself, in both directions: a connection that is idle holds no state for it.
    #[must_use]
    pub const fn no_takeover() -> Self {
        Self { on: true, ..Self::OFF }
    }

    /// Messages may refer to earlier ones, in both directions: much smaller where they resemble each other, for about
    /// 222 KB on each connection that has used it both ways (the [table](super#what-it-costs)). Who spends that wants small
    /// messages, so the window has 13 bits.
    #[must_use]
    pub const fn takeover() -> Self {
        // From the same figures: 13 bits are worth a tenth of the bytes against 12 for 16 KiB of memory, 15 bits another
        // fiftieth for 96 KiB.
        Self { takeover: true, peer_takeover: true, window_bits: 13, ..Self::no_takeover() }
    }

    /// Whether what we send may refer to what we sent before (§7.1.1).
    #[must_use]
    pub const fn context_takeover(self, allowed: bool) -> Self {
        Self { takeover: allowed, ..self }
    }

    /// Whether the peer may do so. Where not, a server obliges the client, and a client fails a connection to a server
    /// that does not oblige itself.
    #[must_use]
    pub const fn peer_context_takeover(self, allowed: bool) -> Self {
        Self { peer_takeover: allowed, ..self }
    }

    /// How far back what we send refers at most: 2 to this power bytes (§7.1.2). 12 unless set, 13 with
    /// [`takeover`](Self::takeover).
    ///
    /// # Panics
    /// Unless it is one of 8 to 15.
    #[must_use]
    pub const fn window_bits(self, bits: u8) -> Self {
        assert!(8 <= bits && bits <= 15, "a window has 8 to 15 bits");
        Self { window_bits: bits, ..self }
    }

    /// How far back the peer may refer. 15 unless set, and there is no reason to set less but a peer's comfort: inflating
    /// takes the same memory for every window, and references of up to 32 KiB are understood whatever was agreed on.
    ///
    /// A client asks the server for it with `server_max_window_bits`; a server asks the client, if its offer allows that.
    ///
    /// # Panics
    /// Unless it is one of 8 to 15.
    #[must_use]
    pub const fn peer_window_bits(self, bits: u8) -> Self {
        assert!(8 <= bits && bits <= 15, "a window has 8 to 15 bits");
        Self { peer_window_bits: bits, ..self }
    }

    /// How hard to look for repetitions, from 1 (fast) to 9 (small). 0 looks for none, so that everything is sent plain.
    /// 6 unless set, which is zlib's own default.
    ///
    /// # Panics
    /// Unless it is one of 0 to 9.
    #[must_use]
    pub const fn level(self, level: u8) -> Self {
        assert!(level <= 9, "a level is one of 0 to 9");
        Self { level, ..self }
    }

    /// How many symbols go into one block, and how much memory that takes: about 2 to the power of `level` + 9 bytes.
    /// 4 unless set.
    ///
    /// # Panics
    /// Unless it is one of 1 to 9.
    #[must_use]
    pub const fn memory_level(self, level: u8) -> Self {
        assert!(1 <= level && level <= 9, "a memory level is one of 1 to 9");
        Self { memory_level: level, ..self }
    }

    /// Messages of fewer bytes are sent plain. 512 unless set.
    #[must_use]
    pub const fn threshold(self, bytes: usize) -> Self {
        Self { threshold: bytes, ..self }
    }

    /// Whether it is anything but [`OFF`](Self::OFF).
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.on
    }

    pub(super) const fn takes_over(&self) -> bool {
        self.takeover
    }

    pub(super) const fn lets_peer_take_over(&self) -> bool {
        self.peer_takeover
    }

    pub(super) const fn own_bits(&self) -> u8 {
        self.window_bits
    }

    pub(super) const fn peer_bits(&self) -> u8 {
        self.peer_window_bits
    }

    pub(super) const fn min_len(&self) -> usize {
        self.threshold
    }

    /// How to compress within a window that was agreed on.
    pub(super) const fn settings(&self, window_bits: u8) -> Settings {
        Settings::new(self.level, window_bits, self.memory_level)
    }
}
