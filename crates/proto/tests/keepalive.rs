//! Whether the peer is still there, told second by second with a clock that is made up.

mod support;

use core::fmt::Write;
use std::io::IoSlice;
use std::time::{Duration, Instant};

use sockeye_proto::connection::{ControlPayload, Expired};
use sockeye_proto::frame::Opcode;
use sockeye_proto::{CloseCode, CloseReason, Connection, Event, Limits, Message, Role};
use support::{facing, frame, frames, receive, sent};

/// What is around the connection in one second of a story.
#[derive(Default)]
struct Second {
    /// The peer's bytes.
    comes: Vec<u8>,
    /// How many bytes the transport takes.
    takes: usize,
    /// Whether the application does not read.
    holds_back: bool,
}

/// Lets a client's connection, keepalive 20 s and 20 s, live for so many seconds, and prints what happens in each of them.
fn story(seconds: u64, mut around: impl FnMut(u64, &mut Connection) -> Second) -> String {
    let mut connection = facing(Role::Client, Limits::default());
    let start = Instant::now();
    let mut told = String::new();
    let mut out = Vec::new();
    for second in 0..=seconds {
        let now = start + Duration::from_secs(second);
        let Second { comes, takes, holds_back } = around(second, &mut connection);
        for event in receive(&mut connection, [&comes[..]]) {
            if let Event::Pong(pong) = &event {
                let trip = connection.answer(pong, now);
                writeln!(told, "{second} s: Pong {}, round trip {trip:?}", pong[7]).unwrap();
            }
        }
        if holds_back {
            connection.hold_back(false);
        }
        // The timer fires in every second, mostly for nothing.
        if let Some(expired) = connection.expired(now) {
            writeln!(told, "{second} s: expired: {expired:?}").unwrap();
            return told;
        }
        let mut slices = [IoSlice::new(&[]); 8];
        let count = connection.outgoing(&mut slices);
        let written: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.iter().copied()).take(takes).collect();
        connection.written(written.len(), || now);
        out.extend(written);
        // Only a Ping ends a burst here.
        if out.len() >= 10 && out[out.len() - 10..][..2] == [0x89, 8] {
            writeln!(told, "{second} s: Ping {}", out[out.len() - 1]).unwrap();
            out.clear();
        }
        assert!(connection.deadline(|| now).is_some_and(|deadline| deadline > now), "the next moment is to come");
    }
    writeln!(told, "{seconds} s: alive, latency {:?}", connection.latency()).unwrap();
    told
}

fn pong(number: u8) -> Vec<u8> {
    frame(Role::Client, true, Opcode::PONG, &[0, 0, 0, 0, 0, 0, 0, number])
}

fn all_taken() -> Second {
    Second { takes: usize::MAX, ..Second::default() }
}

#[test]
fn a_peer_that_answers_is_asked_again_an_interval_after_each_answer() {
    let told = story(70, |second, _| match second {
        23 => Second { comes: pong(1), ..all_taken() },
        44 => Second { comes: pong(2), ..all_taken() },
        65 => Second { comes: pong(3), ..all_taken() },
        _ => all_taken(),
    });
    let expected = "\
20 s: Ping 1
23 s: Pong 1, round trip Some(3s)
43 s: Ping 2
44 s: Pong 2, round trip Some(1s)
64 s: Ping 3
65 s: Pong 3, round trip Some(1s)
70 s: alive, latency Some(1s)
";
    assert_eq!(told, expected);
}

#[test]
fn a_peer_that_says_nothing_is_given_up_a_window_after_the_ping_was_written() {
    assert_eq!(story(100, |_, _| all_taken()), "20 s: Ping 1\n40 s: expired: Pong\n");
    // Bytes that come while nobody asks, and another's Pong, change nothing about that.
    let told = story(100, |second, _| match second {
        19 => Second { comes: frame(Role::Client, true, Opcode::TEXT, b"hi"), ..all_taken() },
        _ => all_taken(),
    });
    assert_eq!(told, "20 s: Ping 1\n40 s: expired: Pong\n");
}

#[test]
fn a_peer_that_is_sending_a_long_frame_is_alive_and_is_asked_again() {
    let told = story(95, |second, _| match second {
        0 => Second { comes: frame(Role::Client, true, Opcode::BINARY, &[7; 100])[..10].to_vec(), ..all_taken() },
        1..70 => Second { comes: vec![7], ..all_taken() },
        _ => all_taken(),
    });
    let expected = "\
20 s: Ping 1
40 s: Ping 2
60 s: Ping 3
80 s: Ping 4
95 s: alive, latency None
";
    assert_eq!(told, expected);
}

#[test]
fn a_peer_that_sends_a_byte_a_minute_is_given_up() {
    let told = story(200, |second, _| match second {
        0 => Second { comes: frame(Role::Client, true, Opcode::BINARY, &[7; 100])[..10].to_vec(), ..all_taken() },
        30 | 90 | 150 => Second { comes: vec![7], ..all_taken() },
        _ => all_taken(),
    });
    assert_eq!(told, "20 s: Ping 1\n40 s: Ping 2\n60 s: expired: Pong\n");
}

