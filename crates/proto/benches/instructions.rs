//! How many instructions small pieces of work take, counted by callgrind: a measure that noise does not touch.
//!
//! ```text
//! cargo bench -p sockeye-proto --bench instructions           prints the counts; needs valgrind
//! cargo bench -p sockeye-proto --bench instructions -- FILE   writes them to a file
//! cargo xtask instructions                                    compares them with those kept in instructions.txt
//! ```
//! What is counted must not depend on the machine it is counted on:
//!
//! * Instructions within this program, Rust's standard library included; not those of libc, whose memcpy and malloc are
//!   others with another processor or version. Calls out of this program are counted beside them, so that an allocation
//!   or a copy that was not there before shows.
//! * valgrind shows a program AVX2 and hides AVX-512: the wider half of `mask/x86.rs` is not counted, nor is
//!   `utf8/x86.rs`. The instruction set it does show is printed first.
//! * Each piece of work has been run before it is counted: what is found out or allocated only once does not count.

mod counting;
mod work;

use std::process::ExitCode;

use counting::Workload;
use sockeye_proto::Role;
use sockeye_proto::frame::Opcode;
use work::Work;

const KIB: usize = 1 << 10;

const WORKLOADS: [Workload; 12] = [
    frames("decode 32 B binary", || work::decode(10_000, Opcode::BINARY, &[7; 32])),
    frames("decode 32 B text", || work::decode(10_000, Opcode::TEXT, &[b'x'; 32])),
    frames("decode 32 B text, borrowed", || work::decode_borrowed(10_000, Opcode::TEXT, &[b'x'; 32])),
    frames("decode 1 KiB binary", || work::decode(10_000, Opcode::BINARY, &[7; KIB])),
    frames("decode 1 KiB text, half Chinese", || work::decode(10_000, Opcode::TEXT, work::mixed(KIB).as_bytes())),
    frames("decode fragments, 4 × 256 B text", || work::decode_fragmented(2_500, 4, &work::mixed(KIB))),
    frames("answer a Ping", || work::ping_pong(10_000)),
    frames("encode 32 B, server", || work::encode(10_000, Role::Server, &[7; 32])),
    frames("encode 32 B, client", || work::encode(10_000, Role::Client, &[7; 32])),
    frames("encode 1 KiB, client", || work::encode(10_000, Role::Client, &[7; KIB])),
    Workload { name: "mask 64 KiB in place", unit: "KiB", per: KIB, make: || work::mask_in_place(64 * KIB) },
    Workload {
        name: "unmask and check 1 MiB",
        unit: "KiB",
        per: KIB,
        make: || work::unmask_and_check(&work::mixed(KIB * KIB), work::READ),
    },
];

const fn frames(name: &'static str, make: fn() -> Work) -> Workload {
    Workload { name, unit: "frame", per: 1, make }
}

fn main() -> ExitCode {
    counting::main(&WORKLOADS)
}
