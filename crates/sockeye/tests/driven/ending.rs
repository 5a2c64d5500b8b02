//! How a handler's end becomes the connection's.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{answered_close, counted, next, next_text, ping};
use crate::support::{client_frame, close_frame, in_time, open, read_close, read_frame, server, soon, start, text};
use sockeye::{Error, HandlerResult, Message, WebSocket};
use sockeye_proto::frame::Opcode;
use tokio::io::AsyncWriteExt;
use tokio::sync::oneshot;
use tokio::task::yield_now;

#[tokio::test]
async fn a_handler_s_end_closes_the_connection_behind_what_it_sent() {
    type End = fn(WebSocket) -> Pin<Box<dyn Future<Output = HandlerResult> + Send>>;
    let ends: [(u16, End); 6] = [
        (1000, |ws| Box::pin(async move { Ok(ws.send("last").await?) })),
        (1000, |ws| Box::pin(async move { Ok(ws.try_send("last")?) })),
        (1000, |ws| Box::pin(async move { Ok(ws.feed("last").await?) })),
        (1011, |ws| {
            Box::pin(async move {
                ws.send("last").await?;
                Err("of the handler's own".into())
            })
        }),
        (1011, |ws| {
            Box::pin(async move {
                ws.send("last").await?;
                panic!("a bug in the handler");
            })
        }),
        (1011, |ws| {
            Box::pin(async move {
                ws.feed("last").await?;
                yield_now().await;
                panic!("a bug in the handler, later");
            })
        }),
    ];
    for (number, (code, end)) in ends.into_iter().enumerate() {
        let address = start(|listener| sockeye::serve(listener, end)).await;
        let mut peer = open(address).await;
        assert_eq!(next_text(&mut peer).await, "last", "{number}");
        assert_eq!(answered_close(&mut peer).await, code, "{number}");
    }
}

#[tokio::test]
async fn a_handler_that_panics_before_its_first_await_closes_with_1011() {
    fn handler(_: WebSocket) -> Pin<Box<dyn Future<Output = HandlerResult> + Send>> {
        panic!("before there is a future")
    }
    let address = start(|listener| sockeye::serve(listener, handler)).await;
    let mut peer = open(address).await;
    assert_eq!(answered_close(&mut peer).await, 1011);
}

#[tokio::test]
async fn a_handler_that_drops_its_websocket_stays_open_until_it_ends() {
    for fails in [false, true] {
        let (wake, woken) = oneshot::channel::<()>();
        let once = Arc::new(Mutex::new(Some(woken)));
        let handler = move |ws: WebSocket| {
            let woken = once.lock().unwrap().take().unwrap();
            async move {
                ws.send("before").await?;
                drop(ws);
                drop(woken.await);
                if fails { Err("it failed".into()) } else { Ok(()) }
            }
        };
        let address = start(|listener| sockeye::serve(listener, handler)).await;
        let mut peer = open(address).await;
        assert_eq!(next_text(&mut peer).await, "before");
        peer.write_all(&[text("discarded"), ping("?")].concat()).await.unwrap();
        assert_eq!(next(&mut peer).await, (Opcode::PONG, "?".into()));
        wake.send(()).unwrap();
        assert_eq!(answered_close(&mut peer).await, if fails { 1011 } else { 1000 });
    }
}

#[tokio::test]
async fn a_handler_that_keeps_only_a_sender_discards_what_comes_and_closes_when_it_ends() {
    let (wake, woken) = oneshot::channel::<()>();
    let once = Arc::new(Mutex::new(Some(woken)));
    let kept = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&kept);
    let handler = move |ws: WebSocket| {
        let (woken, keep) = (once.lock().unwrap().take().unwrap(), Arc::clone(&keep));
        async move {
            let (sender, receiver) = ws.split();
            drop(receiver);
            *keep.lock().unwrap() = Some(sender.clone());
            sender.send("before").await?;
            drop(woken.await);
            Ok(())
        }
    };
    let address = start(|listener| sockeye::serve(listener, handler)).await;
    let mut peer = open(address).await;
    assert_eq!(next_text(&mut peer).await, "before");
    peer.write_all(&[client_frame(true, Opcode::BINARY, &[0; 300_000]), ping("?")].concat()).await.unwrap();
    assert_eq!(next(&mut peer).await, (Opcode::PONG, "?".into()));
    let outside = kept.lock().unwrap().take().unwrap();
    outside.send("from outside").await.unwrap();
    assert_eq!(next_text(&mut peer).await, "from outside");
    wake.send(()).unwrap();
    // The sender that is left does not keep it open.
    assert_eq!(answered_close(&mut peer).await, 1000);
    assert!(matches!(outside.send("after").await, Err(Error::Closed)));
}

