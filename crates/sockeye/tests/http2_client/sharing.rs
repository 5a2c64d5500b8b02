//! Many on one connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Asked, WINDOW, comes_back, echoing, serving, takes_websockets};
use crate::support::{in_time, read_head, server_frame};
use bytes::Bytes;
use http::Response;
use sockeye::{CloseCode, Error, HandshakeError};
use sockeye_proto::frame::Opcode;
use tokio::io::duplex;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

#[tokio::test]
async fn a_hundred_websockets_share_a_connection_and_one_that_does_not_read_holds_up_none() {
    let flooded = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&flooded);
    let (address, connections) = serving(takes_websockets, move |asked| {
        if asked.path() != "/flood" {
            return echoing(asked);
        }
        let (mut sending, receiving) = asked.accept();
        let counted = Arc::clone(&counted);
        tokio::spawn(async move {
            let _receiving = receiving;
            let message = server_frame(true, Opcode::TEXT, b"the news of the day");
            loop {
                sending.reserve_capacity(message.len());
                while sending.capacity() < message.len() {
                    core::future::poll_fn(|cx| sending.poll_capacity(cx)).await.unwrap().unwrap();
                }
                sending.send_data(Bytes::copy_from_slice(&message), false).unwrap();
                counted.fetch_add(message.len(), Ordering::Relaxed);
            }
        });
    })
    .await;
    let http2 = sockeye::connect(format!("ws://{address}/ignored")).http2();
    let unread = http2.open("/flood").await.unwrap();
    let opening = (0..99).map(|number| tokio::spawn(http2.open(format!("/echo?{number}")).into_future()));
    let mut others = Vec::new();
    for opened in opening.collect::<Vec<_>>() {
        others.push(opened.await.unwrap().unwrap());
    }
    for round in 0..5 {
        for (number, ws) in others.iter_mut().enumerate() {
            comes_back(ws, format!("{round}: {number}")).await;
        }
    }
    for ws in others.iter_mut().take(3) {
        comes_back(ws, vec![1; 1 << 20]).await;
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1);
    let flooded = flooded.load(Ordering::Relaxed);
    assert!(flooded > WINDOW / 2 && flooded <= WINDOW, "{flooded} bytes wait to be read");
    assert_eq!(unread.queued_bytes(), 0);
}

#[tokio::test]
async fn seventy_that_do_not_read_small_messages_end_no_connection() {
    let (address, connections) = serving(takes_websockets, |asked| {
        if asked.path() == "/echo" {
            return echoing(asked);
        }
        let (mut sending, receiving) = asked.accept();
        tokio::spawn(async move {
            let _receiving = receiving;
            let message = server_frame(true, Opcode::TEXT, &[b'x'; 32]);
            while sending.send_data(Bytes::copy_from_slice(&message), false).is_ok() {
                sending.reserve_capacity(message.len());
                if sending.capacity() < message.len() {
                    core::future::pending::<()>().await;
                }
            }
        });
    })
    .await;
    let http2 = sockeye::connect(format!("ws://{address}/")).http2();
    let mut unread = Vec::new();
    for _ in 0..70 {
        unread.push(http2.open("/flood").await.unwrap());
    }
    let mut ws = http2.open("/echo").await.unwrap();
    for number in 0..100 {
        comes_back(&mut ws, number.to_string()).await;
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1);
    drop(unread);
}

