//! How a WebSocket is opened, and what answers instead.

use super::{comes_back, echoing, over_http2, send_all, serve_connection, serving, takes_websockets};
use crate::support::in_time;
use bytes::Bytes;
use h2::Reason;
use h2::server::Builder;
use http::Response;
use sockeye::{CloseCode, Compression, Error, HandshakeError, HttpVersion, Message};
use tokio::io::{AsyncWriteExt, duplex};

#[tokio::test]
async fn rfc8441_s5_it_is_asked_for_by_an_extended_connect_without_a_key() {
    let (near, far) = duplex(1 << 16);
    let mut requests = serve_connection(far, takes_websockets());
    let attempt = sockeye::connect("ws://user:pass@chat.example:81/room?id=1")
        .http_version(HttpVersion::H2)
        .subprotocol("v2")
        .subprotocol("v1")
        .compression(Compression::no_takeover())
        .header("X-Own", "mine");
    let (opened, asked) = tokio::join!(attempt.over(near), async {
        let asked = requests.recv().await.unwrap();
        let request = &asked.request;
        assert_eq!(request.method(), "CONNECT");
        assert_eq!(request.extensions().get::<h2::ext::Protocol>().unwrap().as_str(), "websocket");
        assert_eq!(request.uri(), "http://chat.example:81/room?id=1");
        let headers = request.headers();
        let all: Vec<_> = headers.keys().map(http::HeaderName::as_str).collect();
        for name in ["sec-websocket-version", "sec-websocket-protocol", "sec-websocket-extensions", "authorization"] {
            assert!(all.contains(&name), "{all:?}");
        }
        assert!(
            all.iter().all(|name| !["sec-websocket-key", "host", "upgrade", "connection"].contains(name)),
            "{all:?}"
        );
        assert_eq!(headers["x-own"], "mine");
        let response = Response::builder().header("Sec-WebSocket-Protocol", "v1").body(()).unwrap();
        asked.answer(response)
    });
    assert_eq!(opened.unwrap().subprotocol(), Some("v1"));
    drop(asked);
}

#[tokio::test]
async fn messages_of_every_length_form_go_there_and_back() {
    let (address, _) = serving(takes_websockets, echoing).await;
    let mut ws = over_http2(address, "/").await.unwrap();
    for size in [0, 1, 125, 126, 65_535, 65_536, 1 << 20, 5_000_000] {
        comes_back(&mut ws, "好".repeat(size / 3)).await;
        comes_back(&mut ws, vec![7; size]).await;
    }
    for number in 0..1000 {
        ws.send(number.to_string()).await.unwrap();
    }
    for number in 0..1000 {
        assert_eq!(ws.recv().await.unwrap(), Some(Message::from(number.to_string())));
    }
    assert!(in_time(ws.ping()).await.is_ok());
    in_time(ws.close(CloseCode::NORMAL, "再见")).await.unwrap();
    assert_eq!(ws.close_reason().unwrap().to_string(), "1000 Normal Closure: 再见");
}

#[tokio::test]
async fn a_server_that_takes_no_websockets_over_http2_is_told_by_name() {
    let (address, _) = serving(Builder::new, |_| panic!("nothing is asked")).await;
    let error = in_time(over_http2(address, "/").into_future()).await.unwrap_err();
    assert!(matches!(error, Error::Handshake(HandshakeError::ExtendedConnect)), "{error:?}");
}

#[tokio::test]
async fn what_does_not_speak_http2_is_an_error_and_not_a_wait() {
    for answer in [
        &b""[..],
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"\0\0\0\x04",
        b"\0\0\x06\x04\0\0\0\0\0",
    ] {
        let (near, mut far) = duplex(1 << 10);
        far.write_all(answer).await.unwrap();
        far.shutdown().await.unwrap();
        let attempt = sockeye::connect("ws://a/").http_version(HttpVersion::H2).over(near);
        let error = in_time(attempt).await.unwrap_err();
        assert!(matches!(error, Error::Http(_) | Error::Io(_) | Error::Aborted), "{answer:?}: {error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_without_settings_or_an_answer_is_given_up_in_time() {
    let (near, _far) = duplex(1 << 10);
    let attempt = sockeye::connect("ws://a/").http_version(HttpVersion::H2);
    let error = attempt.clone().over(near).await.unwrap_err();
    assert!(matches!(error, Error::Timeout(sockeye::Phase::Opening)), "{error:?}");

    let (near, far) = duplex(1 << 16);
    let mut requests = serve_connection(far, takes_websockets());
    let error = attempt.over(near).await.unwrap_err();
    assert!(matches!(error, Error::Timeout(sockeye::Phase::Opening)), "{error:?}");
    // The request that nobody waits for any more is called off.
    let mut asked = requests.recv().await.unwrap();
    let reset = core::future::poll_fn(|cx| asked.respond.poll_reset(cx)).await.unwrap();
    assert_eq!(reset, Reason::CANCEL);
}

#[tokio::test]
async fn an_answer_that_opens_no_websocket_is_kept_with_its_headers_and_its_body() {
    let (address, _) = serving(takes_websockets, |asked| {
        let path = asked.path();
        let status = path[1..].parse::<u16>().unwrap_or(200);
        let mut response = Response::builder().status(status).header("X-Why", "because");
        if path == "/302" {
            response = response.header("Location", "/200");
        }
        if path == "/unasked" {
            response = response.header("Sec-WebSocket-Protocol", "unasked");
        }
        let (mut sending, receiving) = asked.answer(response.body(()).unwrap());
        tokio::spawn(async move {
            send_all(&mut sending, &b"the token is old\n".repeat(10_000)).await;
            let _ = sending.send_data(Bytes::new(), true);
            drop(receiving);
        });
    })
    .await;
    for status in [201, 204, 302, 401, 403, 404, 500] {
        match in_time(over_http2(address, &format!("/{status}")).into_future()).await {
            Err(Error::Refused(answer)) => {
                assert_eq!(
                    (answer.status().as_u16(), &answer.headers()["x-why"]),
                    (status, &"because".parse().unwrap())
                );
                assert_eq!(answer.body(), &b"the token is old\n".repeat(10_000)[..16 << 10]);
                let said = Error::Refused(answer).to_string();
                assert!(status == 302 || said.ends_with(": the token is old"), "{said}");
            }
            other => panic!("{status}: {other:?}"),
        }
    }
    let error = over_http2(address, "/unasked").await.unwrap_err();
    assert!(matches!(error, Error::Handshake(HandshakeError::Subprotocol)), "{error:?}");
    assert!(over_http2(address, "/302").redirects(1).await.is_ok());
}

#[tokio::test]
async fn a_head_without_end_is_cut_short() {
    let (address, _) = serving(takes_websockets, |asked| {
        let mut response = Response::builder().status(200);
        for number in 0..200 {
            response = response.header(format!("x-{number}"), "y".repeat(100));
        }
        drop(asked.answer(response.body(()).unwrap()));
    })
    .await;
    let error = in_time(over_http2(address, "/").into_future()).await.unwrap_err();
    assert!(matches!(error, Error::Http(_)), "{error:?}");
}
