//! Two tasks at each end hammer one connection over TCP with small messages, a million each way.

use std::time::Duration;

use bytes::Bytes;
use sockeye::{CloseCode, Limits, Message, Receiver, Role, Sender, WebSocket};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Each way, from all senders of an end.
const MESSAGES: u32 = 1_000_000;
const SENDERS: u8 = 2;
/// It takes some seconds; what takes this long has stalled.
const STALLED: Duration = Duration::from_secs(100);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_messages_each_way_all_arrive_once_and_in_order() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    let client = WebSocket::from_stream(near.unwrap(), Role::Client, Limits::default());
    let server = WebSocket::from_stream(far.unwrap().0, Role::Server, Limits::default());

    let (client, from_server) = client.split();
    let (server, from_client) = server.split();
    let sending = [hammer(&client), hammer(&server)].into_iter().flatten();
    let receiving = [tokio::spawn(take(from_server)), tokio::spawn(take(from_client))];
    let all = async {
        for task in sending.chain(receiving) {
            task.await.unwrap();
        }
        tokio::join!(client.close(CloseCode::NORMAL, ""), server.closed())
    };
    let (closing, closed) = tokio::time::timeout(STALLED, all).await.expect("it has not stalled");
    closing.unwrap();
    assert!(closed.is_clean());
}

/// Sends from several tasks, each its share, numbered.
fn hammer(sender: &Sender) -> Vec<JoinHandle<()>> {
    let send = |name: u8| {
        let sender = sender.clone();
        tokio::spawn(async move {
            for number in 0..MESSAGES / u32::from(SENDERS) {
                let [a, b, c, d] = number.to_be_bytes();
                sender.send(Bytes::copy_from_slice(&[name, a, b, c, d])).await.unwrap();
            }
        })
    };
    (0..SENDERS).map(send).collect()
}

/// Receives what [`hammer`] sends: of each sender the next number, until there have been as many as were sent.
async fn take(mut receiver: Receiver) {
    let mut next = [0u32; SENDERS as usize];
    for _ in 0..MESSAGES {
        let message = receiver.recv().await.unwrap();
        let Some(Message::Binary(payload)) = &message else { panic!("{message:?}") };
        let [name, number @ ..] = &payload[..] else { panic!("{payload:?}") };
        let next = &mut next[usize::from(*name)];
        assert_eq!(u32::from_be_bytes(<[u8; 4]>::try_from(number).unwrap()), *next, "of sender {name}");
        *next += 1;
    }
    assert_eq!(next, [MESSAGES / u32::from(SENDERS); SENDERS as usize]);
}
