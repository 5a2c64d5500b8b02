//! Any file: read to its end as a recording or a capture, in reads of any size with the same result, within bounds; and
//! what was read comes back from a recording of it.
//!
//! ```text
//! byte 0   how many bytes a read gives, besides all at once
//! rest     the file
//! ```
#![no_main]

use std::collections::HashMap;
use std::io::Read;
use std::time::UNIX_EPOCH;

use allocation_counter::measure;
use libfuzzer_sys::fuzz_target;
use sockeye_dissect::Conversation;
use sockeye_traffic::recording::{Options, Reader, Recorder};
use sockeye_traffic::{Damage, Event, Piece, Source, What};

fuzz_target!(|input: &[u8]| {
    let Some((&size, file)) = input.split_first() else { return };
    let Ok(Some(source)) = Source::recognise(file) else { return };
    let pieces = read(source, file);
    let slow = Slow { file, size: usize::from(size).max(1) };
    if let Ok(Some(source)) = Source::recognise(slow) {
        assert_eq!(read(source, file), pieces, "in reads of {size} bytes (left) and in one (right)");
    }
    comes_back(&pieces);
    keeps_its_secrets(&pieces);
    dissect(&pieces);
    memory(file);
});

/// A file that is read a few bytes at a time.
struct Slow<'a> {
    file: &'a [u8],
    size: usize,
}

impl Read for Slow<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let room = self.size.min(bytes.len());
        self.file.read(&mut bytes[..room])
    }
}

fn read(source: Source<impl Read>, file: &[u8]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for piece in source {
        if let Piece::Damage(Damage { offset, why, .. }) = &piece {
            assert!(*offset <= file.len() as u64 && !why.is_empty());
        }
        if let Piece::Event(Event { what: What::Bytes { bytes, .. }, .. }) = &piece {
            assert!(!bytes.is_empty());
        }
        pieces.push(piece);
    }
    pieces
}

fn events(pieces: &[Piece]) -> impl Iterator<Item = &Event> {
    pieces.iter().filter_map(|piece| if let Piece::Event(event) = piece { Some(event) } else { None })
}

fn record(pieces: &[Piece], credentials: bool) -> Vec<Piece> {
    let mut file = Vec::new();
    let mut recorder =
        Recorder::new(&mut file, UNIX_EPOCH, Options { credentials, limit: u64::MAX }).expect("a Vec takes it");
    for event in events(pieces) {
        recorder.write(event).expect("a Vec takes it");
    }
    Reader::new(file.as_slice()).collect()
}

/// Large pieces are cut, everything else is the same.
fn comes_back(pieces: &[Piece]) {
    let again = record(pieces, true);
    assert!(again.iter().all(|piece| matches!(piece, Piece::Event(_))), "a good recording");
    assert_eq!(joined(&again), joined(pieces));
}

/// Events with the bytes of one read in one piece.
fn joined(pieces: &[Piece]) -> Vec<Event> {
    let mut joined: Vec<Event> = Vec::new();
    for event in events(pieces) {
        if let (
            What::Bytes { from, bytes, redacted },
            Some(Event { connection, time, what: What::Bytes { from: before, bytes: all, redacted: was } }),
        ) = (&event.what, joined.last_mut())
            && (from, redacted, event.connection, event.time) == (&*before, &*was, *connection, *time)
        {
            *all = [&all[..], bytes].concat().into();
            continue;
        }
        joined.push(event.clone());
    }
    joined
}

/// Without credentials there are as many bytes of each end; and no line of a head that names one keeps it.
fn keeps_its_secrets(pieces: &[Piece]) {
    let count = |pieces: &[Piece]| {
        let mut counts = HashMap::new();
        for event in events(pieces) {
            if let What::Bytes { from, bytes, .. } = &event.what {
                *counts.entry((event.connection, from.to_string())).or_insert(0) += bytes.len();
            }
        }
        counts
    };
    // What is left of a line when a recording ends without the connection's end, is not written.
    let (all, kept) = (count(pieces), count(&record(pieces, false)));
    for (end, kept) in kept {
        assert!(kept <= all[&end], "{end:?}");
    }
}

/// Whatever it is, it can be taken apart.
fn dissect(pieces: &[Piece]) {
    let mut conversations: HashMap<u64, Conversation> = HashMap::new();
    for Event { connection, time, what } in events(pieces) {
        let conversation = conversations.entry(*connection).or_default();
        match what {
            What::Bytes { from, bytes, .. } => drop(conversation.push(*from, *time, bytes)),
            What::Missing { from, bytes } => drop(conversation.skip(*from, *time, *bytes)),
            What::Opened(_) | What::Ended(_) => drop(conversations.remove(connection).map(|mut ended| ended.finish())),
        }
    }
}

/// What a file claims takes no more memory than the largest packet there may be, and a longest line.
fn memory(file: &[u8]) {
    let cost = measure(|| {
        if let Ok(Some(source)) = Source::recognise(file) {
            source.for_each(drop);
        }
    });
    let most = 64 * file.len() + (40 << 20);
    assert!(cost.bytes_max <= most as u64, "{} bytes have come: {cost:?}", file.len());
}
