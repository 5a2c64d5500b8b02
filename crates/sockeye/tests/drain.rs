//! A server that stops: who is told what and when, and who is left.

use std::convert::Infallible;
use std::time::Duration;

use crate::support;
use crate::support::{Within, echo, exchange, in_time, open, read_close, request};
use http::Response;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use sockeye::{Body, CloseCode, CloseReason, Drain, Limits, Role, Server, Upgrader, WebSocket};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

/// A server within the process.
fn within(server: &Server) -> mpsc::Sender<DuplexStream> {
    let (connect, listener) = Within::new();
    tokio::spawn(server.serve(listener, echo));
    connect
}

/// A client of such a server, past the handshake.
async fn connected(connect: &mpsc::Sender<DuplexStream>) -> DuplexStream {
    let (mut near, far) = tokio::io::duplex(1 << 12);
    connect.send(far).await.unwrap();
    assert!(exchange(&mut near, request("").as_bytes()).await.starts_with("HTTP/1.1 101 "));
    near
}

#[tokio::test]
async fn all_are_closed_with_1001_and_nobody_else_comes_in() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder().build();
    let serving = tokio::spawn(server.serve(listener, echo));
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(sockeye::connect(format!("ws://{address}/")).await.unwrap());
    }
    // Without a request, and in the middle of one.
    let mut idle = TcpStream::connect(address).await.unwrap();
    let mut half = TcpStream::connect(address).await.unwrap();
    half.write_all(b"GET / HT").await.unwrap();
    assert_eq!(server.drain().open(), 10);

    let clients = tokio::spawn(async move {
        for mut ws in clients {
            assert_eq!(ws.recv().await.unwrap(), None);
            let said = ws.close_reason().unwrap();
            assert_eq!((said.code(), said.reason()), (CloseCode::GOING_AWAY, "the server shuts down"));
        }
    });
    let left = in_time(server.drain().begin().into_future()).await;
    assert_eq!((left, server.drain().open(), server.connections()), (0, 0, 0));
    clients.await.unwrap();
    serving.await.unwrap().expect("the listener is closed in good order");
    assert!(TcpStream::connect(address).await.is_err());
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap_or(0), 0);
    assert_eq!(half.read(&mut [0; 1]).await.unwrap_or(0), 0);
}

#[tokio::test(start_paused = true)]
async fn over_a_spread_each_has_a_moment_of_its_own() {
    let server = Server::builder().limits(Limits::default().ping(None)).build();
    let connect = within(&server);
    let (told, mut moments) = mpsc::unbounded_channel();
    for _ in 0..200 {
        let mut near = connected(&connect).await;
        let told = told.clone();
        tokio::spawn(async move {
            let _ = near.read(&mut [0; 1]).await;
            told.send(Instant::now()).unwrap();
        });
    }
    let begun = Instant::now();
    let spread = Duration::from_secs(30);
    let left = server.drain().begin().spread(spread).await;
    assert_eq!(left, 0);
    assert!(begun.elapsed() <= spread + Duration::from_secs(1), "it does not wait longer than it must");
    drop(told);
    let mut seconds = [0; 31];
    while let Some(moment) = moments.recv().await {
        seconds[usize::try_from((moment - begun).as_secs()).unwrap()] += 1;
    }
    assert_eq!(seconds.iter().sum::<u32>(), 200);
    // By chance no second has more than 30 of them, and no half less than 50.
    assert!(seconds.iter().all(|&told| told < 30), "{seconds:?}");
    assert!(seconds[..15].iter().sum::<u32>() > 50 && seconds[15..].iter().sum::<u32>() > 50, "{seconds:?}");
}

