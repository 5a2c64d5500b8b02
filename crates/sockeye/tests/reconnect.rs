//! A client that connects again: what it tells, what it sends on which connection, and what becomes of every message.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{in_time, read_frame, read_head, server_frame, switching};
use sockeye::reconnect::{Backoff, Disconnected, EndedBy, Event, Reconnecting, Unsent};
use sockeye::{CloseCode, ClosedBy, Error, HandshakeError, Limits, Message, TrySendError};
use sockeye_proto::frame::Opcode;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// Tries at once, and for ever.
fn quick() -> Backoff {
    Backoff::default().first(Duration::from_millis(1)).most(Duration::from_millis(5))
}

/// A server that does this with one connection after the other, by their number; each is an HTTP request that was read.
async fn serving<F>(serve: impl Fn(u32, TcpStream, String) -> F + Send + Sync + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for number in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let head = read_head(&mut stream).await;
            tokio::spawn(serve(number, stream, head));
        }
    });
    address
}

/// Opens the WebSocket that was asked for.
async fn accept(stream: &mut TcpStream, head: &str) {
    stream.write_all(switching(head).as_bytes()).await.unwrap();
}

async fn answer(mut stream: TcpStream, status: &str) {
    stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes()).await.unwrap();
}

async fn close(stream: &mut TcpStream, code: u16) {
    let _ = stream.write_all(&server_frame(true, Opcode::CLOSE, &code.to_be_bytes())).await;
    while read_frame(stream).await.is_some_and(|(_, opcode, _)| opcode != Opcode::CLOSE) {}
}

/// Reads frames as a server does, answers Pings and Close, and tells texts.
async fn receive(mut stream: TcpStream, tell: mpsc::UnboundedSender<String>) {
    while let Some((_, opcode, payload)) = read_frame(&mut stream).await {
        match opcode {
            Opcode::PING => stream.write_all(&server_frame(true, Opcode::PONG, &payload)).await.unwrap(),
            Opcode::CLOSE => {
                stream.write_all(&server_frame(true, Opcode::CLOSE, &payload)).await.unwrap();
                return;
            }
            _ => tell.send(String::from_utf8(payload).unwrap()).unwrap(),
        }
    }
}

/// In a few words.
fn brief(event: &Event) -> String {
    match event {
        Event::Connecting { attempt, .. } => format!("connecting {attempt}"),
        Event::Connected { .. } => "connected".into(),
        Event::Message(message) => format!("message {}", message.as_text().unwrap()),
        Event::Disconnected(lost) => format!("disconnected {}", lost.closed().code().as_u16()),
        Event::Failed { attempt, .. } => format!("failed {attempt}"),
        Event::Waiting { .. } => "waiting".into(),
        Event::Ended(ended) => format!("ended {:?}", ended.by()),
        other => panic!("{other:?}"),
    }
}

/// The events up to the end, or as many.
async fn events(ws: &mut Reconnecting, most: usize) -> Vec<String> {
    let mut all = Vec::new();
    while all.len() < most
        && let Some(event) = in_time(ws.recv()).await
    {
        all.push(brief(&event));
    }
    all
}

async fn connected(ws: &mut Reconnecting) {
    while !matches!(in_time(ws.recv()).await.expect("it goes on"), Event::Connected { .. }) {}
}

async fn disconnected(ws: &mut Reconnecting) -> Disconnected {
    loop {
        if let Event::Disconnected(lost) = in_time(ws.recv()).await.expect("it goes on") {
            return lost;
        }
    }
}

// --- what is told ---

