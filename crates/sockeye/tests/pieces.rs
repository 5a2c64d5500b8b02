//! Messages that are handed on in pieces, by reference, as they arrive.

use std::future::pending;
use std::io::ErrorKind;

use crate::support::{client_frame, read_frame, soon};
use sockeye::{Error, Limits, MessageKind, Role, WebSocket};
use sockeye_proto::frame::Opcode;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, DuplexStream};

fn server(capacity: usize) -> (WebSocket, DuplexStream) {
    let (near, far) = tokio::io::duplex(capacity);
    (WebSocket::from_stream(near, Role::Server, Limits::default().message(100)), far)
}

/// Sends the message that begins back while it arrives.
async fn hand_on(ws: WebSocket) -> Result<(), Error> {
    let (sender, mut receiver) = ws.split();
    while let Some(mut incoming) = receiver.recv_stream().await? {
        let mut outgoing = sender.send_stream(incoming.kind());
        while let Some(piece) = incoming.read_piece().await? {
            assert!((1..=256 << 10).contains(&piece.len()), "a piece of {} bytes", piece.len());
            outgoing.write_piece(piece).await?;
        }
        outgoing.finish().await?;
    }
    Ok(())
}

/// Reads the frames of one message: its opcode and payload.
async fn read_message(stream: &mut (impl AsyncRead + Unpin)) -> (Opcode, Vec<u8>) {
    let (mut fin, opcode, mut payload) = read_frame(stream).await.expect("a frame comes");
    while !fin {
        let (is_last, opcode, rest) = read_frame(stream).await.expect("another frame comes");
        assert_eq!(opcode, Opcode::CONTINUATION);
        payload.extend(rest);
        fin = is_last;
    }
    (opcode, payload)
}

