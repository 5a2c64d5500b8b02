//! What goes over connections, live, for pages that watch.
//!
//! ```text
//! Tap -> Watch -> follow: conversations -> JSON lines -> History, bounded -> Feed, one for each page, bounded
//! ```
//! That is a [`Room`]. One of them has all connections, for whoever knows the [`Token`]; others have those that a page has
//! opened itself, with its own [`PageKey`] in the request. A connection that is in no room has no tap.
//!
//! A page that is slow, or hangs, loses records, and is told how many. It never makes a connection wait.

mod access;
mod composer;
mod feed;
mod follow;
mod history;
mod inside;
mod reach;
mod room;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::StatusCode;
use serde_json::json;
use sockeye::tap::{Ends, Tap};
use sockeye::{Limits, OriginPolicy, Peer, Request, Response, Upgrade, Upgrader};
use sockeye_traffic::rfc3339;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(crate) use access::Token;
use access::{PageKey, Who};
pub(crate) use inside::inside;
pub(crate) use reach::{Reach, Reached};
pub(crate) use room::Room;
use room::{Bounds, Guest, Rooms};

use crate::answer::plain;
use crate::view::json_line;

/// All who watch, and what they may.
pub(crate) struct Live {
    started: (Instant, SystemTime),
    watched: Watched,
    /// The room with all connections, where there is one.
    all: Option<(Token, Arc<Room>)>,
    feeds: Places,
    composers: Places,
}

/// What is watched.
enum Watched {
    /// A server, whose pages see what they open themselves, and play clients inside.
    Server { address: String, pages: Arc<Rooms>, inside: inside::Door },
    /// A proxy, by where it leads, and how clients that are played come there.
    Proxy { target: String, reach: Arc<Reach> },
}

/// How many may be there at a time. Those who know the token are not kept out by those who need none.
struct Places {
    with_token: Arc<Semaphore>,
    of_pages: Arc<Semaphore>,
}

/// Feeds at a time, with the token and without; a person has a few tabs.
const FEEDS: usize = 16;
/// Composers at a time, with the token and without.
const COMPOSERS: usize = 8;

/// What the room of a page takes, of which strangers may have as many as there are feeds: with all of them, 128 MiB.
const PAGE: Bounds = Bounds { connections: 32, history: 2 << 20, queue: 2 << 20, channel: 2 << 20 };
/// So long a page's room is kept without the page: it may be loading again.
const KEPT: Duration = Duration::from_secs(60);

/// The most a page may send at once: to a feed, where it has nothing to say, and to a composer, which takes 1 MiB of hex.
const FEED_MESSAGE: usize = 1 << 10;
const COMPOSER_MESSAGE: usize = composer::MOST_HEX + (1 << 10);

const TOKEN_NEEDED: &str = "a token is needed; it is in the URL that was printed at the start\n";
const FULL: &str = "as many are watching as may at a time; close another page\n";

impl Live {
    /// Of a server at this address, within a runtime. With a token there is a room with all connections.
    pub(crate) fn of_server(token: Option<Token>, address: String, inside: inside::Door) -> Self {
        let started = (Instant::now(), SystemTime::now());
        Self {
            started,
            watched: Watched::Server { address, pages: Rooms::new(FEEDS, PAGE, KEPT, started.0), inside },
            all: token.map(|token| (token, Arc::new(Room::of_all(started.0)))),
            feeds: Places::new(FEEDS),
            composers: Places::new(COMPOSERS),
        }
    }

    /// Of a proxy that leads to this URL, within a runtime.
    pub(crate) fn of_proxy(
        token: Token,
        target: String,
        reach: Arc<Reach>,
        room: Room,
        started: (Instant, SystemTime),
    ) -> Self {
        Self {
            started,
            watched: Watched::Proxy { target, reach },
            all: Some((token, Arc::new(room))),
            feeds: Places::new(FEEDS),
            composers: Places::new(COMPOSERS),
        }
    }

    /// Has a WebSocket of the server watched by those who may see it. Where there are none, nothing is done to it.
    pub(crate) fn watch<B>(&self, upgrade: Upgrade, request: &http::Request<B>) -> Upgrade {
        let Watched::Server { address, pages, .. } = &self.watched else { return upgrade };
        let page = PageKey::of(request.uri()).and_then(|key| pages.tap(&key));
        let all = self.all.as_ref().map(|(_, room)| room.tap().clone());
        all.into_iter().chain(page).fold(upgrade, |upgrade, tap| {
            let client = request.extensions().get().and_then(Peer::address).map(|address| address.to_string());
            let target = request.uri().path_and_query().map(ToString::to_string);
            upgrade.watched(&tap, Ends { client, server: Some(address.clone()), target, ..Ends::default() })
        })
    }

