//! Heads that are too large, in every cut, and peers that are slow or silent: what a server spends on them, and when it
//! stops.

#[path = "support/heap.rs"]
mod heap;
mod support;

use std::time::Duration;

use sockeye::{Limits, Server};
use support::{Within, echo, exchange, request};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

/// A server within the process.
fn serving(server: &Server) -> mpsc::Sender<DuplexStream> {
    let (connect, listener) = Within::new();
    tokio::spawn(server.serve(listener, echo));
    connect
}

/// What comes in a head without an end.
fn hostile() -> [(&'static str, String, String); 5] {
    let start = request("").trim_end().to_owned() + "\r\n";
    [
        ("a request line", "GET /".to_owned(), "x".to_owned()),
        ("a method", String::new(), "X".to_owned()),
        ("one field", start.clone() + "X: ", "x".to_owned()),
        ("one name 10,000 times", start.clone(), "X: y\r\n".to_owned()),
        ("one name and no value", start, "x".to_owned()),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_head_without_end_is_refused_at_the_limit_however_it_is_cut() {
    for (what, start, more) in hostile() {
        for (cut, piece) in [("whole", 64 << 10), ("in packets", 1_400), ("byte by byte", 1)] {
            let server = Server::builder().build();
            let connect = serving(&server);
            let (near, far) = tokio::io::duplex(1 << 10);
            connect.send(far).await.unwrap();
            let (mut reading, mut writing) = tokio::io::split(near);
            let answer = tokio::spawn(async move {
                let mut answer = Vec::new();
                let _ = reading.read_to_end(&mut answer).await;
                String::from_utf8(answer).unwrap()
            });
            let (before, text) = (heap::held(), start.clone() + &more.repeat(10_000));
            heap::forget_peak();
            let mut sent = 0;
            for bytes in text.as_bytes().chunks(piece) {
                if writing.write_all(bytes).await.is_err() {
                    break;
                }
                sent += bytes.len();
            }
            // The limit, hyper's growth of its buffer up to twice that, and what it parses to.
            let peak = heap::peak() - before;
            assert!(peak < 100 << 10, "{what}, {cut}: {peak} bytes were held");
            drop(writing);
            let answer = answer.await.unwrap();
            let status = answer.split(' ').nth(1).unwrap_or("none");
            assert!(matches!(status, "414" | "431" | "400" | "none"), "{what}, {cut}: {answer}");
            assert!(piece > 1 << 14 || sent < 20 << 10, "{what}, {cut}: {sent} bytes were taken");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_are_silent_or_slow_are_gone_after_their_ten_seconds_and_nobody_waits_for_them() {
    let server = Server::builder().limits(Limits::default().ping(None)).max_connections(310).build();
    let connect = serving(&server);
    let begun = Instant::now();
    let mut peers = Vec::new();
    for number in 0..300 {
        let (mut near, far) = tokio::io::duplex(1 << 12);
        connect.send(far).await.unwrap();
        peers.push(tokio::spawn(async move {
            match number % 3 {
                // Nothing; a byte a second; all but the last line.
                0 => {}
                1 => {
                    for byte in request("").bytes() {
                        let _ = near.write_all(&[byte]).await;
                        sleep(Duration::from_secs(1)).await;
                    }
                }
                _ => near.write_all(request("").trim_end().as_bytes()).await.unwrap(),
            }
            let _ = near.read_to_end(&mut Vec::new()).await;
        }));
    }
    sleep(Duration::from_secs(5)).await;
    assert_eq!(server.connections(), 300);
    let asked = Instant::now();
    let (mut honest, far) = tokio::io::duplex(1 << 12);
    connect.send(far).await.unwrap();
    assert!(exchange(&mut honest, request("").as_bytes()).await.starts_with("HTTP/1.1 101 "));
    assert!(asked.elapsed() < Duration::from_millis(100), "{:?}", asked.elapsed());
    sleep(Duration::from_secs(6)).await;
    assert_eq!(server.connections(), 1, "after {:?}", begun.elapsed());
    peers.iter().for_each(tokio::task::JoinHandle::abort);
}

#[cfg(feature = "tls")]
#[tokio::test(start_paused = true)]
async fn a_tls_handshake_that_stalls_is_part_of_the_ten_seconds() {
    use sockeye::rustls::ServerConfig;
    use sockeye::rustls::pki_types::PrivatePkcs8KeyDer;

    let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(identity.signing_key.serialize_der());
    let chain = vec![identity.cert.der().clone()];
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key.into()).unwrap();
    let server = Server::builder().tls(config.into()).build();
    let connect = serving(&server);
    // Nothing, and the beginning of a ClientHello that trickles in.
    for hello in [&b""[..], b"\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03"] {
        let (mut near, far) = tokio::io::duplex(1 << 12);
        connect.send(far).await.unwrap();
        let begun = Instant::now();
        for byte in hello {
            near.write_all(&[*byte]).await.unwrap();
            sleep(Duration::from_millis(500)).await;
        }
        near.read_to_end(&mut Vec::new()).await.unwrap();
        assert_eq!(begun.elapsed().as_secs(), 10);
    }
    assert_eq!(server.connections(), 0);
}