#[tokio::test(start_paused = true)]
async fn messages_of_any_size_and_cut_come_back_in_pieces_driven_or_not() {
    for driven in [false, true] {
        for size in [0, 1, 100, 101, 4096, 65_535, 65_536, 65_537, 1 << 20] {
            for wire in [64, 70_000] {
                let (ws, peer) = server(wire);
                let handler = hand_on(ws);
                let handler =
                    tokio::spawn(async move { if driven { sockeye::drive(handler).await } else { handler.await } });
                let (mut reading, mut writing) = tokio::io::split(peer);
                let text = "好".repeat(size / 3) + &"x".repeat(size % 3);
                let frame = client_frame(true, Opcode::TEXT, text.as_bytes());
                let sending = async {
                    writing.write_all(&frame).await.unwrap();
                };
                let (answer, ()) = soon(async { tokio::join!(read_message(&mut reading), sending) }).await;
                assert_eq!(answer, (Opcode::TEXT, text.into_bytes()), "{size} bytes over a wire of {wire}");
                writing.write_all(&client_frame(true, Opcode::CLOSE, &[])).await.unwrap();
                handler.await.unwrap().unwrap();
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn where_as_much_has_arrived_a_piece_has_256_kib_whether_the_message_is_there_whole_or_not() {
    const SIZE: usize = 1 << 20;
    for is_whole in [false, true] {
        let (near, mut peer) = tokio::io::duplex(2 * SIZE);
        let mut ws = WebSocket::from_stream(near, Role::Server, Limits::default());
        let frame = client_frame(true, Opcode::BINARY, &vec![7; SIZE]);
        let sizes = soon(sockeye::drive(async move {
            if is_whole {
                // It is received, but nobody takes it.
                tokio::select! {
                    biased;
                    () = tokio::task::yield_now() => {}
                    received = ws.recv() => panic!("{received:?}"),
                    () = async { peer.write_all(&frame).await.unwrap(); pending().await } => {}
                }
            } else {
                peer.write_all(&frame).await.unwrap();
            }
            let mut stream = ws.recv_stream().await.unwrap().expect("a message begins");
            assert_eq!(stream.frame_len(), Some(SIZE as u64));
            let mut sizes = Vec::new();
            while let Some(piece) = stream.read_piece().await.unwrap() {
                assert!(piece.iter().all(|&byte| byte == 7));
                sizes.push(piece.len());
            }
            sizes
        }))
        .await;
        assert_eq!((sizes.iter().sum(), sizes.iter().max()), (SIZE, Some(&(256 << 10))), "{sizes:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_large_message_at_most_512_kib_are_read_at_once() {
    const SIZE: usize = 8 << 20;
    let (near, calls, mut peer) = crate::counted::pair(2 * SIZE);
    let mut ws = WebSocket::from_stream(near, Role::Server, Limits::default().message(SIZE));
    // The second one is expected to be large.
    for _ in 0..2 {
        peer.write_all(&client_frame(true, Opcode::BINARY, &vec![7; SIZE])).await.unwrap();
        assert_eq!(soon(ws.recv()).await.unwrap().map(|message| message.len()), Some(SIZE));
        assert_eq!(calls.take_most_read(), 512 << 10);
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_right_behind_a_message_does_not_cut_off_the_end_of_what_is_handed_on() {
    let (ws, mut peer) = server(1024);
    let frames = [client_frame(true, Opcode::TEXT, &[b'x'; 200]), client_frame(true, Opcode::CLOSE, &[])];
    peer.write_all(&frames.concat()).await.unwrap();
    let handler = tokio::spawn(hand_on(ws));
    assert_eq!(soon(read_message(&mut peer)).await, (Opcode::TEXT, vec![b'x'; 200]));
    assert_eq!(soon(read_frame(&mut peer)).await, Some((true, Opcode::CLOSE, vec![])));
    handler.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn lines_are_read_from_a_message_without_a_buffer_of_their_own() {
    let (mut ws, mut peer) = server(1024);
    peer.write_all(&client_frame(true, Opcode::TEXT, "eins\nzwei\n三".as_bytes())).await.unwrap();
    let mut lines = ws.recv_stream().await.unwrap().unwrap().lines();
    let mut seen = Vec::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        seen.push(line);
    }
    assert_eq!(seen, ["eins", "zwei", "三"]);
}

#[tokio::test(start_paused = true)]
async fn a_piece_is_a_frame_behind_what_was_written_and_an_empty_one_is_none() {
    let (ws, mut peer) = server(1024);
    let mut stream = ws.send_stream(MessageKind::Binary);
    stream.write_all(b"written").await.unwrap();
    stream.write_piece("a piece").await.unwrap();
    stream.write_piece("").await.unwrap();
    stream.write_all(b"the rest").await.unwrap();
    soon(stream.finish()).await.unwrap();
    let frames = [(false, Opcode::BINARY, "written"), (false, Opcode::CONTINUATION, "a piece")];
    for (fin, opcode, payload) in frames.into_iter().chain([(true, Opcode::CONTINUATION, "the rest")]) {
        assert_eq!(soon(read_frame(&mut peer)).await, Some((fin, opcode, payload.into())));
    }
}

#[tokio::test(start_paused = true)]
async fn a_piece_that_makes_no_text_is_refused_and_what_came_before_it_can_be_ended() {
    let (ws, mut peer) = server(1024);
    let mut stream = ws.send_stream(MessageKind::Text);
    stream.write_piece(&b"\xE5\xA5"[..]).await.unwrap();
    for bad in [&b"x"[..], b"\xFF", b"\xBD\xC0"] {
        let error = stream.write_piece(bad).await.unwrap_err();
        assert!(matches!(&error, Error::Io(error) if error.kind() == ErrorKind::InvalidData), "{error:?}");
    }
    stream.write_piece(&b"\xBD"[..]).await.unwrap();
    soon(stream.finish()).await.unwrap();
    assert_eq!(soon(read_message(&mut peer)).await, (Opcode::TEXT, "好".into()));
}

#[tokio::test(start_paused = true)]
async fn a_piece_that_finds_no_room_and_is_dropped_is_not_sent() {
    let (near, mut peer) = tokio::io::duplex(16);
    let ws = WebSocket::from_stream(near, Role::Server, Limits::default().queue(10));
    ws.send(vec![7; 100]).await.unwrap();
    let mut stream = ws.send_stream(MessageKind::Binary);
    // Nobody reads: there is no room.
    tokio::select! {
        biased;
        sent = stream.write_piece("dropped") => panic!("{sent:?}"),
        () = tokio::task::yield_now() => {}
    }
    let reading = tokio::spawn(async move {
        assert_eq!(read_message(&mut peer).await, (Opcode::BINARY, vec![7; 100]));
        read_message(&mut peer).await
    });
    stream.write_piece("kept").await.unwrap();
    stream.finish().await.unwrap();
    assert_eq!(soon(reading).await.unwrap(), (Opcode::BINARY, "kept".into()));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_breaks_off_does_not_look_like_one_that_has_ended() {
    let (mut ws, mut peer) = server(1024);
    let half = &client_frame(true, Opcode::BINARY, &[7; 200])[..100];
    peer.write_all(half).await.unwrap();
    drop(peer);
    let mut stream = ws.recv_stream().await.unwrap().unwrap();
    let mut taken = 0;
    let error = loop {
        match soon(stream.read_piece()).await {
            Ok(piece) => taken += piece.expect("it has not ended").len(),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Aborted), "{error:?}");
    assert_eq!(taken, 92);
}