#[tokio::test]
async fn all_that_happens_is_told_in_order() {
    let address = serving(|number, mut stream, head| async move {
        match number {
            0 => answer(stream, "503 Service Unavailable").await,
            1 => {
                accept(&mut stream, &head).await;
                stream.write_all(&server_frame(true, Opcode::TEXT, b"one")).await.unwrap();
                stream.write_all(&server_frame(true, Opcode::TEXT, b"two")).await.unwrap();
                close(&mut stream, 1012).await;
            }
            2 | 3 => drop(stream),
            4 => {
                accept(&mut stream, &head).await;
                stream.write_all(&server_frame(true, Opcode::TEXT, b"three")).await.unwrap();
            }
            _ => {
                accept(&mut stream, &head).await;
                close(&mut stream, 1000).await;
            }
        }
    })
    .await;
    let mut ws = sockeye::connect(format!("ws://{address}/")).reconnect(quick()).start();
    let told = events(&mut ws, 100).await;
    let expected = [
        "connecting 1, failed 1, waiting, connecting 2, connected, message one, message two, disconnected 1012, waiting",
        "connecting 1, failed 1, waiting, connecting 2, failed 2, waiting",
        "connecting 3, connected, message three, disconnected 1006, waiting",
        "connecting 1, connected, disconnected 1000, ended FinalEvent",
    ];
    assert_eq!(told.join(", "), expected.join(", "));
    assert!(in_time(ws.recv()).await.is_none());
    assert!(matches!(ws.send("more").await, Err(Error::Closed)));
    assert!(matches!(ws.try_send("more"), Err(TrySendError::Closed(_))));
    assert!(!ws.is_connected());
}

#[tokio::test]
async fn what_trying_again_does_not_mend_ends_it_and_what_it_may_mend_does_not() {
    let after = |status: &'static str| async move {
        let address = serving(move |number, stream, _| async move {
            answer(stream, if number == 0 { status } else { "410 Gone" }).await;
        })
        .await;
        let mut ws = sockeye::connect(format!("ws://{address}/")).reconnect(quick()).start();
        events(&mut ws, 100).await.len()
    };
    for status in ["200 OK", "301 Moved", "400 No", "401 Who", "403 No", "404 Where", "426 Upgrade"] {
        assert_eq!(after(status).await, 3, "{status}: connecting, failed, ended");
    }
    for status in ["408 Late", "425 Early", "429 Often", "500 Oh", "502 Bad", "503 Full", "504 Slow"] {
        assert_eq!(after(status).await, 6, "{status}: connecting, failed, waiting, and once more");
    }
    for (code, is_final) in [
        (1000, true),
        (1001, false),
        (1002, true),
        (1003, true),
        (1007, false),
        (1008, true),
        (1009, false),
        (1010, true),
        (1011, false),
        (1012, false),
        (1013, false),
        (3000, true),
        (3003, true),
        (3008, false),
        (4000, false),
    ] {
        let address = serving(move |number, mut stream, head| async move {
            if number > 0 {
                return answer(stream, "410 Gone").await;
            }
            accept(&mut stream, &head).await;
            close(&mut stream, code).await;
        })
        .await;
        let mut ws = sockeye::connect(format!("ws://{address}/")).reconnect(quick()).start();
        let told = events(&mut ws, 100).await;
        assert_eq!(told.len(), if is_final { 4 } else { 7 }, "{code}: {told:?}");
    }
    // The caller's mistakes are no network's.
    for attempt in [
        sockeye::connect("http://127.0.0.1/"),
        sockeye::connect("ws://127.0.0.1/").header("Upgrade", "mine"),
        sockeye::connect("ws://127.0.0.1/").subprotocol("a b"),
    ] {
        let mut ws = attempt.reconnect(quick()).start();
        assert_eq!(events(&mut ws, 100).await, ["connecting 1", "failed 1", "ended FinalEvent"]);
    }
}

#[tokio::test]
async fn the_rule_can_be_another() {
    let address = serving(|number, mut stream, head| async move {
        match number {
            0 => answer(stream, "401 Unauthorized").await,
            1 => {
                accept(&mut stream, &head).await;
                close(&mut stream, 1000).await;
            }
            _ => {
                accept(&mut stream, &head).await;
                close(&mut stream, 4004).await;
            }
        }
    })
    .await;
    let rule = |event: &Event| matches!(event, Event::Disconnected(lost) if lost.closed().code().as_u16() == 4004);
    let mut ws = sockeye::connect(format!("ws://{address}/")).reconnect(quick()).give_up_when(rule).start();
    let told = events(&mut ws, 100).await;
    let expected = "connecting 1, failed 1, waiting, connecting 2, connected, disconnected 1000, waiting, \
                    connecting 1, connected, disconnected 4004, ended FinalEvent";
    assert_eq!(told.join(", "), expected);
}

