//! A room: connections that are watched together, and the pages that watch them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sockeye::tap::Tap;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use super::access::PageKey;
use super::follow::follow;
use super::history::History;

/// What a room takes of memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Connections that are followed at a time.
    pub(super) connections: usize,
    /// Bytes of lines that are kept for whoever comes.
    pub(super) history: usize,
    /// Bytes of lines that wait for one page.
    pub(super) queue: usize,
    /// Bytes that wait to be taken apart.
    pub(super) channel: usize,
}

/// Connections, what is known of them, and a task that follows them.
pub(crate) struct Room {
    tap: Tap,
    history: Arc<History>,
    follower: AbortHandle,
}

impl Room {
    /// Times count from `started`. `turns` are those of [`follow`].
    pub(super) fn new(bounds: Bounds, turns: Arc<Semaphore>, started: Instant) -> Self {
        let (tap, watch) = Tap::new(bounds.channel);
        let history = Arc::new(History::new(bounds.history, bounds.queue));
        let follower = follow(watch, Arc::clone(&history), turns, bounds.connections, started);
        Self { tap, history, follower: tokio::spawn(follower).abort_handle() }
    }

    /// One with all connections: for a reload it keeps some ten thousand small frames.
    pub(crate) fn of_all(started: Instant) -> Self {
        let bounds = Bounds { connections: 1_000, history: 32 << 20, queue: 4 << 20, channel: 16 << 20 };
        Self::new(bounds, Arc::new(Semaphore::new(1)), started)
    }

    pub(crate) const fn tap(&self) -> &Tap {
        &self.tap
    }

    pub(super) const fn history(&self) -> &Arc<History> {
        &self.history
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // With it goes the watch: what is still open is not copied any more.
        self.follower.abort();
    }
}

/// The rooms of pages. One is there while a page is in it, and for a while after.
pub(super) struct Rooms {
    most: usize,
    bounds: Bounds,
    kept: Duration,
    started: Instant,
    /// One of them works at a time: strangers may make us take frames apart, but not on more than one processor.
    turns: Arc<Semaphore>,
    rooms: Mutex<HashMap<PageKey, Held>>,
}

struct Held {
    room: Arc<Room>,
    guests: usize,
    /// When the last of them left.
    left: Instant,
}

impl Rooms {
    pub(super) fn new(most: usize, bounds: Bounds, kept: Duration, started: Instant) -> Arc<Self> {
        Arc::new(Self { most, bounds, kept, started, turns: Arc::new(Semaphore::new(1)), rooms: Mutex::default() })
    }

    /// The tap of a room that is there.
    pub(super) fn tap(&self, key: &PageKey) -> Option<Tap> {
        self.lock().get(key).map(|held| held.room.tap().clone())
    }

    /// Enters a room, which is made if it is not there. `None`: there are as many as may be, all of them with guests.
    pub(super) fn enter(self: &Arc<Self>, key: PageKey) -> Option<Guest> {
        let mut rooms = self.lock();
        if !rooms.contains_key(&key) && rooms.len() >= self.most {
            // The one that was left first makes room.
            let empty = rooms.iter().filter(|(_, held)| held.guests == 0);
            let first = empty.min_by_key(|(_, held)| held.left).map(|(key, _)| *key)?;
            rooms.remove(&first);
        }
        let held = rooms.entry(key).or_insert_with(|| {
            let room = Arc::new(Room::new(self.bounds, Arc::clone(&self.turns), self.started));
            Held { room, guests: 0, left: Instant::now() }
        });
        held.guests += 1;
        Some(Guest { room: Arc::clone(&held.room), page: Some((key, Arc::clone(self))) })
    }

    fn leave(self: &Arc<Self>, key: PageKey) {
        let mut rooms = self.lock();
        let Some(held) = rooms.get_mut(&key) else { return };
        held.guests -= 1;
        held.left = Instant::now();
        // Without a runtime all of it is about to end.
        if held.guests == 0
            && let Ok(runtime) = Handle::try_current()
        {
            let rooms = Arc::clone(self);
            runtime.spawn(async move {
                tokio::time::sleep(rooms.kept).await;
                rooms.clear(key);
            });
        }
    }

    /// Gives a room up that nobody has come back to.
    fn clear(&self, key: PageKey) {
        let mut rooms = self.lock();
        if rooms.get(&key).is_some_and(|held| held.guests == 0 && held.left.elapsed() >= self.kept) {
            rooms.remove(&key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PageKey, Held>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody in a room, until this is dropped.
pub(super) struct Guest {
    room: Arc<Room>,
    page: Option<(PageKey, Arc<Rooms>)>,
}

impl Guest {
    /// One in the room with all connections, which stays.
    pub(super) const fn of_all(room: Arc<Room>) -> Self {
        Self { room, page: None }
    }

    pub(super) const fn room(&self) -> &Arc<Room> {
        &self.room
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if let Some((key, rooms)) = self.page.take() {
            rooms.leave(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Uri;

    use super::*;

    const BOUNDS: Bounds = Bounds { connections: 1, history: 1 << 10, queue: 1 << 10, channel: 1 << 10 };

    fn key(number: u8) -> PageKey {
        PageKey::of(&format!("/?watch={number:032x}").parse::<Uri>().unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_room_is_there_while_somebody_is_in_it_and_for_a_while_after() {
        let rooms = Rooms::new(2, BOUNDS, Duration::ZERO, Instant::now());
        assert!(rooms.tap(&key(1)).is_none());
        let (one, again) = (rooms.enter(key(1)).unwrap(), rooms.enter(key(1)).unwrap());
        assert!(Arc::ptr_eq(one.room(), again.room()) && rooms.tap(&key(1)).is_some() && rooms.tap(&key(2)).is_none());
        drop(one);
        tokio::task::yield_now().await;
        assert!(rooms.tap(&key(1)).is_some());
        drop(again);
        while rooms.tap(&key(1)).is_some() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn no_more_rooms_are_made_than_may_be_and_an_empty_one_makes_room() {
        let rooms = Rooms::new(2, BOUNDS, Duration::from_secs(60), Instant::now());
        let (one, _two) = (rooms.enter(key(1)).unwrap(), rooms.enter(key(2)).unwrap());
        assert!(rooms.enter(key(3)).is_none());
        let tap = rooms.tap(&key(1)).unwrap();
        drop(one);
        assert!(rooms.tap(&key(1)).is_some());
        let _three = rooms.enter(key(3)).unwrap();
        assert!(rooms.tap(&key(1)).is_none());
        // What is still open there is not copied any more.
        while !tap.is_closed() {
            tokio::task::yield_now().await;
        }
    }
}
