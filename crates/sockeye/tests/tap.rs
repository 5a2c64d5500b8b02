//! What a watch sees of connections: all that passes, as it passes; and what it is told when it is too slow.

use std::time::Duration;

use sockeye::tap::{Begins, Ending, Ends, Event, Tap, Watch, What};
use sockeye::{Compression, Limits, Request, Role, Server, WebSocket};
use sockeye_dissect::Conversation;
use sockeye_proto::frame::Opcode;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{client_frame, echo, in_time, read_head};

fn ends() -> Ends {
    Ends { begins: Begins::Frames(None), ..Ends::default() }
}

/// All that a watch is told, up to the end; what an end has sent is put together.
async fn told(mut watch: Watch) -> Vec<Told> {
    let mut all = Vec::new();
    while let Some(Event { what, .. }) = in_time(watch.recv()).await {
        match (what, all.last_mut()) {
            (What::Opened(_), _) => all.push(Told::Opened),
            (What::Bytes { from, bytes }, Some(Told::Bytes(last, held))) if *last == from => {
                held.extend_from_slice(&bytes);
            }
            (What::Bytes { from, bytes }, _) => all.push(Told::Bytes(from, bytes.to_vec())),
            (What::Missing { from, bytes }, _) => all.push(Told::Missing(from, bytes)),
            (What::Ended(ending), _) => all.push(Told::Ended(ending)),
        }
    }
    all
}

#[derive(Debug, PartialEq)]
enum Told {
    Opened,
    Bytes(Role, Vec<u8>),
    Missing(Role, u64),
    Ended(Ending),
}

#[tokio::test]
async fn what_a_client_sends_is_seen_masked_and_what_the_server_sends_as_it_leaves() {
    let (tap, watch) = Tap::new(1 << 20);
    let (near, mut far) = duplex(1 << 16);
    let mut ws = WebSocket::from_stream(tap.stream(near, Role::Server, ends()), Role::Server, Limits::default());
    drop(tap);
    let frame = client_frame(true, Opcode::TEXT, "你好".as_bytes());
    far.write_all(&frame).await.unwrap();
    let message = ws.recv().await.unwrap().unwrap();
    ws.send(message).await.unwrap();
    let mut echo = vec![0; 8];
    far.read_exact(&mut echo).await.unwrap();
    drop(far);
    assert!(ws.recv().await.is_err());
    drop(ws);

    let all = told(watch).await;
    let expected = [
        Told::Opened,
        Told::Bytes(Role::Client, frame),
        Told::Bytes(Role::Server, echo),
        Told::Ended(Ending::Closed(Some(Role::Client))),
    ];
    assert_eq!(all, expected);
}

#[tokio::test]
async fn all_ways_in_which_messages_come_and_go_are_seen_from_both_ends() {
    let (tap, mut watch) = Tap::new(64 << 20);
    let (near, far) = duplex(1 << 17);
    let client = WebSocket::from_stream(tap.stream(near, Role::Client, ends()), Role::Client, Limits::default());
    let mut server = WebSocket::from_stream(tap.stream(far, Role::Server, ends()), Role::Server, Limits::default());
    // Small ones, large ones that land where they stay, several in a write.
    let sizes = [0, 5, 125, 126, 4096, 70_000, 900_000, 900_000, 3, 65_536];
    let echo = async {
        while let Some(message) = server.recv().await? {
            server.send(message).await?;
        }
        Ok::<_, sockeye::Error>(())
    };
    let talk = async move {
        let mut client = client;
        for size in sizes {
            client.send(vec![7; size]).await?;
        }
        for size in sizes {
            assert_eq!(client.recv().await?.unwrap().len(), size);
        }
        client.close(sockeye::CloseCode::NORMAL, "bye").await
    };
    let (echoed, talked) = in_time(async { tokio::join!(echo, talk) }).await;
    echoed.unwrap();
    talked.unwrap();
    drop(server);
    drop(tap);

    let mut conversations = [Conversation::joined(None), Conversation::joined(None)];
    let mut lengths = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    while let Some(Event { connection, what, .. }) = in_time(watch.recv()).await {
        let number = usize::try_from(connection).unwrap() - 1;
        if let What::Bytes { from, bytes } = what {
            for record in conversations[number].push(from, Duration::ZERO, &bytes) {
                assert!(record.findings().is_empty(), "{:?}", record.findings());
                let frame = record.frame().expect("nothing but frames");
                let len = frame.header.map(|header| header.payload_len()).unwrap();
                lengths[2 * number + usize::from(from == Role::Server)].push(len);
            }
        }
    }
    let mut expected: Vec<u64> = sizes.iter().map(|size| *size as u64).collect();
    expected.push(5);
    assert_eq!(lengths, [expected.clone(), expected.clone(), expected.clone(), expected]);
}