#[tokio::test]
async fn so_many_tries_may_fail_and_a_connection_that_lasted_is_none_of_them() {
    // A port that was just free.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut ws = sockeye::connect(format!("ws://{closed}/")).reconnect(quick().attempts(3)).start();
    let told = events(&mut ws, 100).await;
    assert_eq!(told.last().unwrap(), "ended Attempts");
    assert_eq!(told.iter().filter(|event| event.starts_with("failed")).count(), 3);

    let address = serving(|number, mut stream, head| async move {
        accept(&mut stream, &head).await;
        close(&mut stream, if number == 9 { 1000 } else { 1001 }).await;
    })
    .await;
    let count = async |backoff: Backoff| {
        let mut ws = sockeye::connect(format!("ws://{address}/")).reconnect(backoff.attempts(3)).start();
        let told = events(&mut ws, 100).await;
        (told.iter().filter(|event| *event == "connected").count(), told.last().unwrap().clone())
    };
    assert_eq!(count(quick().stable(Duration::from_secs(3600))).await, (3, "ended Attempts".to_owned()));
    assert_eq!(count(quick().stable(Duration::ZERO)).await, (7, "ended FinalEvent".to_owned()));
}

#[tokio::test]
async fn a_server_can_say_when_to_come_back() {
    let address = serving(|_, stream, _| answer(stream, "503 Service Unavailable\r\nRetry-After: 120")).await;
    let mut ws = sockeye::connect(format!("ws://{address}/")).reconnect(quick()).start();
    loop {
        if let Event::Waiting { delay, .. } = in_time(ws.recv()).await.unwrap() {
            assert_eq!(delay.as_secs(), 120);
            break;
        }
    }
    // It need not be waited for.
    let ended = in_time(ws.close(CloseCode::NORMAL, "")).await.unwrap();
    assert_eq!(ended.by(), EndedBy::Us);
}

// --- hooks ---

#[tokio::test]
async fn each_try_can_have_another_url_and_another_token() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let address = serving(move |_, stream, head| {
        let line = |start: &str| head.lines().find(|line| line.starts_with(start)).unwrap_or_default().to_owned();
        tell.send((line("GET"), line("authorization"))).unwrap();
        answer(stream, if head.starts_with("GET /3") { "404 Not Found" } else { "500 Oh" })
    })
    .await;
    let calls = Arc::new(AtomicU32::new(0));
    let called = Arc::clone(&calls);
    let mut ws = sockeye::connect("ws://nowhere.invalid/")
        .bearer_auth("stale")
        .reconnect(quick())
        .before_each(move |attempt, connect| {
            let call = called.fetch_add(1, Ordering::Relaxed);
            async move {
                if call == 1 {
                    return Err("the token server is down".into());
                }
                Ok(connect.url(format!("ws://{address}/{attempt}")).bearer_auth(format!("token-{attempt}")))
            }
        })
        .start();
    let mut errors = Vec::new();
    while let Some(event) = in_time(ws.recv()).await {
        if let Event::Failed { error, .. } = event {
            errors.push(error);
        }
    }
    assert!(matches!(&errors[1], Error::Hook(error) if error.to_string() == "the token server is down"), "{errors:?}");
    assert_eq!(errors[1].to_string(), "the token server is down");
    let line = |n| (format!("GET /{n} HTTP/1.1"), format!("authorization: Bearer token-{n}"));
    assert_eq!([told.recv().await.unwrap(), told.recv().await.unwrap()], [line(1), line(3)]);
    assert_eq!(calls.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn what_a_hook_sends_on_a_connection_goes_before_all_else() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let address = serving(move |number, mut stream, head| {
        let tell = tell.clone();
        async move {
            accept(&mut stream, &head).await;
            if number == 0 {
                // Not let in: the hook gets no answer.
                return close(&mut stream, 1011).await;
            }
            stream.write_all(&server_frame(true, Opcode::TEXT, b"welcome")).await.unwrap();
            receive(stream, tell).await;
        }
    })
    .await;
    let mut ws = sockeye::connect(format!("ws://{address}/"))
        .reconnect(quick())
        .on_open(|mut ws| async move {
            ws.send("login").await?;
            match ws.recv().await? {
                Some(message) if message == Message::from("welcome") => Ok(ws),
                other => Err(std::io::Error::other(format!("{other:?}")).into()),
            }
        })
        .start();
    assert_eq!(ws.send("first").await.unwrap(), 0);
    assert_eq!(events(&mut ws, 5).await, ["connecting 1", "failed 1", "waiting", "connecting 2", "connected"]);
    assert_eq!(ws.send("second").await.unwrap(), 1);
    for expected in ["login", "first", "second"] {
        assert_eq!(in_time(told.recv()).await.unwrap(), expected);
    }
}

