//! All of it: connections that break at any moment, and a fate for every message.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{accept, answer, close, quick, serving};
use crate::support::{in_time, read_frame, server_frame};
use sockeye::CloseCode;
use sockeye::reconnect::{Event, Unsent};
use sockeye_proto::frame::Opcode;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

/// What became of each message, by its number.
#[derive(Default)]
struct Fates {
    uncertain: Vec<u64>,
    unsent: Vec<u64>,
}

/// Takes events to the end.
async fn fates(mut ws: sockeye::reconnect::Events) -> Fates {
    let mut fates = Fates::default();
    while let Some(event) = ws.recv().await {
        match event {
            Event::Disconnected(lost) => {
                fates.uncertain.extend(lost.uncertain());
                fates.unsent.extend(lost.unsent().iter().map(|(number, _)| number));
            }
            Event::Ended(ended) => fates.unsent.extend(ended.unsent().iter().map(|(number, _)| number)),
            _ => {}
        }
    }
    fates
}

/// Each was delivered once, or reported once and delivered once at most.
fn judge(sent: u64, delivered: &[u64], fates: &Fates) {
    for number in 0..sent {
        let count = |among: &[u64]| among.iter().filter(|other| **other == number).count();
        let (delivered, uncertain, unsent) = (count(delivered), count(&fates.uncertain), count(&fates.unsent));
        assert!(delivered <= 1, "{number} arrived {delivered} times");
        assert!(uncertain + unsent <= 1, "{number} was reported {} times", uncertain + unsent);
        assert!(delivered == 1 || uncertain + unsent == 1, "{number} is lost without a word");
        assert!(delivered == 0 || unsent == 0, "{number} arrived, and was given back as unsent");
    }
    assert!(delivered.is_sorted(), "in the order in which they were sent: {delivered:?}");
}

/// The server is a process of its own, this test run again: it is killed and started anew, with no chance to say anything.
#[tokio::test]
async fn a_server_is_killed_and_started_again_and_of_a_thousand_messages_none_is_lost_without_a_word_nor_sent_twice() {
    const NAME: &str = "reconnect::fates::a_server_is_killed_and_started_again_and_of_a_thousand_messages_none_is_lost_without_a_word_nor_sent_twice";
    const PORT: &str = "SOCKEYE_TEST_PORT";
    if let Ok(port) = std::env::var(PORT) {
        let listener = TcpListener::bind(("127.0.0.1", port.parse().unwrap())).await.unwrap();
        println!("\nlistening on {}", listener.local_addr().unwrap().port());
        let server = sockeye::serve(listener, |mut ws: sockeye::WebSocket| async move {
            while let Some(message) = ws.recv().await? {
                // In one write, and in the poll that took it: what is killed in between has not read it either.
                println!("got {}", message.as_text().unwrap());
            }
            Ok(())
        });
        server.await.unwrap();
        return;
    }
    let (tell, told) = std::sync::mpsc::channel::<String>();
    let start = |port: u16| {
        let mut server = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture"])
            .env(PORT, port.to_string())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, stdout) = (tell.clone(), server.stdout.take().unwrap());
        let reading = std::thread::spawn(move || {
            for line in std::io::BufRead::lines(std::io::BufReader::new(stdout)).map_while(Result::ok) {
                tell.send(line).unwrap();
            }
        });
        (server, reading)
    };
    let (mut server, mut reading) = start(0);
    let port = loop {
        if let Some(port) = told.recv().unwrap().strip_prefix("listening on ") {
            break port.parse::<u16>().unwrap();
        }
    };
    let ws = sockeye::connect(format!("ws://127.0.0.1:{port}/")).reconnect(quick()).start();
    let (sender, events) = ws.split();
    let watching = tokio::spawn(fates(events));
    for number in 0..1000 {
        assert_eq!(sender.send(number.to_string()).await.unwrap(), number);
        if number % 200 == 137 {
            server.kill().unwrap();
            server.wait().unwrap();
            reading.join().unwrap();
            // Some are accepted while nobody is there.
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            (server, reading) = start(port);
        }
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    // What was kept has arrived once the last one has.
    let mut delivered = Vec::new();
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while delivered.last() != Some(&999) && std::time::Instant::now() < deadline {
        while let Ok(line) = told.try_recv() {
            // The harness of the test may have begun the line.
            delivered.extend(line.split_once("got ").map(|(_, number)| number.parse::<u64>().unwrap()));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let ended = in_time(sender.close(CloseCode::NORMAL, "")).await.unwrap();
    assert!(ended.unsent().is_empty());
    let fates = in_time(watching).await.unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    judge(1000, &delivered, &fates);
    assert!(delivered.len() > 500, "{} of 1,000 arrived", delivered.len());
}

/// The same within one process, and more often: connections that break at any moment, in any way.
#[tokio::test]
async fn however_connections_break_each_message_is_delivered_or_reported_and_none_twice() {
    for (round, unsent) in [Unsent::Keep, Unsent::GiveBack].into_iter().cycle().take(10).enumerate() {
        let delivered = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&delivered);
        let address = serving(move |number, mut stream, head| {
            let record = Arc::clone(&record);
            // Different in each round and on each connection; the last ones stay.
            let (kind, patience) = ((number as usize + round) % 5, (number as usize * 7 + round * 13) % 40);
            async move {
                if number < 12 && kind == 0 {
                    return answer(stream, "503 Service Unavailable").await;
                }
                accept(&mut stream, &head).await;
                let mut seen = 0;
                while let Some((_, opcode, payload)) = read_frame(&mut stream).await {
                    match opcode {
                        Opcode::PING => {
                            if stream.write_all(&server_frame(true, Opcode::PONG, &payload)).await.is_err() {
                                return;
                            }
                        }
                        Opcode::CLOSE => {
                            let _ = stream.write_all(&server_frame(true, Opcode::CLOSE, &payload)).await;
                            return;
                        }
                        _ => {
                            let text = std::str::from_utf8(&payload).unwrap();
                            record.lock().unwrap().push(text.split(' ').next().unwrap().parse::<u64>().unwrap());
                        }
                    }
                    seen += 1;
                    if number < 12 && seen > patience {
                        match kind {
                            1 => return,
                            2 => {
                                stream.set_zero_linger().unwrap();
                                return;
                            }
                            3 => return close(&mut stream, 1012).await,
                            _ => {
                                // A broken rule.
                                let _ = stream.write_all(&[0xFF; 20]).await;
                                return;
                            }
                        }
                    }
                }
            }
        })
        .await;
        let attempt = sockeye::connect(format!("ws://{address}/")).reconnect(quick()).unsent(unsent);
        let (sender, events) = attempt.start().split();
        let watching = tokio::spawn(fates(events));
        let mut sent = 0;
        while sent < 300 {
            // Of all sizes, so that some leave in parts.
            let padding = "x".repeat(if sent % 17 == 0 { 200_000 } else { 10 });
            match sender.send(format!("{sent} {padding}")).await {
                Ok(number) => {
                    assert_eq!(number, sent);
                    sent += 1;
                }
                Err(_) => assert_eq!(unsent, Unsent::GiveBack),
            }
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
        while sender.queued_bytes() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        in_time(sender.close(CloseCode::NORMAL, "")).await.unwrap();
        let fates = in_time(watching).await.unwrap();
        let delivered = delivered.lock().unwrap().clone();
        judge(sent, &delivered, &fates);
        assert!(!fates.uncertain.is_empty() || !fates.unsent.is_empty(), "round {round} has broken nothing");
    }
}
