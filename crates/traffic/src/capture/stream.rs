//! One direction of a TCP connection: segments in, bytes in order out.

use std::collections::BTreeMap;

/// What a stream has next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Bytes that were sent.
    Bytes(Vec<u8>),
    /// So many that were sent and are not in the capture.
    Missing(u64),
}

/// Bytes that wait for those before them, in one stream, at most: more than any window in use.
const WAITING: usize = 8 << 20;
/// Segments that come after the other end has acknowledged what is missing, until it is given up: capturing may change the
/// order of a few.
const LATE: u32 = 16;

/// One direction of a TCP connection.
///
/// Places are counted from the first byte; a sequence number of 32 bits means the place that is nearest.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// The sequence number of the first byte; `None` before any segment.
    first: Option<u32>,
    /// Bytes given, those that are missing included.
    next: u64,
    /// Segments that came before their turn, by place. They may overlap.
    waiting: BTreeMap<u64, Vec<u8>>,
    waiting_bytes: usize,
    /// As much has the other end received.
    acknowledged: u64,
    /// Segments since it has what is missing here.
    late: u32,
    /// The place behind the last byte, once FIN has come.
    end: Option<u64>,
}

impl Stream {
    /// Says which sequence number the first byte has. Only the first word counts.
    pub(super) fn begin(&mut self, seq: u32) {
        self.first.get_or_insert(seq);
    }

    /// Whether a SYN with this number begins another connection.
    pub(super) fn is_other(&self, seq: u32) -> bool {
        self.first.is_some_and(|first| first != seq)
    }

    /// Bytes that wait for others.
    pub(super) const fn waiting(&self) -> usize {
        self.waiting_bytes
    }

    /// Whether all that was sent has been given.
    pub(super) fn has_ended(&self) -> bool {
        self.end.is_some_and(|end| self.next >= end)
    }

    /// Takes a segment.
    pub(super) fn take(&mut self, seq: u32, payload: &[u8], fin: bool) {
        self.begin(seq);
        let place = self.place(seq);
        if fin {
            // The first one counts; what would come after it is no longer asked for.
            let end = place.saturating_add_unsigned(payload.len() as u64).max(0).unsigned_abs();
            self.end.get_or_insert(end);
        }
        // What has been given already is not given again, whatever stands there now.
        let known = usize::try_from(self.next.cast_signed().saturating_sub(place).max(0)).unwrap_or(usize::MAX);
        if known < payload.len() {
            let place = (place + known.cast_signed() as i64).unsigned_abs();
            let payload = &payload[known..];
            let longer = self.waiting.get(&place).is_none_or(|there| there.len() < payload.len());
            if longer {
                self.waiting_bytes += payload.len();
                let replaced = self.waiting.insert(place, payload.to_vec());
                self.waiting_bytes -= replaced.map_or(0, |replaced| replaced.len());
            }
        }
        if self.acknowledged > self.next && !self.waiting.is_empty() {
            self.late += 1;
        }
    }

    /// The other end has received all before this number.
    pub(super) fn acknowledge(&mut self, ack: u32) {
        if self.first.is_some() {
            self.acknowledged = self.acknowledged.max(self.place(ack).max(0).unsigned_abs());
        }
    }

    /// What comes next, if it is here or will not come. `all` gives up what is missing, because nothing more will come.
    pub(super) fn next(&mut self, all: bool) -> Option<Next> {
        let (&place, _) = self.waiting.first_key_value()?;
        if place > self.next {
            let gone = self.acknowledged >= place && self.late > LATE;
            if !all && !gone && self.waiting_bytes <= WAITING {
                return None;
            }
            let missing = place - self.next;
            (self.next, self.late) = (place, 0);
            return Some(Next::Missing(missing));
        }
        let (place, mut bytes) = self.waiting.pop_first()?;
        self.waiting_bytes -= bytes.len();
        // An earlier one may have covered some of it.
        let known = usize::try_from(self.next - place).unwrap_or(usize::MAX).min(bytes.len());
        bytes.drain(..known);
        self.next += bytes.len() as u64;
        if bytes.is_empty() { self.next(all) } else { Some(Next::Bytes(bytes)) }
    }

