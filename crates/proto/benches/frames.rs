//! What a frame costs in memory, without any I/O: decoding, encoding, masking and checking text, each beside the least it
//! could cost, taken in the same run.
//!
//! ```text
//! cargo bench -p sockeye-proto --bench frames          the best of 200 rounds, some seconds
//! cargo bench -p sockeye-proto --bench frames -- 2000  of as many as you like
//! ```
//! Each round runs everything once, so that whatever disturbs a while disturbs everything alike; the best round counts,
//! as what disturbs can only add. Each is run in advance each time, so that it finds the caches as it would leave them, not
//! as the one before did. The floor of decoding is to parse the header and unmask in place, in the same reads;
//! that of masking is memcpy; that of unmasking and checking text is simdutf8 without unmasking.

mod work;

use std::time::{Duration, Instant};

use sockeye_proto::Role;
use sockeye_proto::frame::Opcode;
use work::Work;

const DEFAULT_ROUNDS: usize = 200;
const KIB: usize = 1 << 10;

fn main() {
    // Cargo adds --bench.
    let rounds = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(DEFAULT_ROUNDS);
    let mut tables = tables();
    for _ in 0..rounds {
        for row in tables.iter_mut().flat_map(|table| &mut table.rows) {
            row.ours.run();
            if let Some(floor) = &mut row.floor {
                floor.run();
            }
        }
    }
    for table in &tables {
        table.print();
    }
}

fn tables() -> Vec<Table> {
    let small_binary = [7; 32];
    let ascii = "thirty-two bytes of ASCII, a text";
    let decode = |title, work: fn(usize, Opcode, &[u8]) -> Work| Table {
        title,
        unit: Unit::NanosecondsPerFrame,
        floor: "floor",
        rows: [
            ("32 B binary", 10_000, Opcode::BINARY, &small_binary[..]),
            ("32 B text, ASCII", 10_000, Opcode::TEXT, &ascii.as_bytes()[..32]),
            ("32 B text, half Chinese", 10_000, Opcode::TEXT, work::mixed(32).as_bytes()),
            ("1 KiB binary", 1_000, Opcode::BINARY, &[7; KIB]),
            ("1 KiB text, half Chinese", 1_000, Opcode::TEXT, work::mixed(KIB).as_bytes()),
        ]
        .map(|(name, count, opcode, payload)| {
            Row::beside(name, work(count, opcode, payload), work::floor(count, opcode, payload))
        })
        .into(),
    };
    let encode = |name, count, role, len| Row::alone(name, work::encode(count, role, &vec![7; len]));
    let mask = |name, len| Row::beside(name, work::mask_in_place(len), work::memcpy(len));
    let checks = |title, text: fn(usize) -> String| Table {
        title,
        unit: Unit::GigabytesPerSecond,
        floor: "simdutf8",
        rows: [("1 KiB", KIB), ("64 KiB", 64 * KIB), ("1 MiB", KIB * KIB), ("16 MiB", 16 * KIB * KIB)]
            .map(|(name, len)| {
                let text = text(len);
                Row::beside(name, work::unmask_and_check(&text, work::READ), work::simdutf8_alone(&text))
            })
            .into(),
    };
    vec![
        decode("decode, server, reads of 64 KiB", work::decode),
        decode("the same, borrowed", work::decode_borrowed),
        Table {
            title: "encode, 16 frames a write",
            unit: Unit::NanosecondsPerFrame,
            floor: "",
            rows: vec![
                encode("32 B, server", 10_000, Role::Server, 32),
                encode("1 KiB, server", 1_000, Role::Server, KIB),
                encode("32 B, client", 10_000, Role::Client, 32),
                encode("1 KiB, client", 1_000, Role::Client, KIB),
            ],
        },
        Table {
            title: "mask in place",
            unit: Unit::GigabytesPerSecond,
            floor: "memcpy",
            rows: vec![mask("64 B", 64), mask("1 KiB", KIB), mask("64 KiB", 64 * KIB), mask("16 MiB", 16 * KIB * KIB)],
        },
        checks("unmask and check, ASCII", |len| work::text_of(&["follow the bytes "], len)),
        checks("unmask and check, half Chinese", work::mixed),
        checks("unmask and check, Chinese", |len| work::text_of(&["每个字节的路径"], len)),
        checks("unmask and check, emoji", |len| work::text_of(&["🐟🐠🦈"], len)),
    ]
}

struct Table {
    title: &'static str,
    unit: Unit,
    /// What the floor is; nothing if there is none.
    floor: &'static str,
    rows: Vec<Row>,
}

impl Table {
    fn print(&self) {
        let Self { title, unit, floor, rows } = self;
        println!("{:<32} {:>8} {floor:>9}   {}", title, "ours", unit.name());
        for row in rows {
            let ours = unit.of(&row.ours);
            match &row.floor {
                Some(least) => {
                    let least = unit.of(least);
                    println!("  {:<30} {ours:>8.1} {least:>9.1}   {:.2} ×", row.name, ours / least);
                }
                None => println!("  {:<30} {ours:>8.1}", row.name),
            }
        }
        println!();
    }
}

#[derive(Clone, Copy)]
enum Unit {
    NanosecondsPerFrame,
    GigabytesPerSecond,
}

impl Unit {
    const fn name(self) -> &'static str {
        match self {
            Self::NanosecondsPerFrame => "ns per frame",
            Self::GigabytesPerSecond => "GB/s",
        }
    }

    fn of(self, timed: &Timed) -> f64 {
        let nanoseconds_per_item = timed.best.as_secs_f64() * 1e9 / timed.work.items as f64;
        match self {
            Self::NanosecondsPerFrame => nanoseconds_per_item,
            Self::GigabytesPerSecond => 1.0 / nanoseconds_per_item,
        }
    }
}

struct Row {
    name: &'static str,
    ours: Timed,
    floor: Option<Timed>,
}

impl Row {
    fn beside(name: &'static str, ours: Work, floor: Work) -> Self {
        Self { name, ours: Timed::new(ours), floor: Some(Timed::new(floor)) }
    }

    fn alone(name: &'static str, ours: Work) -> Self {
        Self { name, ours: Timed::new(ours), floor: None }
    }
}

/// Some work, and its best time so far.
struct Timed {
    work: Work,
    best: Duration,
}

impl Timed {
    fn new(work: Work) -> Self {
        Self { work, best: Duration::MAX }
    }

    fn run(&mut self) {
        // Received bytes, too, have just been copied.
        (self.work.run)();
        let from = Instant::now();
        (self.work.run)();
        self.best = self.best.min(from.elapsed());
    }
}
