//! A client's WebSocket that connects again when its connection is lost.
//!
//! ```no_run
//! # async fn token() -> Result<String, std::io::Error> { Ok(String::new()) }
//! # async fn run() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! use sockeye::reconnect::{Backoff, Event};
//!
//! let mut ws = sockeye::connect("wss://example.com/feed")
//!     .reconnect(Backoff::default())
//!     .before_each(|_attempt, connect| async move { Ok(connect.bearer_auth(token().await?)) })
//!     .on_open(|ws| async move {
//!         ws.send("subscribe").await?;
//!         Ok(ws)
//!     })
//!     .start();
//!
//! let number = ws.send("42").await?;
//! while let Some(event) = ws.recv().await {
//!     match event {
//!         Event::Message(message) => println!("{message:?}"),
//!         Event::Disconnected(lost) if lost.uncertain().contains(&number) => println!("who knows whether it arrived"),
//!         event => println!("{event:?}"),
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! # What becomes of a message
//!
//! Each that is accepted has a number. WebSocket has no receipts, so when a connection breaks, three things can be known of it:
//!
//! | | | |
//! |---|---|---|
//! | **read** | the peer's end has read it: it has answered a Ping that was sent behind it, or the closing handshake | nothing is said of it |
//! | **uncertain** | it was given to the network, whole or in part, and no sign of the peer came after it | [`Disconnected::uncertain`] has its number; it is never sent again by itself |
//! | **unsent** | not a byte of it has left | it is kept and sent on the next connection, before what comes later; or given back, as [`Unsent`] says |
//!
//! So none is lost without a word, and none is sent twice. That the peer's end has *read* a message says that it has arrived in
//! the peer's program, not what that has made of it: where that counts, have it answer, and go by the answers. Then
//! [`Disconnected::written`] is all that may still have to be answered.
//!
//! Whether a message was read is asked for a fifth of a second after it was written, with Pings; where
//! [`Limits::ping`](crate::Limits::ping) turns those off it is not, and all messages of a connection are uncertain when it
//! breaks.

mod backoff;
mod builder;
mod event;
mod handle;
mod state;
mod task;

pub use backoff::Backoff;
pub use builder::{Reconnect, Unsent};
pub use event::{Disconnected, Ended, EndedBy, Event};
pub use handle::{Events, Reconnecting, Sender};