// --- what becomes of messages ---

#[tokio::test]
async fn what_was_not_sent_is_kept_and_goes_first_on_the_next_connection() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let address = serving(move |number, mut stream, head| {
        let tell = tell.clone();
        async move {
            if number < 3 {
                return answer(stream, "503 Service Unavailable").await;
            }
            accept(&mut stream, &head).await;
            receive(stream, tell).await;
        }
    })
    .await;
    let mut ws = sockeye::connect(format!("ws://{address}/")).reconnect(quick()).start();
    for number in 0..10 {
        assert_eq!(ws.send(number.to_string()).await.unwrap(), number);
    }
    connected(&mut ws).await;
    assert_eq!(ws.send("10").await.unwrap(), 10);
    for number in 0..11 {
        assert_eq!(in_time(told.recv()).await.unwrap(), number.to_string());
    }
    assert_eq!(ws.sender().queued_bytes(), 0);
    let ended = in_time(ws.close(CloseCode::NORMAL, "bye")).await.unwrap();
    assert!(ended.unsent().is_empty());
    let lost = disconnected(&mut ws).await;
    assert_eq!((lost.written(), lost.uncertain()), (0..11, 11..11), "the peer's Close says that it has read them");
    assert_eq!((lost.closed().by(), lost.closed().is_clean(), lost.error().is_none()), (ClosedBy::Us, true, true));
}

#[tokio::test]
async fn what_was_not_sent_is_given_back_where_that_is_wanted() {
    let (all_sent, is_sent) = tokio::sync::watch::channel(false);
    let address = serving(move |number, mut stream, head| {
        let mut is_sent = is_sent.clone();
        async move {
            if number > 0 {
                return answer(stream, "410 Gone").await;
            }
            accept(&mut stream, &head).await;
            // Nothing more is read, and all buffers are full.
            is_sent.wait_for(|sent| *sent).await.unwrap();
        }
    })
    .await;
    let limits = Limits::default().queue(64 << 20);
    let attempt = sockeye::connect(format!("ws://{address}/")).limits(limits);
    let mut ws = attempt.reconnect(quick()).unsent(Unsent::GiveBack).start();
    assert!(matches!(ws.send("too early").await, Err(Error::Closed)));
    match ws.try_send("too early") {
        Err(TrySendError::Closed(message)) => assert_eq!(message, Message::from("too early")),
        other => panic!("{other:?}"),
    }
    connected(&mut ws).await;
    // More than any kernel takes.
    assert_eq!(ws.send(vec![0; 32 << 20]).await.unwrap(), 0);
    for number in 1..=3u8 {
        assert_eq!(ws.send(vec![number]).await.unwrap(), u64::from(number));
    }
    // It has begun.
    while ws.sender().queued_bytes() > 3 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    all_sent.send(true).unwrap();
    let lost = disconnected(&mut ws).await;
    assert_eq!((lost.written(), lost.uncertain()), (0..1, 0..1), "{lost:?}");
    let unsent: Vec<_> =
        lost.into_unsent().into_iter().map(|(number, message)| (number, message.into_bytes())).collect();
    assert_eq!(unsent, [(1, vec![1].into()), (2, vec![2].into()), (3, vec![3].into())]);
    let ended = in_time(ws.sender().ended()).await;
    assert!(ended.unsent().is_empty());
}

#[tokio::test]
async fn a_message_of_which_a_part_has_left_is_uncertain_and_not_sent_again() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let address = serving(move |number, mut stream, head| {
        let tell = tell.clone();
        async move {
            accept(&mut stream, &head).await;
            if number == 0 {
                // A part of it, and then a reset.
                let mut part = [0; 1000];
                tokio::io::AsyncReadExt::read_exact(&mut stream, &mut part).await.unwrap();
                stream.set_zero_linger().unwrap();
                return;
            }
            receive(stream, tell).await;
        }
    })
    .await;
    let limits = Limits::default().queue(64 << 20);
    let mut ws = sockeye::connect(format!("ws://{address}/")).limits(limits).reconnect(quick()).start();
    ws.send("x".repeat(32 << 20)).await.unwrap();
    for number in 1..=3 {
        ws.send(number.to_string()).await.unwrap();
    }
    let lost = disconnected(&mut ws).await;
    assert_eq!((lost.written(), lost.uncertain()), (0..1, 0..1));
    assert!(lost.error().is_some() && lost.unsent().is_empty());
    for number in 1..=3 {
        assert_eq!(in_time(told.recv()).await.unwrap(), number.to_string());
    }
}

