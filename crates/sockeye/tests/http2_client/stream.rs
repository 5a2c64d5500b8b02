//! One stream: its ends, and how each end holds the other one back.

use std::time::Duration;

use super::{WINDOW, over_http2, serve_connection, serving, takes_websockets};
use crate::support::{in_time, server_frame};
use bytes::Bytes;
use h2::{Reason, SendStream};
use sockeye::{CloseCode, Error, HttpVersion, Limits, Message};
use sockeye_proto::frame::Opcode;
use tokio::io::duplex;

#[tokio::test]
async fn a_close_on_both_sides_is_an_end_in_good_order_to_the_server() {
    let (near, far) = duplex(1 << 16);
    let mut requests = serve_connection(far, takes_websockets());
    let attempt = sockeye::connect("ws://a/").http_version(HttpVersion::H2).over(near);
    let (ws, (mut sending, mut receiving)) = tokio::join!(attempt, async { requests.recv().await.unwrap().accept() });
    let ws = ws.unwrap();
    let closing = tokio::spawn(async move { ws.close(CloseCode::NORMAL, "bye").await });
    let frame = receiving.data().await.unwrap().unwrap();
    assert_eq!(frame[0], 0x88, "a Close frame");
    sending.send_data(server_frame(true, Opcode::CLOSE, &1000u16.to_be_bytes()).into(), true).unwrap();
    in_time(closing).await.unwrap().unwrap();
    let end = in_time(receiving.data()).await.map(Result::unwrap);
    assert!(end.is_none_or(|data| data.is_empty()) && receiving.is_end_stream(), "END_STREAM, and no RST_STREAM");
}

