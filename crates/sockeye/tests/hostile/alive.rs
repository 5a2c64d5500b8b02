//! Peers that are slow or held back, and alive: they are not given up.

use core::task::Poll;
use std::time::Duration;

use super::{ASLEEP, Doing, ENDS, End, Near, WIRE, ZEROS, limits, serve};
use crate::support::{exchange, read_frame, request};
use hyper::body::Bytes;
use sockeye::{CloseCode, Error, Limits, Phase, Role, WebSocket};
use sockeye_proto::frame::Opcode;
use tokio::io::{AsyncRead, AsyncWriteExt};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::{Instant, sleep};

#[tokio::test(start_paused = true)]
async fn a_peer_is_not_given_up_for_what_we_have_not_read_in_ten_minutes_and_nothing_is_lost() {
    for end in [End::Handler, End::Driven] {
        // A thousand messages of 1 KiB are far more than is read ahead.
        let (near, mut far) = tokio::io::duplex(WIRE);
        let (tell, mut ended) = unbounded_channel();
        let near = Near { stream: near, opened: Instant::now(), ended: tell };
        let receiving = |mut ws: WebSocket| async move {
            assert_eq!(ws.latency(), None);
            sleep(ASLEEP).await;
            for number in 0..1000_u32 {
                let message = ws.recv().await.unwrap().expect("a message").into_bytes();
                assert!(message.len() == 1024 && message[..4] == number.to_be_bytes(), "message {number}");
            }
            assert_eq!(ws.recv().await.unwrap(), None);
            assert!(ws.closed().await.is_clean());
        };
        let ours = match end {
            End::Handler => tokio::spawn(serve(near, Limits::default(), receiving)),
            _ => tokio::spawn(sockeye::drive(receiving(WebSocket::from_stream(near, Role::Client, Limits::default())))),
        };
        if end == End::Handler {
            exchange(&mut far, request("").as_bytes()).await;
        }
        let (mut read, write) = tokio::io::split(far);
        let write = tokio::sync::Mutex::new(write);
        // It answers Pings between its messages: as late as its own writing allows.
        let reading = async {
            let mut pings = 0;
            while let Some((_, opcode, payload)) = read_frame(&mut read).await {
                match opcode {
                    Opcode::PING => {
                        pings += 1;
                        write.lock().await.write_all(&end.frame_for(true, Opcode::PONG, &payload)).await.unwrap();
                    }
                    Opcode::CLOSE => write.lock().await.shutdown().await.unwrap(),
                    other => panic!("{other:?}"),
                }
            }
            pings
        };
        let writing = async {
            for number in 0..1000_u32 {
                let message = [&number.to_be_bytes()[..], &ZEROS[..1020]].concat();
                write.lock().await.write_all(&end.frame_for(true, Opcode::BINARY, &message)).await.unwrap();
                tokio::task::yield_now().await;
            }
            write.lock().await.write_all(&end.frame_for(true, Opcode::CLOSE, b"\x03\xE8")).await.unwrap();
        };
        let (pings, ()) = tokio::join!(reading, writing);
        assert!(pings >= 1, "{end:?} asked");
        ours.await.unwrap();
        let _ = ended.recv().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_in_the_middle_of_one_huge_slow_frame_is_alive_without_a_pong() {
    for end in ENDS {
        for doing in [Doing::Receiving, Doing::Streaming] {
            let (told, said) = end
                .meet(Limits::default(), doing, WIRE, |mut peer| async move {
                    peer.write_all(&end.header_for(true, Opcode::BINARY, 600 * 100)).await.unwrap();
                    for _ in 0..600 {
                        sleep(Duration::from_secs(1)).await;
                        peer.write_all(&ZEROS[..100]).await.unwrap();
                    }
                    peer.write_all(&end.frame_for(true, Opcode::CLOSE, b"")).await.unwrap();
                    let (mut read, mut write) = tokio::io::split(peer);
                    tokio::join!(controls_but_close(&mut read), write.shutdown()).0
                })
                .await;
            assert!(told.error.is_none() && told.closed.is_clean(), "{end:?}, {doing:?}: {told:?}");
            assert_eq!((told.messages, told.after.as_secs()), (1, 600), "{end:?}, {doing:?}");
            // 20 s after the opening, and again whenever it has shown life for another 20 s without an answer.
            assert!((28..=30).contains(&said), "{end:?}, {doing:?}: {said} Pings");
        }
    }
}

/// Reads to the end; how many Pings came.
async fn controls_but_close(stream: &mut (impl AsyncRead + Unpin)) -> usize {
    let mut pings = 0;
    while let Some((_, opcode, _)) = read_frame(stream).await {
        pings += usize::from(opcode == Opcode::PING);
    }
    pings
}

#[tokio::test(start_paused = true)]
async fn without_a_keepalive_a_peer_may_be_silent_for_a_day() {
    for end in ENDS {
        let (told, pings) = end
            .meet(Limits::default().ping(None), Doing::Receiving, WIRE, |mut peer| async move {
                sleep(Duration::from_secs(24 * 60 * 60)).await;
                peer.write_all(&end.frame_for(true, Opcode::TEXT, b"good morning")).await.unwrap();
                peer.write_all(&end.frame_for(true, Opcode::CLOSE, b"")).await.unwrap();
                let (mut read, mut write) = tokio::io::split(peer);
                tokio::join!(controls_but_close(&mut read), write.shutdown()).0
            })
            .await;
        assert!(told.error.is_none() && told.closed.is_clean(), "{end:?}: {told:?}");
        assert_eq!((told.messages, pings), (1, 0), "{end:?}");
        assert_eq!(told.after.as_secs(), 24 * 60 * 60, "{end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_ping_of_our_own_is_given_up_without_a_keepalive_too() {
    let (near, _far) = tokio::io::duplex(WIRE);
    let ws = WebSocket::from_stream(near, Role::Client, Limits::default().ping(None));
    let started = Instant::now();
    let error = ws.ping().await.unwrap_err();
    assert!(matches!(error, Error::Timeout(Phase::Keepalive)), "{error:?}");
    assert_eq!(started.elapsed().as_secs(), 20);
}

// --- what these stories have found ---

#[tokio::test(start_paused = true)]
async fn a_handler_that_waits_for_room_sleeps_until_there_is_some() {
    for end in [End::Handler, End::Driven] {
        let polls = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = std::sync::Arc::clone(&polls);
        let (near, mut far) = tokio::io::duplex(256);
        let (tell, mut ended) = unbounded_channel();
        let near = Near { stream: near, opened: Instant::now(), ended: tell };
        // Three of these are in the queue then, and there is room for less than a fourth.
        let sending = move |ws: WebSocket| async move {
            let mut sending =
                core::pin::pin!(async { while ws.send(Bytes::from_static(&ZEROS[..20 << 10])).await.is_ok() {} });
            core::future::poll_fn(|cx| {
                let polls = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if polls > 1000 { Poll::Ready(()) } else { sending.as_mut().poll(cx) }
            })
            .await;
        };
        let ours = match end {
            End::Handler => tokio::spawn(serve(near, limits(), sending)),
            _ => tokio::spawn(sockeye::drive(sending(WebSocket::from_stream(near, Role::Client, limits())))),
        };
        if end == End::Handler {
            exchange(&mut far, request("").as_bytes()).await;
        }
        ours.await.unwrap();
        ended.recv().await;
        let polls = polls.load(std::sync::atomic::Ordering::Relaxed);
        assert!(polls < 20, "{end:?}: it was polled {polls} times while there was no room");
    }
}

#[tokio::test(start_paused = true)]
async fn one_who_watches_from_another_task_does_not_keep_the_handler_s_connection_from_its_pings() {
    let (near, mut far) = tokio::io::duplex(WIRE);
    let ws = WebSocket::from_stream(near, Role::Client, Limits::default());
    let watched = ws.sender();
    let driving = tokio::spawn(sockeye::drive(async move {
        assert_eq!(ws.latency(), None);
        tokio::spawn(async move { watched.closed().await });
        sleep(ASLEEP).await;
    }));
    let opened = Instant::now();
    let (_, opcode, _) = read_frame(&mut far).await.unwrap();
    assert_eq!((opcode, opened.elapsed().as_secs()), (Opcode::PING, 20));
    driving.abort();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_sends_and_never_reads_is_given_up_where_we_wait_to_send() {
    for end in [End::Handler, End::Driven, End::Bare] {
        // Our end does not read on while it waits, and the peer does not read at all.
        let story = end.meet(limits(), Doing::Sending, 256, |mut peer| async move {
            let message = end.frame_for(true, Opcode::BINARY, &ZEROS[..1024]);
            while peer.write_all(&message).await.is_ok() {}
        });
        let told = tokio::time::timeout(Duration::from_secs(3600), story).await;
        let (told, ()) = told.unwrap_or_else(|_| panic!("{end:?}: neither has moved for an hour, and nobody gives up"));
        assert!(told.error.as_ref().is_some_and(Error::is_timeout), "{end:?}: {told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn two_of_ours_do_not_give_each_other_up_while_the_handler_of_one_sleeps_behind_a_full_read_ahead() {
    let (near, far) = tokio::io::duplex(1024);
    let mut server = WebSocket::from_stream(near, Role::Server, Limits::default());
    let mut client = WebSocket::from_stream(far, Role::Client, Limits::default());
    let opened = Instant::now();
    let sending = tokio::spawn(sockeye::drive(async move {
        for number in 0..1000_u32 {
            client.send(format!("{number:>1000}")).await.unwrap();
        }
        // The server closes once it has them all.
        let end = client.recv().await;
        assert_eq!(end.unwrap_or_else(|error| panic!("after {:?}: {error}", opened.elapsed())), None);
        opened.elapsed()
    }));
    let receiving = tokio::spawn(sockeye::drive(async move {
        assert_eq!(server.latency(), None);
        sleep(ASLEEP).await;
        for number in 0..1000_u32 {
            let text = server.recv().await.unwrap().expect("a message").into_bytes();
            assert!(text[..] == *format!("{number:>1000}").as_bytes(), "message {number}");
        }
        server.close(CloseCode::NORMAL, "").await.unwrap();
    }));
    assert_eq!(sending.await.unwrap(), ASLEEP);
    receiving.await.unwrap();
}