#[tokio::test]
async fn what_the_peer_has_read_is_not_uncertain_and_what_came_after_is() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let address = serving(move |number, mut stream, head| {
        let tell = tell.clone();
        async move {
            if number > 0 {
                return answer(stream, "410 Gone").await;
            }
            accept(&mut stream, &head).await;
            let mut pings = 0;
            while let Some((_, opcode, payload)) = read_frame(&mut stream).await {
                match opcode {
                    Opcode::PING => {
                        pings += 1;
                        tell.send(format!("ping {pings}")).unwrap();
                        // The third one is sent once the first two have said what they had to say.
                        if pings < 3 {
                            stream.write_all(&server_frame(true, Opcode::PONG, &payload)).await.unwrap();
                        }
                    }
                    _ if payload == b"last" => return,
                    _ => tell.send(String::from_utf8(payload).unwrap()).unwrap(),
                }
            }
        }
    })
    .await;
    let mut ws = sockeye::connect(format!("ws://{address}/")).reconnect(quick()).start();
    for number in 0..5 {
        ws.send(number.to_string()).await.unwrap();
    }
    while in_time(told.recv()).await.unwrap() != "ping 2" {}
    ws.send("5").await.unwrap();
    while in_time(told.recv()).await.unwrap() != "ping 3" {}
    ws.send("last").await.unwrap();
    let lost = disconnected(&mut ws).await;
    assert_eq!((lost.written(), lost.uncertain()), (0..7, 5..7));
}