#[tokio::test]
async fn whatever_ends_the_stream_without_a_close_is_an_abort_or_an_error() {
    let (address, _) = serving(takes_websockets, move |asked| {
        let path = asked.path();
        let (mut sending, receiving) = asked.accept();
        tokio::spawn(async move {
            let mut receiving = receiving;
            sending.send_data(server_frame(true, Opcode::TEXT, b"hello").into(), false).unwrap();
            // Until it has arrived: a reset takes along what has not left yet.
            receiving.data().await.unwrap().unwrap();
            match &path[1..] {
                "end" => sending.send_data(Bytes::new(), true).unwrap(),
                "error" => sending.send_reset(Reason::INTERNAL_ERROR),
                "cancel" => sending.send_reset(Reason::CANCEL),
                _ => sending.send_reset(Reason::NO_ERROR),
            }
        });
    })
    .await;
    for path in ["/end", "/error", "/cancel", "/no-error"] {
        let mut ws = over_http2(address, path).await.unwrap();
        assert_eq!(in_time(ws.recv()).await.unwrap(), Some(Message::from("hello")), "{path}");
        ws.send("it has").await.unwrap();
        let error = in_time(ws.recv()).await.unwrap_err();
        assert!(matches!(error, Error::Aborted | Error::Io(_)), "{path}: {error:?}");
        assert_eq!(error.close_code(), Some(CloseCode::ABNORMAL_CLOSURE), "{path}");
        assert!(ws.send("more").await.is_err(), "{path}");
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_ends_all_its_websockets() {
    let (near, far) = duplex(1 << 16);
    let (mut inner, outer) = duplex(1 << 16);
    let mut requests = serve_connection(outer, takes_websockets());
    let cut = tokio::spawn(async move {
        let mut far = far;
        let _ = tokio::io::copy_bidirectional(&mut far, &mut inner).await;
    });
    let attempt = sockeye::connect("ws://a/").http_version(HttpVersion::H2).over(near);
    let (ws, stream) = tokio::join!(attempt, async { requests.recv().await.unwrap().stream() });
    let mut ws = ws.unwrap();
    cut.abort();
    let error = in_time(ws.recv()).await.unwrap_err();
    assert!(matches!(error, Error::Aborted | Error::Io(_)), "{error:?}");
    drop(stream);
}

/// Sends so many messages, as the client's window allows.
async fn send_messages(sending: &mut SendStream<Bytes>, message: &[u8], count: usize) {
    for _ in 0..count {
        sending.reserve_capacity(message.len());
        while sending.capacity() < message.len() {
            in_time(core::future::poll_fn(|cx| sending.poll_capacity(cx))).await.unwrap().unwrap();
        }
        sending.send_data(Bytes::copy_from_slice(message), false).unwrap();
    }
}

/// Whether no more can be sent, as far as can be told by waiting for a while.
async fn is_full(sending: &mut SendStream<Bytes>, message: &[u8]) -> bool {
    sending.reserve_capacity(message.len());
    let room = async {
        while sending.capacity() < message.len() {
            core::future::poll_fn(|cx| sending.poll_capacity(cx)).await.unwrap().unwrap();
        }
    };
    tokio::time::timeout(Duration::from_millis(100), room).await.is_err()
}

#[tokio::test]
async fn what_is_not_read_makes_the_server_wait_and_what_is_read_makes_room() {
    for len in [10, 1 << 10] {
        let (near, far) = duplex(1 << 16);
        let mut requests = serve_connection(far, takes_websockets());
        let attempt = sockeye::connect("ws://a/").http_version(HttpVersion::H2).over(near);
        let (ws, (mut sending, _receiving)) = tokio::join!(attempt, async { requests.recv().await.unwrap().accept() });
        let (mut ws, payload) = (ws.unwrap(), vec![b'x'; len]);
        let message = server_frame(true, Opcode::BINARY, &payload);
        let all = WINDOW / message.len();
        send_messages(&mut sending, &message, all).await;
        assert!(is_full(&mut sending, &message).await, "messages of {len}");
        for _ in 0..all * 3 / 4 {
            assert_eq!(ws.recv().await.unwrap(), Some(Message::from(payload.clone())));
        }
        send_messages(&mut sending, &message, all / 2).await;
        for _ in all * 3 / 4..all + all / 2 {
            assert_eq!(in_time(ws.recv()).await.unwrap(), Some(Message::from(payload.clone())));
        }
    }
}

#[tokio::test]
async fn a_server_that_takes_nothing_makes_us_wait_and_what_it_takes_makes_room() {
    let (near, far) = duplex(1 << 16);
    let mut requests = serve_connection(far, takes_websockets());
    let attempt = sockeye::connect("ws://a/").http_version(HttpVersion::H2).over(near);
    let (ws, (_sending, mut receiving)) = tokio::join!(attempt, async { requests.recv().await.unwrap().accept() });
    let ws = ws.unwrap();
    // HTTP/2's own first window, what is kept of the stream, and the queue.
    let most = (64 << 10) + WINDOW + Limits::default().max_queue();
    let mut accepted = 0;
    while accepted < Limits::default().max_queue() {
        in_time(ws.send(vec![0; 1000])).await.unwrap();
        accepted += 1000;
    }
    while soon_or_never(ws.send(vec![0; 1000])).await {
        accepted += 1000;
        assert!(accepted <= most + 1000, "the queue has no bound");
    }
    let mut received = 0;
    while received < accepted {
        let data = in_time(receiving.data()).await.unwrap().unwrap();
        received += data.len();
        receiving.flow_control().release_capacity(data.len()).unwrap();
    }
    assert!(in_time(ws.send("more")).await.is_ok());
}

/// Servers count the frames that they hold: h2's own, in its defaults, ends the connection at 130 small ones.
#[tokio::test]
async fn a_burst_of_small_messages_leaves_in_a_few_frames() {
    let (near, far) = duplex(1 << 16);
    let mut requests = serve_connection(far, takes_websockets());
    let attempt = sockeye::connect("ws://a/").http_version(HttpVersion::H2).over(near);
    let (ws, (_sending, mut receiving)) = tokio::join!(attempt, async { requests.recv().await.unwrap().accept() });
    let ws = ws.unwrap();
    for number in 0..5000 {
        ws.send(format!("{number:04}")).await.unwrap();
    }
    let (mut frames, mut bytes) = (0, 0);
    while bytes < 5000 * 10 {
        let data = in_time(receiving.data()).await.unwrap().unwrap();
        frames += 1;
        bytes += data.len();
        receiving.flow_control().release_capacity(data.len()).unwrap();
    }
    assert!(frames <= 20, "{frames} frames");
    ws.send("one more").await.unwrap();
    assert_eq!(in_time(receiving.data()).await.unwrap().unwrap().len(), 14, "what is alone does not wait");
}

/// Whether something comes about, as far as can be told by waiting for a while.
async fn soon_or_never(future: impl Future<Output = Result<(), Error>>) -> bool {
    matches!(tokio::time::timeout(Duration::from_millis(100), future).await, Ok(Ok(())))
}