#[tokio::test]
async fn a_watch_that_does_not_look_takes_nothing_from_the_connection_and_learns_what_it_missed() {
    let (tap, mut watch) = Tap::new(0);
    let mut line = tap.open(ends());
    let sent: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    for piece in sent.chunks(1000) {
        line.push(Role::Server, piece);
    }
    line.push(Role::Client, &[7; 1000]);
    let lost = tap.lost().bytes;
    assert!(lost > 900_000, "{lost}");
    // What came first is there, the rest is counted where the next bytes come.
    let mut seen = 0;
    let mut missing = 0;
    while let Some(event) = watch.try_recv() {
        match event.what {
            What::Bytes { from: Role::Server, bytes } => {
                assert!(bytes == sent[seen..seen + bytes.len()]);
                seen += bytes.len();
            }
            What::Opened(_) => {}
            other => panic!("{other:?}"),
        }
    }
    line.push(Role::Server, b"more");
    drop((line, tap));
    let mut after = Vec::new();
    while let Some(event) = watch.recv().await {
        match event.what {
            What::Missing { from: Role::Server, bytes } => missing += bytes,
            what => after.push(what),
        }
    }
    assert_eq!(seen as u64 + missing, sent.len() as u64);
    assert_eq!(missing + 1000, lost);
    let expected = [
        What::Bytes { from: Role::Server, bytes: b"more"[..].into() },
        What::Missing { from: Role::Client, bytes: 1000 },
        What::Ended(Ending::Closed(None)),
    ];
    assert_eq!(after, expected);
}

#[tokio::test]
async fn connections_for_which_there_is_no_room_are_left_out_and_counted() {
    let (tap, mut watch) = Tap::new(0);
    let mut lines: Vec<_> = (0..10_000).map(|_| tap.open(ends())).collect();
    let known = lines.iter().filter(|line| line.number().is_some()).count();
    assert!(known > 100 && known < 2_000, "{known}");
    assert_eq!(tap.lost().connections, 10_000 - known as u64);
    lines.last_mut().unwrap().push(Role::Client, b"unseen");
    assert_eq!(tap.lost().bytes, 6);
    // Each of those that are known ends, however full the channel is.
    for line in &mut lines {
        line.push(Role::Client, b"perhaps");
        line.push(Role::Server, b"perhaps");
    }
    drop(lines);
    let (mut opened, mut ended) = (0, 0);
    while let Some(event) = watch.try_recv() {
        opened += usize::from(matches!(event.what, What::Opened(_)));
        ended += usize::from(matches!(event.what, What::Ended(_)));
    }
    assert_eq!((opened, ended), (known, known));
}

