//! Limits of nothing and of all there is, a transport that has failed, wakers that own handles.

use std::io::ErrorKind;
use std::pin::pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use super::{next_text, with_limits};
use crate::support::{Broken, client_frame, others_wait, server, soon, text};
use sockeye::{CloseCode, Error, Limits, Phase, Role, Sender, WebSocket, drive};
use sockeye_proto::frame::Opcode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(start_paused = true)]
async fn a_transport_that_cannot_be_written_to_is_given_up_after_the_closing_time_be_it_none_or_for_ever() {
    for closing in [Duration::ZERO, Duration::from_secs(10), Duration::MAX] {
        let limits = Limits::default().ping(None).closing(closing);
        let mut ws = WebSocket::from_stream(Broken, Role::Server, limits);
        let sent = ws.send("x").await;
        assert!(matches!(&sent, Err(Error::Io(error)) if error.kind() == ErrorKind::BrokenPipe), "{sent:?}");
        let received = tokio::time::timeout(Duration::from_secs(11), ws.recv()).await;
        match received {
            Err(_) => assert_eq!(closing, Duration::MAX),
            Ok(ended) => assert!(ended.is_err() && closing < Duration::MAX, "{ended:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_room_in_the_queue_no_time_to_close_and_no_interval_between_pings_are_limits_like_others() {
    let (ws, mut peer) = with_limits(1024, Limits::default().queue(0));
    ws.send("a").await.unwrap();
    ws.send("b").await.unwrap();
    assert_eq!((next_text(&mut peer).await, next_text(&mut peer).await), ("a".into(), "b".into()));

    let (ws, _peer) = with_limits(1024, Limits::default().closing(Duration::ZERO));
    assert!(matches!(soon(ws.close(CloseCode::NORMAL, "")).await, Err(Error::Timeout(Phase::Closing))));

    let (mut ws, _peer) = with_limits(1024, Limits::default().ping(Some(Duration::ZERO)).pong(Duration::ZERO));
    assert!(matches!(soon(ws.recv()).await, Err(Error::Timeout(Phase::Keepalive))));
}

#[tokio::test(start_paused = true)]
async fn what_writes_the_rest_of_an_answer_does_not_read_a_bad_frame_behind_the_next_message() {
    let (mut ws, peer) = server(64);
    let (mut reading, mut writing) = tokio::io::split(peer);
    // Two good messages, and a frame with a reserved opcode. The peer reads on later.
    let bytes = [text("one"), text("two"), client_frame(true, Opcode::from_bits(3), b"")].concat();
    writing.write_all(&bytes).await.unwrap();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let _ = reading.read_to_end(&mut Vec::new()).await;
    });
    assert_eq!(ws.recv().await.unwrap(), Some("one".into()));
    ws.send("an answer that is longer than the wire ".repeat(5)).await.unwrap();
    // The application is at work, and the answer leaves meanwhile.
    others_wait().await;
    assert_eq!(soon(ws.recv()).await.unwrap(), Some("two".into()));
    ws.send("another answer").await.expect("what is behind a message does not cut off the answer to it");
}

/// A waker that holds a handle of the connection it waits for, as those of tasks do that own one.
struct Owner(#[expect(dead_code, reason = "it is there to be dropped")] Mutex<Sender>);

impl Wake for Owner {
    fn wake(self: Arc<Self>) {}
}

/// Polls a future with a waker that only the connection keeps, and again with another: the connection drops the first.
fn replaces_its_waker(future: impl Future, sender: Sender) {
    let mut future = pin!(future);
    let owner = Waker::from(Arc::new(Owner(Mutex::new(sender))));
    assert!(future.as_mut().poll(&mut Context::from_waker(&owner)).is_pending());
    drop(owner);
    assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

#[test]
fn a_waker_that_owns_a_handle_is_dropped_under_no_lock() {
    let (done, is_done) = mpsc::channel();
    // A deadlock stops the thread, not the test.
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _inside = runtime.enter();
        for way in ["recv", "closed", "ping", "send", "drive"] {
            let (mut ws, _peer) = with_limits(16, Limits::default().queue(100));
            let sender = ws.sender();
            match way {
                "recv" => replaces_its_waker(ws.recv(), sender),
                "closed" => replaces_its_waker(ws.closed(), sender),
                "ping" => replaces_its_waker(ws.ping(), sender),
                "send" => {
                    ws.try_send("x".repeat(90)).unwrap();
                    replaces_its_waker(ws.send("x".repeat(90)), sender);
                }
                _ => replaces_its_waker(
                    drive(async {
                        drop(ws.try_send("x"));
                        std::future::pending::<()>().await;
                    }),
                    sender,
                ),
            }
            done.send(way).unwrap();
        }
    });
    for _ in 0..5 {
        is_done.recv_timeout(Duration::from_secs(30)).expect("it does not hang");
    }
    thread.join().unwrap();
}

#[tokio::test]
async fn what_one_poll_sends_to_three_hundred_connections_leaves_in_it() {
    for number in 0..300 {
        let (near, _far) = tokio::io::duplex(4096);
        let ws = WebSocket::from_stream(near, Role::Server, Limits::default());
        ws.try_send("news").unwrap();
        assert_eq!(ws.queued_bytes(), 0, "connection {number}");
    }
}