#[tokio::test(start_paused = true)]
async fn the_reason_is_the_one_that_was_chosen_and_those_who_come_meanwhile_are_refused() {
    let server = Server::builder().build();
    let (connect, listener) = Within::new();
    let drain = server.drain().clone();
    // One is asked about for a while, in which the server begins to stop.
    tokio::spawn(server.admit(listener, async |_| {
        sleep(Duration::from_secs(2)).await;
        Ok(echo)
    }));
    let (mut near, far) = tokio::io::duplex(1 << 12);
    connect.send(far).await.unwrap();
    near.write_all(request("").as_bytes()).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    let reason = CloseReason::new(CloseCode::SERVICE_RESTART, "back in a minute").unwrap();
    let drained = tokio::spawn(drain.begin().reason(reason).into_future());
    // It had been found good before, so it is opened, and closed at once.
    assert!(support::read_head(&mut near).await.starts_with("HTTP/1.1 101 "));
    let close = support::read_frame(&mut near).await.unwrap();
    assert_eq!(close.2, [&1012u16.to_be_bytes()[..], b"back in a minute"].concat());
    near.write_all(&support::client_frame(true, close.1, &close.2)).await.unwrap();
    drop(near);
    assert_eq!(drained.await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_who_does_not_answer_is_cut_off_when_patience_is_at_its_end() {
    let server = Server::builder().build();
    let connect = within(&server);
    let mut near = connected(&connect).await;
    let begun = Instant::now();
    let left = server.drain().begin().patience(Duration::from_secs(3)).await;
    assert_eq!(left, 0, "its handler has ended with it");
    assert!((3..4).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    let (code, _) = read_close(&mut near).await;
    assert_eq!(code, 1001);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_does_not_end_is_told_to_be_left() {
    let server = Server::builder().build();
    let (connect, listener) = Within::new();
    tokio::spawn(server.serve(listener, async |ws: WebSocket| {
        let _ws = ws;
        core::future::pending().await
    }));
    let mut near = connected(&connect).await;
    let left = server.drain().begin().await;
    assert_eq!(left, 1);
    assert_eq!(read_close(&mut near).await.0, 1001, "its connection has ended all the same");
}

#[tokio::test(start_paused = true)]
async fn a_handler_is_waited_for_while_it_tidies_up() {
    let server = Server::builder().build();
    let (connect, listener) = Within::new();
    let (tell, mut told) = mpsc::unbounded_channel();
    tokio::spawn(server.serve(listener, move |mut ws: WebSocket| async move {
        while ws.recv().await?.is_some() {}
        sleep(Duration::from_secs(5)).await;
        tell.send("saved")?;
        Ok(())
    }));
    let near = connected(&connect).await;
    let mut client = WebSocket::from_stream(near, Role::Client, Limits::default());
    let reader = tokio::spawn(async move { client.recv().await });
    assert_eq!(server.drain().begin().await, 0);
    assert_eq!(told.try_recv(), Ok("saved"));
    assert!(matches!(reader.await.unwrap(), Ok(None)));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_being_answered_is_answered() {
    let server = Server::builder().build();
    let (connect, listener) = Within::new();
    tokio::spawn(server.answer(listener, async |_| {
        sleep(Duration::from_secs(5)).await;
        Response::new(Body::from("done"))
    }));
    let (mut near, far) = tokio::io::duplex(1 << 12);
    connect.send(far).await.unwrap();
    near.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(server.drain().begin().await, 0);
    let mut all = String::new();
    near.read_to_string(&mut all).await.unwrap();
    assert!(all.ends_with("done") && all.contains("connection: close"), "{all}");
}

#[tokio::test(start_paused = true)]
async fn dropping_it_half_way_leaves_the_rest_open_and_takes_nobody_new() {
    let server = Server::builder().limits(Limits::default().ping(None)).build();
    let connect = within(&server);
    let mut clients = Vec::new();
    for _ in 0..50 {
        clients.push(connected(&connect).await);
    }
    let drain = server.drain().begin().spread(Duration::from_secs(1000)).into_future();
    assert!(timeout(Duration::from_secs(500), drain).await.is_err());
    // Who has been told by then is still given the time to answer.
    sleep(Duration::from_secs(60)).await;
    let left = server.drain().open();
    assert!((1..50).contains(&left), "{left}");
    sleep(Duration::from_secs(1000)).await;
    assert_eq!(server.drain().open(), left);
    let (_near, far) = tokio::io::duplex(1 << 12);
    assert!(connect.send(far).await.is_err(), "the listener is gone");
}

#[tokio::test]
async fn a_drain_given_to_an_upgrader_has_the_websockets_of_somebody_else_s_server() {
    let drain = Drain::new();
    let upgrader = Upgrader::default().drain(&drain);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let upgrader = upgrader.clone();
            let service = hyper::service::service_fn(move |mut request| {
                let response: Response<Full<Bytes>> = match upgrader.upgrade(&mut request) {
                    Ok(upgrade) => upgrade.on_upgrade(echo),
                    Err(refusal) => refusal.response(),
                };
                core::future::ready(Ok::<_, Infallible>(response))
            });
            let http = hyper::server::conn::http1::Builder::new();
            tokio::spawn(http.serve_connection(TokioIo::new(stream), service).with_upgrades());
        }
    });
    let mut ws = sockeye::connect(format!("ws://{address}/")).await.unwrap();
    let reader = tokio::spawn(async move {
        assert_eq!(ws.recv().await.unwrap(), None);
        ws.close_reason().unwrap().code()
    });
    let begun = tokio::spawn(drain.begun());
    assert_eq!(in_time(drain.begin().into_future()).await, 0);
    begun.await.unwrap();
    assert_eq!(reader.await.unwrap(), CloseCode::GOING_AWAY);
    // It is still asked, and says so.
    let mut late = TcpStream::connect(address).await.unwrap();
    assert!(exchange(&mut late, request("").as_bytes()).await.starts_with("HTTP/1.1 503 "));
}

#[tokio::test]
async fn a_websocket_that_its_handler_gave_away_is_closed_with_the_others() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder().build();
    let (give, mut given) = mpsc::unbounded_channel();
    tokio::spawn(server.serve(listener, move |ws: WebSocket| async move { Ok(give.send(ws)?) }));
    let mut near = open(address).await;
    let _ws = given.recv().await.unwrap();
    tokio::task::yield_now().await;
    assert_eq!(server.drain().open(), 1);
    let client = tokio::spawn(async move {
        let (_, opcode, payload) = support::read_frame(&mut near).await.unwrap();
        near.write_all(&support::client_frame(true, opcode, &payload)).await.unwrap();
        payload
    });
    assert_eq!(in_time(server.drain().begin().into_future()).await, 0);
    assert_eq!(&client.await.unwrap()[..2], 1001u16.to_be_bytes());
}
