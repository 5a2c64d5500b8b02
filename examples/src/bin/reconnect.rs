//! A client that connects again: it sends a number each second, and tells what happens and what becomes of each.
//!
//! Run `echo`, then `cargo run --bin reconnect -p sockeye-examples [URL]`; end `echo` and start it again, as often as you like.
//! Ctrl-C ends it.

use std::error::Error as _;
use std::time::Duration;

use sockeye::CloseCode;
use sockeye::reconnect::{Backoff, Event};

#[tokio::main]
async fn main() -> Result<(), sockeye::Error> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "ws://127.0.0.1:9001/".to_owned());
    let (sender, mut events) = sockeye::connect(url)
        .reconnect(Backoff::default())
        .before_each(|attempt, connect| async move {
            // Here a fresh token would be fetched.
            Ok(connect.header("X-Attempt", attempt.to_string()))
        })
        .start()
        .split();

    let numbers = sender.clone();
    tokio::spawn(async move {
        for number in 0.. {
            // Accepted while there is no connection, too, and sent on the next one.
            if numbers.send(number.to_string()).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    tokio::spawn(async move {
        let _ = tokio::signal::ctrl_c().await;
        let _ = sender.close(CloseCode::NORMAL, "bye").await;
    });

    while let Some(event) = events.recv().await {
        match event {
            Event::Message(message) => println!("{message:?}"),
            Event::Disconnected(lost) => {
                println!("lost after {:?}: {}", lost.lived(), lost.closed());
                // Whether these have arrived nobody knows; they are not sent again.
                lost.uncertain().for_each(|number| println!("  uncertain: {number}"));
            }
            Event::Failed { attempt, error, .. } => match error.source() {
                Some(source) => println!("try {attempt} failed: {error}: {source}"),
                None => println!("try {attempt} failed: {error}"),
            },
            Event::Ended(ended) => ended.unsent().iter().for_each(|(_, message)| println!("  never sent: {message:?}")),
            event => println!("{event:?}"),
        }
    }
    Ok(())
}
