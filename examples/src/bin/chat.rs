//! A chat room: what one says everybody hears.
//!
//! Run it with `cargo run --bin chat -p sockeye-examples`, and open several WebSockets to ws://127.0.0.1:9004, from the
//! console of a browser for example.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use sockeye::{CloseCode, Prepared, Sender, WebSocket};
use tokio::net::TcpListener;

/// Those who listen.
#[derive(Default)]
struct Room {
    senders: Mutex<HashMap<u64, Sender>>,
    last: AtomicU64,
}

impl Room {
    fn enter(&self, sender: Sender) -> u64 {
        let id = self.last.fetch_add(1, Ordering::Relaxed);
        self.senders.lock().expect("nobody panics in here").insert(id, sender);
        id
    }

    /// Sends to all, and waits for nobody: one whose queue is full has not read for a megabyte, and is shown out.
    fn say(&self, words: &str) {
        let prepared = Prepared::from(words);
        let mut senders = self.senders.lock().expect("nobody panics in here");
        for (_, sender) in senders.extract_if(|_, sender| sender.try_send_prepared(&prepared).is_err()) {
            tokio::spawn(async move { sender.close(CloseCode::POLICY_VIOLATION, "too slow").await });
        }
    }

    fn leave(&self, id: u64) {
        self.senders.lock().expect("nobody panics in here").remove(&id);
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let room = Arc::new(Room::default());
    let listener = TcpListener::bind("127.0.0.1:9004").await?;
    sockeye::serve(listener, move |mut ws: WebSocket| {
        let room = Arc::clone(&room);
        async move {
            let id = room.enter(ws.sender());
            room.say(&format!("{id} comes in"));
            let ended = listen(&room, id, &mut ws).await;
            room.leave(id);
            room.say(&format!("{id} goes out"));
            Ok(ended?)
        }
    })
    .await?;
    Ok(())
}

async fn listen(room: &Room, id: u64, ws: &mut WebSocket) -> Result<(), sockeye::Error> {
    while let Some(message) = ws.recv().await? {
        match message.as_text() {
            Some(words) => room.say(&format!("{id}: {words}")),
            None => ws.send("Only words, please.").await?,
        }
    }
    Ok(())
}
