//! What becomes of a connection whose last handle is dropped, wherever that happens: inside a future that drives it, beside
//! a peer that goes on talking, on a thread that is ending. What `send` accepted is delivered, then Close 1001, and nothing
//! is left within the closing deadline.

use std::cell::RefCell;
use std::future::pending;
use std::mem::forget;
use std::time::Duration;

use crate::support::{client_frame, in_time, read_close, read_frame, server, soon};
use sockeye::{CloseCode, Limits, Role, WebSocket, drive};
use sockeye_proto::frame::Opcode;
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::net::TcpSocket;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::yield_now;

/// The peer gets so many times 800 bytes, then 1001, and ends the connection, too: no task is left of it.
async fn gets_all(mut peer: DuplexStream, messages: usize, tasks: usize) {
    for _ in 0..messages {
        let frame = soon(read_frame(&mut peer)).await;
        assert_eq!(frame, Some((true, Opcode::TEXT, "accepted".repeat(100).into_bytes())));
    }
    assert_eq!(soon(read_close(&mut peer)).await, (1001, String::new()));
    drop(peer);
    only_these_tasks_are_left(tasks).await;
}

async fn only_these_tasks_are_left(tasks: usize) {
    for _ in 0..10 {
        yield_now().await;
    }
    assert_eq!(Handle::current().metrics().num_alive_tasks(), tasks);
}

// --- inside a drive ---

#[tokio::test(start_paused = true)]
async fn dropped_in_the_poll_in_which_its_drive_ends_it_delivers_what_it_accepted() {
    for capacity in [1, 16, 4096] {
        let (ws, peer) = server(capacity);
        drive(async move { ws.send("accepted".repeat(100)).await.unwrap() }).await;
        gets_all(peer, 1, 0).await;
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_in_any_poll_of_its_drive_it_delivers_what_it_accepted() {
    for before in 0..3 {
        for between in 0..3 {
            for after in 0..3 {
                let (ws, peer) = server(16);
                let wait = async |polls| {
                    for _ in 0..polls {
                        yield_now().await;
                    }
                };
                drive(async move {
                    wait(before).await;
                    ws.send("accepted".repeat(100)).await.unwrap();
                    wait(between).await;
                    ws.send("accepted".repeat(100)).await.unwrap();
                    drop(ws);
                    wait(after).await;
                })
                .await;
                gets_all(peer, 2, 0).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_inside_a_drive_that_goes_on_it_delivers_what_it_accepted() {
    for polls in 0..3 {
        let (ws, peer) = server(16);
        let driving = tokio::spawn(drive(async move {
            ws.send("accepted".repeat(100)).await.unwrap();
            for _ in 0..polls {
                yield_now().await;
            }
            drop(ws);
            pending::<()>().await;
        }));
        gets_all(peer, 1, 1).await;
        driving.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_inside_a_drive_that_another_task_drops_it_delivers_what_it_accepted() {
    for polls in 0..3 {
        let (ws, peer) = server(16);
        let driving = tokio::spawn(drive(async move {
            ws.send("accepted".repeat(100)).await.unwrap();
            pending::<()>().await;
        }));
        for _ in 0..polls {
            yield_now().await;
        }
        // Where it was never polled nothing was accepted, either.
        driving.abort();
        gets_all(peer, usize::from(polls > 0), 0).await;
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_inside_a_drive_while_the_peer_does_not_read_it_is_given_up_after_10_seconds() {
    let (ws, mut peer) = server(16);
    drive(async move { ws.send("accepted".repeat(100)).await.unwrap() }).await;
    tokio::time::sleep(Duration::from_secs(9)).await;
    // It, and the one that keeps its deadline.
    only_these_tasks_are_left(2).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    only_these_tasks_are_left(0).await;
    assert!(peer.write_all(&client_frame(true, Opcode::PING, b"")).await.is_err(), "the transport is given back");
}

// --- beside a peer that goes on ---

#[tokio::test(start_paused = true)]
async fn what_comes_after_it_was_dropped_is_discarded_until_the_peer_ends_or_10_seconds_have_passed() {
    for ends in [false, true] {
        let (ws, mut peer) = server(4096);
        drop(ws);
        assert_eq!(soon(read_close(&mut peer)).await, (1001, String::new()));
        // More than the wire holds: somebody takes it.
        for _ in 0..100 {
            soon(peer.write_all(&client_frame(true, Opcode::BINARY, &[7; 1000]))).await.unwrap();
        }
        // It, and the one that keeps its deadline.
        only_these_tasks_are_left(2).await;
        if ends {
            peer.shutdown().await.unwrap();
        } else {
            tokio::time::sleep(Duration::from_secs(11)).await;
        }
        only_these_tasks_are_left(0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tcp_a_peer_that_acknowledges_each_message_gets_them_all() {
    const MESSAGES: usize = 40;
    const SIZE: usize = 64 << 10;
    let socket = TcpSocket::new_v4().unwrap();
    // So that most of it is still to be sent when the other end is done.
    socket.set_recv_buffer_size(16 << 10).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let connecting = TcpSocket::new_v4().unwrap().connect(listener.local_addr().unwrap());
    let (near, far) = tokio::join!(connecting, listener.accept());
    let client = WebSocket::from_stream(near.unwrap(), Role::Client, Limits::default().queue(MESSAGES * SIZE));
    let mut server = WebSocket::from_stream(far.unwrap().0, Role::Server, Limits::default());
    for _ in 0..MESSAGES {
        in_time(client.send(vec![7; SIZE])).await.unwrap();
    }
    drop(client);
    for number in 0..MESSAGES {
        let message = in_time(server.recv()).await;
        assert!(matches!(&message, Ok(Some(message)) if message.len() == SIZE), "{number}: {message:?}");
        // To a socket that is closed with this in it, or when this arrives, the rest would be lost: that is a reset. Once
        // the Close is here, too, there is no sending any more.
        let _ = in_time(server.send("received")).await;
    }
    assert_eq!(in_time(server.recv()).await.unwrap(), None);
    assert_eq!(server.close_reason().unwrap().code(), CloseCode::GOING_AWAY);
}

// --- on a thread that is ending ---

/// Uses what a thread keeps for its connections, so that it is there to be destroyed; then leaves a connection with a full
/// wire behind. The wires' other ends are never dropped.
async fn leaves_one_behind() -> WebSocket {
    let (first, first_peer) = server(4096);
    first.send("buffers are used").await.unwrap();
    let (ws, peer) = server(16);
    ws.send("queued".repeat(100)).await.unwrap();
    forget((first_peer, peer));
    ws
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_connection_in_a_thread_local_is_dropped_after_the_buffers_of_its_thread() {
    thread_local! {
        static LAST: RefCell<Option<WebSocket>> = const { RefCell::new(None) };
    }
    let thread = std::thread::spawn(|| {
        // The first value of a thread is dropped last. A panic in there would end the process.
        LAST.with(|_| ());
        let ws = current_thread().block_on(leaves_one_behind());
        LAST.set(Some(ws));
    });
    thread.join().unwrap();
}

#[test]
fn a_runtime_in_a_thread_local_drops_its_connections_after_the_buffers_of_its_thread() {
    thread_local! {
        static LAST: RefCell<Option<Runtime>> = const { RefCell::new(None) };
    }
    let thread = std::thread::spawn(|| {
        LAST.set(Some(current_thread()));
        LAST.with_borrow(|runtime| {
            runtime.as_ref().unwrap().block_on(async {
                let ws = leaves_one_behind().await;
                tokio::spawn(async move { drop(ws.closed().await) });
                yield_now().await;
            });
        });
    });
    thread.join().unwrap();
}
