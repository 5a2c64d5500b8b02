//! What is told of connections, and what is asked before each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::{accept, answer, close, events, quick, receive, serving};
use crate::support::{in_time, server_frame};
use sockeye::reconnect::{Backoff, EndedBy, Event};
use sockeye::{CloseCode, Error, Message, TrySendError};
use sockeye_proto::frame::Opcode;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

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
