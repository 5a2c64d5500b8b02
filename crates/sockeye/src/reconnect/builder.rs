//! What is set about a WebSocket that connects again, before it begins.

use core::error::Error as StdError;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use std::sync::Arc;

use super::backoff::Backoff;
use super::event::Event;
use super::handle::Reconnecting;
use super::state::Shared;
use super::task;
use crate::client::Connect;
use crate::error::Error;
use crate::websocket::WebSocket;

/// A WebSocket about to be opened, and to be opened again whenever its connection is lost: from [`Connect::reconnect`].
#[must_use = "nothing is opened before `start`"]
pub struct Reconnect {
    pub(super) connect: Connect,
    pub(super) backoff: Backoff,
    pub(super) unsent: Unsent,
    before_each: Option<BeforeEach>,
    on_open: Option<OnOpen>,
    gives_up: Box<dyn Fn(&Event) -> bool + Send + Sync>,
}

type BoxError = Box<dyn StdError + Send + Sync>;
type Hooked<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;
type BeforeEach = Box<dyn Fn(u32, Connect) -> Hooked<Connect> + Send + Sync>;
type OnOpen = Box<dyn Fn(WebSocket) -> Hooked<WebSocket> + Send + Sync>;

/// What becomes of messages that were accepted, and of which not a byte has left when the connection is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unsent {
    /// They wait, and go first on the next connection. Without a connection `send` accepts as much as the queue has room for.
    #[default]
    Keep,
    /// They are given back, with [`Disconnected`](super::Disconnected). Without a connection nothing is accepted.
    GiveBack,
}

impl Reconnect {
    pub(crate) fn new(connect: Connect, backoff: Backoff) -> Self {
        let gives_up = Box::new(Event::is_final);
        Self { connect, backoff, unsent: Unsent::Keep, before_each: None, on_open: None, gives_up }
    }

    /// What becomes of messages that were accepted and not sent when the connection is lost; they are kept unless set.
    pub fn unsent(self, unsent: Unsent) -> Self {
        Self { unsent, ..self }
    }

    /// Is asked before each try, with its number since there was last a connection (from 1 on) and the [`Connect`] as it was
    /// set first; what it returns is opened: with another URL, say, or a fresh token. An error of its is that of the try,
    /// [`Error::Hook`]. It has no deadline.
    pub fn before_each<F>(self, hook: impl Fn(u32, Connect) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Connect, BoxError>> + Send + 'static,
    {
        Self { before_each: Some(Box::new(move |attempt, connect| Box::pin(hook(attempt, connect)))), ..self }
    }

    /// Is given each WebSocket that was opened before anything else is sent on it, to log in, say, or to subscribe; and gives
    /// it back. What it sends has no number, and what it receives is no event. An error of its is that of the try,
    /// [`Error::Hook`]. It has no deadline.
    pub fn on_open<F>(self, hook: impl Fn(WebSocket) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<WebSocket, BoxError>> + Send + 'static,
    {
        Self { on_open: Some(Box::new(move |ws| Box::pin(hook(ws)))), ..self }
    }

    /// Decides by each [`Disconnected`](Event::Disconnected) and [`Failed`](Event::Failed) whether it is given up; by
    /// [`Event::is_final`] unless set, which may be asked, too.
    ///
    /// ```
    /// # use sockeye::reconnect::{Backoff, Event};
    /// // Also when the server says in its own way that the account is gone.
    /// let reconnect = sockeye::connect("wss://example.com/").reconnect(Backoff::default()).give_up_when(|event| {
    ///     event.is_final()
    ///         || matches!(event, Event::Disconnected(lost) if lost.closed().code().as_u16() == 4004)
    /// });
    /// ```
    pub fn give_up_when(self, rule: impl Fn(&Event) -> bool + Send + Sync + 'static) -> Self {
        Self { gives_up: Box::new(rule), ..self }
    }

    /// Begins, in a task of its own.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(self) -> Reconnecting {
        let shared = Arc::new(Shared::new(self.connect.limits_set().max_queue(), self.unsent));
        tokio::spawn(task::run(self, Arc::clone(&shared)));
        Reconnecting::new(shared)
    }

    /// One try.
    pub(super) async fn open(&self, attempt: u32) -> Result<WebSocket, Error> {
        let connect = self.connect.clone();
        let connect = match &self.before_each {
            Some(hook) => hook(attempt, connect).await.map_err(Error::Hook)?,
            None => connect,
        };
        let ws = connect.await?;
        match &self.on_open {
            Some(hook) => hook(ws).await.map_err(Error::Hook),
            None => Ok(ws),
        }
    }

    pub(super) fn gives_up(&self, event: &Event) -> bool {
        (self.gives_up)(event)
    }
}

impl fmt::Debug for Reconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnect")
            .field("connect", &self.connect)
            .field("backoff", &self.backoff)
            .field("unsent", &self.unsent)
            .finish_non_exhaustive()
    }
}
