//! `/inspect/composer`: a page that plays a client, byte by byte, to try the server.
//!
//! The page says what to do, in JSON, and is told how it went:
//!
//! | the page says | and is told |
//! |---|---|
//! | `{"open": {"path": "/echo", "compression": false}}`, once | `{"opened": {"connection", "status", "extensions"}}` |
//! | `{"send": "818537fa…"}`: bytes, in hex, as they are | |
//! | `{"end": true}`: nothing more will be sent | |
//! | `{"drop": true}`: the connection is gone | `{"closed": "…"}` |
//! | what is none of these, or comes at the wrong time | `{"refused": "…"}` |
//!
//! What goes over the connection is in the feed, like any other's.

mod order;
mod raw;

use core::future::pending;
use core::time::Duration;
use std::sync::Arc;

use serde_json::{Value, json};
use sockeye::{HandlerResult, Message, WebSocket};
use tokio::time::{Instant, sleep};

use super::reach::Reach;
pub(super) use order::MOST_HEX;
use order::Order;
use raw::{Happened, Raw};

/// A page that says nothing for so long has been forgotten by somebody.
const IDLE: Duration = Duration::from_secs(300);

/// Does what a page says, until it goes or its connection is closed.
pub(super) async fn run(mut ws: WebSocket, reach: Arc<Reach>) -> HandlerResult {
    let mut raw: Option<Raw> = None;
    let mut idle = Box::pin(sleep(IDLE));
    loop {
        let closed = tokio::select! {
            // Not while the server has to take what was said before.
            said = ws.recv(), if raw.as_ref().is_none_or(Raw::has_room) => {
                let Some(said) = said? else { return Ok(()) };
                idle.as_mut().reset(Instant::now() + IDLE);
                let done = match (Order::read(&said), &mut raw) {
                    (Err(why), _) => Err(why),
                    (Ok(Order::Open { path, compression }), None) => {
                        let opened = reach(path).await.and_then(|reached| Raw::open(reached, compression));
                        opened.map(|opened| raw = Some(opened))
                    }
                    (Ok(Order::Open { .. }), Some(_)) => Err("it is open already; another connection takes another composer".into()),
                    (Ok(_), None) => Err("nothing is open yet".into()),
                    (Ok(Order::Send(bytes)), Some(raw)) => raw.send(&bytes),
                    (Ok(Order::End), Some(raw)) => raw.end(),
                    (Ok(Order::Drop), Some(raw)) => {
                        raw.drop_it();
                        tell(&ws, "closed", json!("dropped")).await?;
                        return Ok(());
                    }
                };
                if let Err(why) = done {
                    tell(&ws, "refused", json!(why)).await?;
                }
                None
            }
            happened = happens(&mut raw) => match happened {
                Happened::Nothing => None,
                Happened::Opened(opened) => {
                    tell(&ws, "opened", opened).await?;
                    None
                }
                Happened::Closed(how) => Some(how),
            },
            () = &mut idle => Some(format!("nothing was said for {} minutes", IDLE.as_secs() / 60)),
        };
        if let Some(how) = closed {
            return tell(&ws, "closed", json!(how)).await;
        }
    }
}

async fn happens(raw: &mut Option<Raw>) -> Happened {
    match raw {
        Some(raw) => raw.happens().await,
        None => pending().await,
    }
}

async fn tell(ws: &WebSocket, what: &str, how: Value) -> HandlerResult {
    Ok(ws.send(Message::from(json!({ what: how }).to_string())).await?)
}