#[test]
fn while_we_do_not_read_silence_is_no_evidence_and_afterwards_it_is() {
    let told = story(200, |second, _| Second { holds_back: second < 100, ..all_taken() });
    // It asks again in each window, so that the peer hears of us.
    let asked = "20 s: Ping 1\n40 s: Ping 2\n60 s: Ping 3\n80 s: Ping 4\n100 s: Ping 5\n";
    assert_eq!(told, format!("{asked}120 s: expired: Pong\n"));
}

#[test]
fn a_ping_that_cannot_be_written_is_no_silence_while_anything_moves() {
    // A large frame leaves slowly; the Ping waits behind it, and for its answer from then on.
    let slowly = |last| {
        story(200, move |second, connection| {
            if second == 0 {
                connection.send(Message::from(vec![7; 1_000_000])).unwrap();
            }
            let takes = if second < last { 10_000 } else { 0 };
            Second { takes, ..Second::default() }
        })
    };
    assert_eq!(slowly(200), "100 s: Ping 1\n120 s: expired: Pong\n");
    // It stops: nothing moves for a whole window.
    assert_eq!(slowly(50), "80 s: expired: Pong\n");
    // It never took anything.
    assert_eq!(slowly(0), "40 s: expired: Pong\n");
}

#[test]
fn a_probe_joins_the_ping_that_is_out_and_is_answered_by_it_or_a_later_one() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut connection = facing(Role::Client, Limits::default().ping(None));
    assert_eq!(connection.deadline(|| unreachable!("nobody is waiting for anything")), None);
    assert_eq!(connection.probe(), Ok(1));
    assert_eq!(connection.probe(), Ok(1), "it is out already");
    connection.ping(ControlPayload::new(b"raw").unwrap()).unwrap();
    assert_eq!(connection.deadline(|| at(0)), Some(at(20)), "it expires though the keepalive is off");

    // Beside the application's own Ping: neither replaces the other. The clock is read when the last byte leaves.
    let mut slices = [IoSlice::new(&[]); 8];
    let count = connection.outgoing(&mut slices);
    let bytes: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect();
    let number = 1u64.to_be_bytes().to_vec();
    assert_eq!(frames(&bytes), [(Opcode::PING, b"raw".to_vec()), (Opcode::PING, number)]);
    connection.written(bytes.len() - 1, || unreachable!("a byte is still to go"));
    connection.written(1, || at(5));
    assert_eq!(connection.deadline(|| unreachable!("it knows")), Some(at(25)));

    let answer = |number: u64| ControlPayload::new(&number.to_be_bytes()).unwrap();
    assert_eq!(connection.answer(&ControlPayload::new(b"raw").unwrap(), at(6)), None);
    assert_eq!(connection.answer(&answer(2), at(6)), None, "nobody has asked that");
    assert_eq!((connection.answered(1), connection.latency()), (None, None));
    assert_eq!(connection.answer(&answer(1), at(7)), Some(Duration::from_secs(2)));
    assert_eq!(connection.answer(&answer(1), at(8)), None, "once");
    assert_eq!(connection.answered(1), Some(Duration::from_secs(2)));
    assert_eq!(connection.answered(2), None);
    assert_eq!(connection.deadline(|| unreachable!("nothing is out")), None);

    assert_eq!(connection.probe(), Ok(2));
    sent(&mut connection);
    assert_eq!(connection.answer(&answer(2), Instant::now()).map(|_| ()), Some(()));
    assert!(connection.answered(1).is_some() && connection.answered(2).is_some());
}

#[test]
fn a_probe_without_an_answer_expires_also_where_the_keepalive_is_off() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut connection = facing(Role::Client, Limits::default().ping(None).pong(Duration::from_secs(3)));
    assert_eq!(connection.expired(at(0)), None);
    connection.probe().unwrap();
    let mut slices = [IoSlice::new(&[]); 8];
    assert_eq!(connection.outgoing(&mut slices), 1);
    connection.written(10, || at(1));
    assert_eq!(connection.expired(at(3)), None, "too early");
    assert_eq!(connection.expired(at(4)), Some(Expired::Pong));
}

#[test]
fn closing_ends_the_keepalive_and_drops_the_ping_that_waits() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut connection = facing(Role::Client, Limits::default());
    assert_eq!(connection.deadline(|| at(0)), Some(at(20)));
    connection.probe().unwrap();
    connection.close(CloseReason::new(CloseCode::NORMAL, "").unwrap());
    assert_eq!(connection.deadline(|| at(1)), Some(at(11)));
    assert_eq!(connection.expired(at(10)), None);
    assert_eq!(connection.expired(at(11)), Some(Expired::Closing));
    let opcodes: Vec<_> = frames(&sent(&mut connection)).into_iter().map(|(opcode, _)| opcode).collect();
    assert_eq!(opcodes, [Opcode::CLOSE]);
}

#[test]
fn times_that_no_clock_can_tell_are_never() {
    let now = Instant::now();
    let limits = Limits::default().ping(Some(Duration::MAX)).closing(Duration::MAX);
    let mut connection = facing(Role::Client, limits);
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    assert!(connection.deadline(|| now).is_some_and(|deadline| deadline > now + year));
    connection.close(CloseReason::new(CloseCode::NORMAL, "").unwrap());
    assert!(connection.deadline(|| now).is_some_and(|deadline| deadline > now + year));
}