/// The keepalive's own, say, which went before the message.
#[tokio::test]
async fn a_pong_to_an_older_ping_proves_nothing() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let sent = Arc::new(tokio::sync::Notify::new());
    let is_sent = Arc::clone(&sent);
    let address = serving(move |number, mut stream, head| {
        let (tell, is_sent) = (tell.clone(), Arc::clone(&is_sent));
        async move {
            if number > 0 {
                return answer(stream, "410 Gone").await;
            }
            accept(&mut stream, &head).await;
            let (_, opcode, payload) = read_frame(&mut stream).await.unwrap();
            assert_eq!(opcode, Opcode::PING);
            tell.send(()).unwrap();
            is_sent.notified().await;
            // Nothing more has been read, and never will be.
            stream.write_all(&server_frame(true, Opcode::PONG, &payload)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    })
    .await;
    let limits = Limits::default().ping(Some(Duration::from_millis(50)));
    let mut ws = sockeye::connect(format!("ws://{address}/")).limits(limits).reconnect(quick()).start();
    in_time(told.recv()).await.unwrap();
    ws.send("who reads this?").await.unwrap();
    // Until it is asked for.
    tokio::time::sleep(Duration::from_millis(500)).await;
    sent.notify_one();
    assert_eq!(disconnected(&mut ws).await.uncertain(), 0..1);
}

#[tokio::test]
async fn without_pings_all_messages_of_a_connection_are_uncertain_when_it_breaks() {
    let address = serving(|number, mut stream, head| async move {
        if number > 0 {
            return answer(stream, "410 Gone").await;
        }
        accept(&mut stream, &head).await;
        while let Some((_, opcode, payload)) = read_frame(&mut stream).await {
            assert_ne!(opcode, Opcode::PING);
            if payload == b"last" {
                return;
            }
        }
    })
    .await;
    let attempt = sockeye::connect(format!("ws://{address}/")).limits(Limits::default().ping(None));
    let mut ws = attempt.reconnect(quick()).start();
    ws.send("first").await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    ws.send("last").await.unwrap();
    assert_eq!(disconnected(&mut ws).await.uncertain(), 0..2);
}

// --- the queue ---

#[tokio::test]
async fn the_queue_is_bounded_and_a_message_larger_than_it_goes_alone() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let (open, opened) = tokio::sync::watch::channel(false);
    let address = serving(move |_, mut stream, head| {
        let (tell, mut opened) = (tell.clone(), opened.clone());
        async move {
            opened.wait_for(|open| *open).await.unwrap();
            accept(&mut stream, &head).await;
            receive(stream, tell).await;
        }
    })
    .await;
    let attempt = sockeye::connect(format!("ws://{address}/")).limits(Limits::default().queue(10_000));
    let ws = attempt.reconnect(quick()).start();
    let mut sent = 0;
    while ws.try_send("x".repeat(100)).is_ok() {
        sent += 1;
    }
    assert!((20..100).contains(&sent), "{sent}");
    let sender = ws.sender();
    let waiting = tokio::spawn(async move {
        let large = sender.send("y".repeat(50_000)).await.unwrap();
        (large, sender.send("z").await.unwrap())
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    open.send(true).unwrap();
    assert_eq!(in_time(waiting).await.unwrap(), (sent, sent + 1));
    let mut lens = Vec::new();
    for _ in 0..sent + 2 {
        lens.push(in_time(told.recv()).await.unwrap().len());
    }
    assert_eq!(lens[lens.len() - 3..], [100, 50_000, 1]);
}

#[tokio::test]
async fn a_send_that_is_given_up_accepts_nothing() {
    // A port that was just free.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let attempt = sockeye::connect(format!("ws://{closed}/")).limits(Limits::default().queue(1000));
    let ws = attempt.reconnect(quick()).start();
    assert_eq!(ws.send("x".repeat(900)).await.unwrap(), 0);
    assert!(tokio::time::timeout(Duration::from_millis(50), ws.send("y".repeat(900))).await.is_err());
    let ended = in_time(ws.close(CloseCode::NORMAL, "")).await.unwrap();
    assert_eq!(ended.unsent(), [(0, Message::from("x".repeat(900)))]);
}

#[tokio::test]
async fn messages_that_nobody_takes_make_the_server_wait_and_pings_are_answered_meanwhile() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let address = serving(move |_, mut stream, head| {
        let tell = tell.clone();
        async move {
            accept(&mut stream, &head).await;
            let (mut read, mut write) = stream.into_split();
            // Some of it is taken ahead, and the rest waits in the sockets' buffers.
            write.write_all(&server_frame(true, Opcode::TEXT, &[b'x'; 60 << 10])).await.unwrap();
            write.write_all(&server_frame(true, Opcode::PING, b"still there?")).await.unwrap();
            let (_, opcode, payload) = read_frame(&mut read).await.unwrap();
            tell.send((opcode, payload)).unwrap();
            let message = server_frame(true, Opcode::TEXT, &[b'x'; 10 << 10]);
            let mut sent = 0;
            while sent < 100 << 20
                && tokio::time::timeout(Duration::from_millis(500), write.write_all(&message)).await.is_ok()
            {
                sent += message.len();
            }
            tell.send((Opcode::TEXT, sent.to_be_bytes().to_vec())).unwrap();
            core::future::pending::<()>().await;
        }
    })
    .await;
    let _ws = sockeye::connect(format!("ws://{address}/")).reconnect(quick()).start();
    assert_eq!(in_time(told.recv()).await.unwrap(), (Opcode::PONG, b"still there?".to_vec()));
    let (_, sent) = in_time(told.recv()).await.unwrap();
    let sent = usize::from_be_bytes(sent.try_into().unwrap());
    assert!(sent < 50 << 20, "{sent} bytes");
}

// --- the end ---

#[tokio::test]
async fn closing_sends_what_is_queued_and_without_a_connection_gives_it_back() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let address = serving(move |_, mut stream, head| {
        let tell = tell.clone();
        async move {
            accept(&mut stream, &head).await;
            receive(stream, tell).await;
        }
    })
    .await;
    let mut ws = sockeye::connect(format!("ws://{address}/")).reconnect(quick()).start();
    connected(&mut ws).await;
    for number in 0..100 {
        ws.try_send(number.to_string()).unwrap();
    }
    assert!(matches!(ws.close(CloseCode::NO_STATUS_RECEIVED, "").await, Err(Error::InvalidClose(_))));
    let ended = in_time(ws.close(CloseCode::NORMAL, "bye")).await.unwrap();
    assert_eq!((ended.by(), ended.unsent().len()), (EndedBy::Us, 0));
    for number in 0..100 {
        assert_eq!(told.recv().await.unwrap(), number.to_string());
    }
    assert_eq!(events(&mut ws, 100).await, ["disconnected 1000", "ended Us"]);
    assert_eq!(in_time(ws.close(CloseCode::NORMAL, "again")).await.unwrap(), ended);

    // A port that was just free.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let backoff = Backoff::default().first(Duration::from_secs(3600)).most(Duration::from_secs(3600));
    let mut ws = sockeye::connect(format!("ws://{closed}/")).reconnect(backoff).start();
    ws.send("one").await.unwrap();
    ws.send("two").await.unwrap();
    assert_eq!(events(&mut ws, 3).await, ["connecting 1", "failed 1", "waiting"]);
    let ended = in_time(ws.close(CloseCode::NORMAL, "")).await.unwrap();
    assert_eq!(ended.unsent(), [(0, Message::from("one")), (1, Message::from("two"))]);
}

