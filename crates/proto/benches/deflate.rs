//! What compressing a message of 1 KiB costs and saves, for every level, window and memory level: what the defaults of
//! `Compression` are chosen from.
//!
//! ```text
//! cargo bench -p sockeye-proto --bench deflate                 a quick look at everything, 20 s
//! cargo bench -p sockeye-proto --bench deflate -- 200          the same with 200 ms for each figure
//! cargo bench -p sockeye-proto --bench deflate -- 200 defaults only what the defaults are, by one connection and by 100 in turn
//! ```
//! The messages are JSON-like, of several kinds, the same in each run. Without takeover each is compressed by itself in a
//! state that is reset before, as the library does it; with takeover each may refer to those before it. Bytes are the
//! payload's, without the frame's header.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use http::header::SEC_WEBSOCKET_EXTENSIONS;
use http::{HeaderMap, HeaderValue};
use sockeye_proto::Role;
use sockeye_proto::deflate::{Compression, Deflater, Inflater, Input, accept};

/// So many different messages of each kind.
const MESSAGES: usize = 64;
const LEN: usize = 1024;

fn main() {
    // Cargo adds --bench.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let each = Duration::from_millis(arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(25));
    let messages = messages();

    if arguments.iter().any(|argument| argument == "defaults") {
        for (name, compression) in [("no takeover", Compression::no_takeover()), ("takeover", Compression::takeover())]
        {
            for connections in [1, 100] {
                let Figures { deflate, inflate, bytes } =
                    measure(&compression.threshold(0), connections, &messages, each);
                println!(
                    "{name}, {connections} in turn: {deflate:.2} µs to compress, {inflate:.2} µs to inflate, {bytes:.0} of {LEN} bytes"
                );
            }
        }
        return;
    }
    println!("             |     without takeover      |       with takeover");
    println!("level mem win| deflate  inflate    bytes | deflate  inflate    bytes");
    for level in 0..=9 {
        for memory_level in [1, 4, 8] {
            for window_bits in 9..=15 {
                let row = [Compression::no_takeover(), Compression::takeover()].map(|compression| {
                    let compression = compression.level(level).memory_level(memory_level).window_bits(window_bits);
                    let Figures { deflate, inflate, bytes } = measure(&compression, 1, &messages, each);
                    format!("{deflate:>5.2} µs {inflate:>5.2} µs {bytes:>8.1}")
                });
                println!("{level:>5} {memory_level:>3} {window_bits:>3}| {} | {}", row[0], row[1]);
                if level == 0 {
                    // Nothing is looked for, and everything sent plain: one line says it.
                    break;
                }
            }
            if level == 0 {
                break;
            }
        }
    }
}

/// Means over the messages: microseconds for each direction, bytes of payload.
struct Figures {
    deflate: f64,
    inflate: f64,
    bytes: f64,
}

/// By so many connections in turn, each with states of its own. They take the messages in order, but begin with different ones.
fn measure(compression: &Compression, connections: usize, messages: &[Vec<u8>], each: Duration) -> Figures {
    // The answer to Chromium's offer, by which a server agrees on what it is set to.
    let offer = HeaderValue::from_static("permessage-deflate; client_max_window_bits");
    let request = HeaderMap::from_iter([(SEC_WEBSOCKET_EXTENSIONS, offer)]);
    let (_, params) = accept(&request, compression).expect("in the grammar").expect("acceptable");
    let mut deflaters: Vec<_> = (0..connections).map(|_| Deflater::new(compression, params, Role::Server)).collect();
    let due = |round: usize, connection: usize| &messages[(round + connection) % messages.len()];

    // Twice in advance: the first time allocates, and begins with an empty past.
    let mut payloads = vec![Vec::new(); connections];
    let mut all_smaller = true;
    for round in 0..2 * messages.len() {
        for (connection, deflater) in deflaters.iter_mut().enumerate() {
            let mut payload = BytesMut::new();
            all_smaller &= deflater.compress(due(round, connection), &mut payload);
            payloads[connection].push(payload);
        }
    }
    let mut out = BytesMut::with_capacity(2 * LEN);
    let deflate = best(each, || {
        for round in 0..messages.len() {
            for (connection, deflater) in deflaters.iter_mut().enumerate() {
                out.clear();
                let _ = black_box(deflater.compress(black_box(due(round, connection)), &mut out));
            }
        }
        messages.len() * connections
    });

    // Inflating goes through them in order, so that a past is there; for the repetitions it is the second half's.
    let mut inflaters: Vec<_> = (0..connections).map(|_| Inflater::new(params, Role::Server)).collect();
    let inflate = best(each / 2, || {
        for round in (0..2 * messages.len()).filter(|_| all_smaller) {
            for (inflater, payloads) in inflaters.iter_mut().zip(&payloads) {
                out.clear();
                let sink = |bytes: &[u8]| {
                    out.extend_from_slice(bytes);
                    Ok(())
                };
                inflater.inflate(Input::last(black_box(&payloads[round])), LEN, sink).expect("what was deflated");
            }
        }
        2 * messages.len() * connections
    });

    let second = &payloads[0][messages.len()..];
    let bytes: usize = second.iter().map(|payload| if payload.is_empty() { LEN } else { payload.len() }).sum();
    Figures { deflate, inflate, bytes: f64::from(u32::try_from(bytes).expect("small")) / messages.len() as f64 }
}