#[tokio::test]
async fn a_handler_that_gives_its_websocket_away_leaves_it_open() {
    let (give, mut given) = tokio::sync::mpsc::channel::<WebSocket>(1);
    let handler = move |ws: WebSocket| {
        let give = give.clone();
        async move {
            ws.send("of the handler").await?;
            give.send(ws).await.unwrap();
            Ok(())
        }
    };
    let address = start(|listener| sockeye::serve(listener, handler)).await;
    let mut peer = open(address).await;
    let mut ws = in_time(given.recv()).await.unwrap();
    assert_eq!(next_text(&mut peer).await, "of the handler");
    ws.send("of the new owner").await.unwrap();
    assert_eq!(next_text(&mut peer).await, "of the new owner");
    peer.write_all(&text("to the new owner")).await.unwrap();
    assert_eq!(in_time(ws.recv()).await.unwrap(), Some("to the new owner".into()));
    drop(ws);
    assert_eq!(in_time(read_close(&mut peer)).await.0, 1001);
}

#[tokio::test]
async fn a_handler_that_ends_before_its_answers_have_left_delivers_them() {
    // More than the system's buffers hold, to a peer that does not read yet.
    let handler = |ws: WebSocket| async move {
        for _ in 0..40 {
            ws.send(vec![7; 1 << 20]).await?;
        }
        Ok(())
    };
    let address = start(|listener| sockeye::serve(listener, handler)).await;
    let mut peer = open(address).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    for _ in 0..40 {
        let (_, opcode, payload) = in_time(read_frame(&mut peer)).await.unwrap();
        assert!(opcode == Opcode::BINARY && payload.len() == 1 << 20);
    }
    assert_eq!(answered_close(&mut peer).await, 1000);
}

#[tokio::test]
async fn a_handler_that_closes_itself_is_not_closed_twice() {
    let handler = |ws: WebSocket| async move { Ok(ws.close(4000.into(), "by the handler").await?) };
    let address = start(|listener| sockeye::serve(listener, handler)).await;
    let mut peer = open(address).await;
    let (_, opcode, payload) = in_time(read_frame(&mut peer)).await.unwrap();
    assert_eq!((opcode, &payload[2..]), (Opcode::CLOSE, &b"by the handler"[..]));
    peer.write_all(&close_frame(4000)).await.unwrap();
    assert!(in_time(read_frame(&mut peer)).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_a_panic_in_a_drive_leaves_behind_can_be_used() {
    let (ws, mut peer) = server(4096);
    let sender = ws.sender();
    let panicked = tokio::spawn(sockeye::drive(async move {
        ws.send("accepted").await.unwrap();
        panic!("in a driven future");
    }));
    assert!(panicked.await.unwrap_err().is_panic());
    // The same thread goes on, and is no longer marked as driving.
    sender.send("still there").await.unwrap();
    assert_eq!(soon(next_text(&mut peer)).await, "accepted");
    assert_eq!(soon(next_text(&mut peer)).await, "still there");
    let (another, calls, _peer) = counted();
    another.send("at once").await.unwrap();
    assert_eq!(calls.take_writes(), [9]);
}

#[tokio::test(start_paused = true)]
async fn what_a_panic_in_a_drive_had_accepted_leaves_even_if_nobody_sends_more() {
    let (ws, mut peer) = server(4096);
    let sender = ws.sender();
    let panicked = tokio::spawn(sockeye::drive(async move {
        ws.send("accepted").await.unwrap();
        panic!("in a driven future");
    }));
    assert!(panicked.await.unwrap_err().is_panic());
    assert_eq!(soon(next_text(&mut peer)).await, "accepted");
    drop(sender);
    assert_eq!(soon(read_close(&mut peer)).await.0, 1001);
}

#[tokio::test]
async fn many_handlers_on_many_threads_keep_their_connections_apart() {
    static SERVED: AtomicUsize = AtomicUsize::new(0);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let done = runtime.spawn(async {
        let handler = |mut ws: WebSocket| async move {
            while let Some(message) = ws.recv().await? {
                ws.send(message).await?;
                SERVED.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        };
        let address = start(|listener| sockeye::serve(listener, handler)).await;
        let mut clients = tokio::task::JoinSet::new();
        for name in 0..20 {
            clients.spawn(async move {
                let mut ws = sockeye::connect(format!("ws://{address}/")).await.unwrap();
                for number in 0..50 {
                    let message = Message::from(format!("{name} {number}"));
                    ws.send(message.clone()).await.unwrap();
                    assert_eq!(ws.recv().await.unwrap(), Some(message));
                }
                ws.close(1000.into(), "").await.unwrap();
            });
        }
        clients.join_all().await;
    });
    in_time(done).await.unwrap();
    assert_eq!(SERVED.load(Ordering::SeqCst), 1000);
    runtime.shutdown_background();
}