    /// Answers `/inspect/feed`.
    pub(crate) fn feed(&self, mut request: Request) -> Response {
        let Entered { upgrade, guest, sees_all, permit } = match self.enter(&mut request, &self.feeds, FEED_MESSAGE) {
            Ok(entered) => entered,
            Err(refusal) => return *refusal,
        };
        let hello = self.hello(sees_all);
        upgrade.on_upgrade(move |ws| async move {
            let _held = permit;
            feed::run(ws, guest.room().history().join(hello)).await
        })
    }

    /// Answers `/inspect/composer`.
    pub(crate) fn composer(&self, mut request: Request) -> Response {
        let host = request.headers().get(http::header::HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
        let host = host.or_else(|| request.uri().authority().map(ToString::to_string)).unwrap_or_default();
        let entered = self.enter(&mut request, &self.composers, COMPOSER_MESSAGE);
        let Entered { upgrade, guest, sees_all, permit } = match entered {
            Ok(entered) => entered,
            Err(refusal) => return *refusal,
        };
        let reach = match &self.watched {
            Watched::Proxy { reach, .. } => Arc::clone(reach),
            Watched::Server { inside, .. } => {
                // Its own room counts for its number; whoever sees all connections sees this one, too.
                let all = self.all.as_ref().filter(|_| !sees_all).map(|(_, room)| room.tap().clone());
                let taps: Vec<Tap> = [guest.room().tap().clone()].into_iter().chain(all).collect();
                inside.clone().reach(taps, host)
            }
        };
        upgrade.on_upgrade(move |ws| async move {
            let _held = (guest, permit);
            composer::run(ws, reach).await
        })
    }

    /// Lets somebody in, or says why not: first who they are, then whether it is a WebSocket, then whether there is room.
    fn enter(&self, request: &mut Request, places: &Places, message: usize) -> Result<Entered, Box<Response>> {
        let token = self.all.as_ref().map(|(token, _)| token);
        let forbidden = |why| Box::new(plain(StatusCode::FORBIDDEN, why));
        let pages = match (Who::of(request.uri(), token).map_err(forbidden)?, &self.watched) {
            (Who::All, _) => None,
            (Who::Page(key), Watched::Server { pages, .. }) => Some((key, pages)),
            (Who::Page(_), Watched::Proxy { .. }) => return Err(forbidden(TOKEN_NEEDED)),
        };
        // Pages of this server alone, whoever else may connect to /echo.
        let upgrader = Upgrader::default().origin(OriginPolicy::SameHost).limits(Limits::default().message(message));
        let upgrade = upgrader.upgrade(request).map_err(|refusal| Box::new(refusal.response()))?;
        let full = || Box::new(plain(StatusCode::SERVICE_UNAVAILABLE, FULL));
        let sees_all = pages.is_none();
        let permit = places.take(sees_all).ok_or_else(full)?;
        let guest = match pages {
            Some((key, pages)) => pages.enter(key),
            None => self.all.as_ref().map(|(_, room)| Guest::of_all(Arc::clone(room))),
        };
        Ok(Entered { upgrade, guest: guest.ok_or_else(full)?, sees_all, permit })
    }

    /// What a feed begins with.
    fn hello(&self, all: bool) -> String {
        let (mode, target) = match &self.watched {
            Watched::Server { .. } => ("serve", None),
            Watched::Proxy { target, .. } => ("proxy", Some(target)),
        };
        json_line(&[
            ("record", json!("hello")),
            ("version", json!(1)),
            ("mode", json!(mode)),
            ("target", json!(target)),
            ("all", json!(all)),
            ("composer", json!(true)),
            ("started", json!(rfc3339(self.started.1))),
        ])
    }
}

/// Somebody who was let in.
struct Entered {
    upgrade: Upgrade,
    guest: Guest,
    sees_all: bool,
    permit: OwnedSemaphorePermit,
}

impl Places {
    fn new(number: usize) -> Self {
        Self { with_token: Arc::new(Semaphore::new(number)), of_pages: Arc::new(Semaphore::new(number)) }
    }

    fn take(&self, with_token: bool) -> Option<OwnedSemaphorePermit> {
        let places = if with_token { &self.with_token } else { &self.of_pages };
        Arc::clone(places).try_acquire_owned().ok()
    }
}