/// Microseconds for each message in the best of as many rounds as the time allows: what disturbs can only add.
fn best(time: Duration, mut round: impl FnMut() -> usize) -> f64 {
    let begun = Instant::now();
    let mut best = f64::INFINITY;
    while begun.elapsed() < time {
        let from = Instant::now();
        let count = u32::try_from(round()).expect("small");
        best = best.min(from.elapsed().as_secs_f64() * 1e6 / f64::from(count));
    }
    best
}

/// JSON-like texts of 1 KiB: quotes, chat, sensors, a state with ids.
fn messages() -> Vec<Vec<u8>> {
    let mut numbers = 1u64;
    let mut below = |bound: u64| {
        numbers = numbers.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (numbers >> 33) % bound
    };
    let words =
        "the a net of ship sea sky rock tide north south blue red fish eye light wave salt wind sail port rope deck \
                 harbour morning 海 螺 鲑鱼 你好 world"
            .split(' ')
            .collect::<Vec<_>>();
    let mut messages = Vec::new();
    for i in 0..MESSAGES {
        let mut quote = || {
            format!(
                r#"{{"s":"{}","p":{}.{:02},"q":{},"t":17{:011},"side":"{}"}}"#,
                ["SOCK", "EYE", "BTCUSD", "ETHEUR", "TIDE"][usize::try_from(below(5)).expect("small")],
                below(90_000),
                below(100),
                below(5_000),
                below(99_999_999_999),
                ["buy", "sell"][usize::try_from(below(2)).expect("small")],
            )
        };
        messages.push(list(r#"{"type":"trades","data":["#, &mut quote));
        let mut chat = || {
            let count = 4 + below(12);
            let text: Vec<_> =
                (0..count).map(|_| words[usize::try_from(below(words.len() as u64)).expect("small")]).collect();
            format!(r#"{{"id":"{:016x}","from":"user{}","text":"{}"}}"#, below(1 << 50), below(40), text.join(" "))
        };
        messages.push(list(r#"{"type":"messages","room":"harbour","messages":["#, &mut chat));
        let mut sensor = || {
            format!(
                r#"{{"sensor":"s-{:03}","temperature":{}.{},"humidity":{},"ok":true,"battery":null}}"#,
                below(200),
                15 + below(10),
                below(10),
                40 + below(30)
            )
        };
        messages.push(list(&format!(r#"{{"type":"readings","sequence":{i},"readings":["#), &mut sensor));
        let mut entry = || {
            format!(
                r#""{:08x}-{:04x}":{{"x":{},"y":{},"visible":{},"name":"node {}"}}"#,
                below(1 << 32),
                below(1 << 16),
                below(2_000),
                below(2_000),
                below(2) == 1,
                below(500)
            )
        };
        messages.push(list(r#"{"type":"state","nodes":{"#, &mut entry));
    }
    messages
}

fn list(start: &str, entry: &mut dyn FnMut() -> String) -> Vec<u8> {
    let mut text = start.to_owned();
    while text.len() < LEN {
        text.push_str(&entry());
        text.push(',');
    }
    let mut bytes = text.into_bytes();
    bytes.truncate(LEN);
    bytes
}