#[tokio::test]
async fn a_hook_or_a_server_that_never_answers_does_not_keep_it_from_being_closed() {
    let ws =
        sockeye::connect("ws://127.0.0.1:9/").reconnect(quick()).before_each(|_, _| core::future::pending()).start();
    assert_eq!(in_time(ws.close(CloseCode::NORMAL, "")).await.unwrap().by(), EndedBy::Us);
    let address = serving(|_, stream, _| async move {
        core::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let mut ws = sockeye::connect(format!("ws://{address}/")).reconnect(quick()).start();
    assert_eq!(events(&mut ws, 1).await, ["connecting 1"]);
    assert_eq!(in_time(ws.close(CloseCode::NORMAL, "")).await.unwrap().by(), EndedBy::Us);
}

#[tokio::test]
async fn who_drops_it_closes_it_with_1001_behind_what_was_accepted() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let address = serving(move |_, mut stream, head| {
        let tell = tell.clone();
        async move {
            accept(&mut stream, &head).await;
            while let Some((_, opcode, payload)) = read_frame(&mut stream).await {
                let text = String::from_utf8_lossy(&payload).into_owned();
                tell.send(if opcode == Opcode::CLOSE { format!("{payload:?}") } else { text }).unwrap();
            }
        }
    })
    .await;
    let mut ws = sockeye::connect(format!("ws://{address}/")).reconnect(quick()).start();
    connected(&mut ws).await;
    ws.try_send("one").unwrap();
    ws.try_send("two").unwrap();
    drop(ws);
    for expected in ["one", "two", "[3, 233]"] {
        assert_eq!(in_time(told.recv()).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn one_who_only_sends_drops_the_events_and_goes_on() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let address = serving(move |number, mut stream, head| {
        let tell = tell.clone();
        async move {
            accept(&mut stream, &head).await;
            // More than would be kept for somebody.
            for _ in 0..20 {
                stream.write_all(&server_frame(true, Opcode::TEXT, &[b'x'; 10 << 10])).await.unwrap();
            }
            if number < 3 {
                return close(&mut stream, 1012).await;
            }
            receive(stream, tell).await;
        }
    })
    .await;
    let (sender, events) = sockeye::connect(format!("ws://{address}/")).reconnect(quick()).start().split();
    drop(events);
    for number in 0.. {
        sender.send(number.to_string()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
        if told.try_recv().is_ok() {
            break;
        }
    }
    assert_eq!(in_time(sender.close(CloseCode::NORMAL, "")).await.unwrap().by(), EndedBy::Us);
    assert!(matches!(sender.send("more").await, Err(Error::Closed)));
}

/// A handshake that is not the answer to our request is no network's failure.
#[tokio::test]
async fn a_wrong_answer_ends_it() {
    let address = serving(|_, mut stream, _| async move {
        let answer = "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let mut ws = sockeye::connect(format!("ws://{address}/")).reconnect(quick()).start();
    let mut last = None;
    while let Some(event) = in_time(ws.recv()).await {
        if let Event::Failed { error, .. } = event {
            last = Some(error);
        }
    }
    assert!(matches!(last, Some(Error::Handshake(HandshakeError::Accept))), "{last:?}");
}

// --- all of it ---

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
    const NAME: &str = "reconnect::a_server_is_killed_and_started_again_and_of_a_thousand_messages_none_is_lost_without_a_word_nor_sent_twice";
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
