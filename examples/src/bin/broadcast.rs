//! One message to thousands: framed once, written once for each subscriber.
//!
//! Run the publisher with `cargo run --release --bin broadcast -p sockeye-examples -- publish`, and in another terminal its
//! subscribers with `cargo run --release --bin broadcast -p sockeye-examples -- subscribe 9000`. Both say what they see once
//! a second, and end with Ctrl+C. A process may open as many connections as `ulimit -n` says.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sockeye::{CloseCode, Prepared, Sender, WebSocket};
use tokio::net::TcpListener;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const ADDRESS: &str = "127.0.0.1:9003";

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["publish"] => publish().await,
        ["subscribe", count] => subscribe(count.parse()?).await,
        _ => Err("broadcast publish | broadcast subscribe COUNT".into()),
    }
}

/// Sends the news of the second to whoever is there.
async fn publish() -> Result<()> {
    let subscribers: Arc<Mutex<Vec<Sender>>> = Arc::default();
    let listener = TcpListener::bind(ADDRESS).await?;
    println!("publishing on ws://{ADDRESS}/");
    let entered = Arc::clone(&subscribers);
    let serve = sockeye::serve(listener, move |mut ws: WebSocket| {
        entered.lock().expect("nobody panics in here").push(ws.sender());
        async move {
            // Subscribers have nothing to say; this waits for their end.
            while ws.recv().await?.is_some() {}
            Ok(())
        }
    });
    tokio::spawn(serve.into_future());
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    for number in 0_u64.. {
        ticks.tick().await;
        let news = Prepared::from(format!("{number:0>128}"));
        let started = Instant::now();
        let mut subscribers = subscribers.lock().expect("nobody panics in here");
        // One that is too slow to have room for this is closed; so is, without any effect, one that is gone.
        for slow in subscribers.extract_if(.., |subscriber| subscriber.try_send_prepared(&news).is_err()) {
            tokio::spawn(async move { slow.close(CloseCode::POLICY_VIOLATION, "too slow").await });
        }
        println!("{number}: sent to {} in {:.1} ms", subscribers.len(), started.elapsed().as_secs_f64() * 1e3);
    }
    Ok(())
}

/// Opens so many connections, and counts what they bring.
async fn subscribe(count: usize) -> Result<()> {
    let received = Arc::new(AtomicUsize::new(0));
    for _ in 0..count {
        let mut ws = sockeye::connect(format!("ws://{ADDRESS}/")).await?;
        let received = Arc::clone(&received);
        tokio::spawn(async move {
            while let Ok(Some(_)) = ws.recv().await {
                received.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    println!("{count} subscribers");
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        println!("{} messages in the last second", received.swap(0, Ordering::Relaxed));
    }
}