#[tokio::test]
async fn a_server_s_limit_on_streams_opens_a_further_connection() {
    let builder = || {
        let mut builder = takes_websockets();
        builder.max_concurrent_streams(2);
        builder
    };
    let (address, connections) = serving(builder, echoing).await;
    let http2 = sockeye::connect(format!("ws://{address}/")).http2();
    let mut all = Vec::new();
    for number in 0..5 {
        let mut ws = in_time(http2.open("/").into_future()).await.unwrap();
        comes_back(&mut ws, "hello").await;
        all.push(ws);
        assert_eq!(connections.load(Ordering::Relaxed), number / 2 + 1);
    }
    // Where one has left there is room again.
    let first = all.remove(0);
    in_time(first.close(CloseCode::NORMAL, "")).await.unwrap();
    drop(first);
    all.push(in_time(http2.open("/").into_future()).await.unwrap());
    all.push(in_time(http2.open("/").into_future()).await.unwrap());
    assert_eq!(connections.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_server_that_goes_away_is_connected_with_anew_and_what_is_open_goes_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut connection = takes_websockets().handshake::<_, Bytes>(stream).await.unwrap();
                let mut asked = 0;
                while let Some(Ok((request, respond))) = connection.accept().await {
                    echoing(Asked { request, respond });
                    asked += 1;
                    if asked == 2 {
                        // GOAWAY: no further streams.
                        connection.graceful_shutdown();
                    }
                }
            });
        }
    });
    let http2 = sockeye::connect(format!("ws://{address}/")).http2();
    let mut all = Vec::new();
    for number in 0..6 {
        let mut ws = in_time(http2.open("/").into_future()).await.unwrap();
        comes_back(&mut ws, number.to_string()).await;
        all.push(ws);
    }
    for ws in &mut all {
        comes_back(ws, "still here").await;
    }
}

#[tokio::test]
async fn a_connection_ends_with_its_last_websocket_and_what_could_open_another() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let http2 = sockeye::connect(format!("ws://{}/", listener.local_addr().unwrap())).http2();
    let (ended, server) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = takes_websockets().handshake::<_, Bytes>(stream).await.unwrap();
        while let Some(Ok((request, respond))) = connection.accept().await {
            echoing(Asked { request, respond });
        }
        let _ = ended.send(());
    });
    let mut ws = http2.open("/").await.unwrap();
    drop(http2);
    comes_back(&mut ws, "still here").await;
    ws.close(CloseCode::NORMAL, "").await.unwrap();
    drop(ws);
    in_time(server).await.unwrap();
}

#[tokio::test]
async fn what_was_set_holds_for_all_and_each_can_add_to_it() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let (address, _) = serving(takes_websockets, move |asked| {
        let headers = asked.request.headers();
        let value = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        tell.send((asked.request.uri().to_string(), value("authorization"), value("x-one"))).unwrap();
        drop(asked.accept());
    })
    .await;
    let http2 = sockeye::connect(format!("ws://{address}/base?x")).bearer_auth("token").http2();
    http2.open("/a?b=c").header("X-One", "1").await.unwrap();
    http2.open("/b").await.unwrap();
    let token = || Some("Bearer token".to_owned());
    assert_eq!(told.recv().await.unwrap(), (format!("http://{address}/a?b=c"), token(), Some("1".into())));
    assert_eq!(told.recv().await.unwrap(), (format!("http://{address}/b"), token(), None));
    for path in ["", "b", "/a b", "/a#b", "//x\r\n", "http://elsewhere/"] {
        let error = http2.open(path).await.unwrap_err();
        assert!(matches!(error, Error::Handshake(HandshakeError::Url(_))), "{path:?}: {error:?}");
    }
    let (near, mut far) = duplex(1 << 16);
    let attempt = tokio::spawn(http2.open("/given").over(near));
    assert!(read_head(&mut far).await.starts_with("GET /given HTTP/1.1\r\n"));
    attempt.abort();
    let error = http2.open("/").header("Sec-WebSocket-Key", "mine").await.unwrap_err();
    assert!(matches!(error, Error::Handshake(HandshakeError::ReservedHeader(_))), "{error:?}");
}

#[tokio::test]
async fn a_redirection_is_followed_on_the_same_connection_and_nowhere_else() {
    let (address, connections) = serving(takes_websockets, |asked| {
        let location = match asked.path().as_str() {
            "/away" => "ws://elsewhere.example/",
            "/here" => "/echo",
            _ => return echoing(asked),
        };
        let response = Response::builder().status(307).header("Location", location).body(()).unwrap();
        drop(asked.answer(response));
    })
    .await;
    let http2 = sockeye::connect(format!("ws://{address}/")).redirects(3).http2();
    comes_back(&mut http2.open("/here").await.unwrap(), "hello").await;
    let error = http2.open("/away").await.unwrap_err();
    assert!(matches!(error, Error::Handshake(HandshakeError::Redirect(_))), "{error:?}");
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}