#[tokio::test]
async fn one_who_waits_for_room_loses_nothing_and_ends_with_the_watch() {
    let (tap, mut watch) = Tap::new(200_000);
    let mut line = tap.open(ends());
    let writer = tokio::spawn(async move {
        for _ in 0..1_000 {
            std::future::poll_fn(|cx| line.poll_room(cx)).await;
            line.push(Role::Client, &[7; 64 << 10]);
        }
        line
    });
    let mut seen = 0;
    while seen < 500 * (64 << 10) && in_time(watch.gather(Duration::from_millis(5))).await {
        while let Some(event) = watch.try_recv() {
            match event.what {
                What::Bytes { bytes, .. } => seen += bytes.len(),
                What::Opened(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(tap.lost().bytes, 0);
    // Nobody makes room any more: what is left is lost, and holds nobody up.
    drop(watch);
    let line = in_time(writer).await.unwrap();
    assert!(line.number().is_some() && tap.is_closed() && tap.lost().bytes > 0);
    assert!(tap.open(ends()).number().is_none());
}

#[tokio::test]
async fn how_a_connection_ends_is_told() {
    for (how, expected) in [
        ("the peer ends first", Ending::Closed(Some(Role::Client))),
        ("we end first", Ending::Closed(Some(Role::Server))),
        ("the peer breaks it off", Ending::Reset(Role::Client)),
        ("it is dropped", Ending::Closed(Some(Role::Server))),
    ] {
        let (tap, watch) = Tap::new(0);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (near, _) = listener.accept().await.unwrap();
        let mut near = tap.stream(near, Role::Server, ends());
        drop(tap);
        match how {
            "the peer ends first" => {
                far.shutdown().await.unwrap();
                assert_eq!(near.read(&mut [0; 9]).await.unwrap(), 0);
                near.shutdown().await.unwrap();
            }
            "we end first" => {
                near.shutdown().await.unwrap();
                far.shutdown().await.unwrap();
                assert_eq!(near.read(&mut [0; 9]).await.unwrap(), 0);
            }
            "the peer breaks it off" => {
                far.set_zero_linger().unwrap();
                drop(far);
                assert!(near.read(&mut [0; 9]).await.is_err());
            }
            _ => {}
        }
        drop(near);
        assert_eq!(told(watch).await, [Told::Opened, Told::Ended(expected)], "{how}");
    }
}

#[tokio::test]
async fn a_server_s_websocket_is_watched_from_its_first_frame_on_also_where_that_comes_with_the_head() {
    let (tap, mut watch) = Tap::new(1 << 20);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder().compression(Compression::no_takeover()).build();
    tokio::spawn(server.answer(listener, move |mut request: Request| {
        let ends = Ends { target: Some(request.uri().to_string()), ..Ends::default() };
        core::future::ready(match sockeye::upgrade(&mut request) {
            // By two who watch the same.
            Ok(upgrade) => upgrade.watched(&tap, ends.clone()).watched(&tap, ends).on_upgrade(echo),
            Err(refusal) => refusal.response(),
        })
    }));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = "GET /chat?x HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    let frame = client_frame(true, Opcode::TEXT, b"Hello");
    stream.write_all(&[head.as_bytes(), &frame].concat()).await.unwrap();
    read_head(&mut stream).await;
    let mut echo = [0; 7];
    stream.read_exact(&mut echo).await.unwrap();
    drop(stream);

    let mut told = [Vec::new(), Vec::new()];
    while told.iter().any(|told: &Vec<What>| !matches!(told.last(), Some(What::Ended(_)))) {
        let Event { connection, what, .. } = in_time(watch.recv()).await.unwrap();
        told[usize::from(connection == 2)].push(what);
    }
    for told in told {
        let [
            What::Opened(ends),
            What::Bytes { from: Role::Client, bytes },
            What::Bytes { from: Role::Server, bytes: sent },
            ..,
        ] = &told[..]
        else {
            panic!("{told:?}");
        };
        assert_eq!(ends.target.as_deref(), Some("/chat?x"));
        assert!(matches!(ends.begins, Begins::Frames(Some(params)) if !params.takeover(Role::Client)));
        assert_eq!((&bytes[..], &sent[..]), (&frame[..], &echo[..]));
    }
}