    /// Where a sequence number is: as near to what comes next as it can be. Before the first byte it is negative.
    fn place(&self, seq: u32) -> i64 {
        let first = self.first.unwrap_or(seq);
        #[expect(clippy::cast_possible_truncation, reason = "sequence numbers have 32 bits")]
        let expected = first.wrapping_add(self.next as u32);
        self.next.cast_signed() + i64::from(seq.wrapping_sub(expected).cast_signed())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(stream: &mut Stream, end: bool) -> (Vec<u8>, u64) {
        let (mut bytes, mut missing) = (Vec::new(), 0);
        while let Some(next) = stream.next(end) {
            match next {
                Next::Bytes(more) => bytes.extend(more),
                Next::Missing(count) => missing += count,
            }
        }
        (bytes, missing)
    }

    #[test]
    fn what_is_acknowledged_and_not_here_is_given_up_after_a_while() {
        let mut stream = Stream::default();
        stream.begin(100);
        stream.take(104, b"efgh", false);
        stream.acknowledge(108);
        assert_eq!(all(&mut stream, false), (vec![], 0));
        for i in 0..16 {
            stream.take(108 + i, b"i", false);
            assert_eq!(all(&mut stream, false), (vec![], 0), "{i}");
        }
        stream.take(130, b"?", false);
        assert_eq!(stream.next(false), Some(Next::Missing(4)));
        assert_eq!(stream.next(false), Some(Next::Bytes(b"efgh".to_vec())));
    }

    #[test]
    fn what_nobody_has_acknowledged_is_waited_for() {
        let mut stream = Stream::default();
        stream.begin(0);
        for i in 1..100 {
            stream.take(i * 10, b"..........", false);
        }
        assert_eq!(all(&mut stream, false), (vec![], 0));
        stream.take(0, b"..........", false);
        assert_eq!(all(&mut stream, false).0.len(), 1000);
    }

    #[test]
    fn fin_ends_it_once_all_before_it_was_given() {
        let mut stream = Stream::default();
        stream.begin(7);
        stream.take(9, b"cd", true);
        assert!(!stream.has_ended() && all(&mut stream, false).0.is_empty());
        stream.take(7, b"ab", false);
        assert_eq!(all(&mut stream, false), (b"abcd".to_vec(), 0));
        assert!(stream.has_ended());
    }

    proptest! {
        #[test]
        fn segments_in_any_order_twice_and_overlapping_give_the_same_bytes(
            data in prop::collection::vec(any::<u8>(), 1..400),
            first in prop_oneof![any::<u32>(), u32::MAX - 500..=u32::MAX],
            cuts in prop::collection::vec((any::<prop::sample::Index>(), 1usize..60), 0..20),
            order in any::<prop::sample::Index>(),
        ) {
            // Pieces that cover it, and some more that overlap.
            let mut pieces: Vec<(usize, usize)> = (0..data.len()).step_by(37).map(|at| (at, 37)).collect();
            pieces.extend(cuts.iter().map(|(at, len)| (at.index(data.len()), *len)));
            let rotate = order.index(pieces.len());
            pieces.rotate_left(rotate);
            pieces.reverse();
            let mut stream = Stream::default();
            stream.begin(first);
            let mut bytes = Vec::new();
            for (at, len) in pieces {
                let piece = &data[at..data.len().min(at + len)];
                #[expect(clippy::cast_possible_truncation, reason = "below 400")]
                stream.take(first.wrapping_add(at as u32), piece, false);
                bytes.extend(all(&mut stream, false).0);
            }
            prop_assert_eq!(bytes, data);
            prop_assert_eq!(stream.waiting(), 0);
        }
    }
}
