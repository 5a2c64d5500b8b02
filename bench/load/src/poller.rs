//! epoll, edge-triggered; asked again and again without sleeping, where the load generator has a processor of its own.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{Timespec, epoll};

pub struct Poller {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    /// The longest time to sleep.
    sleep: Timespec,
}

impl Poller {
    pub fn new() -> io::Result<Self> {
        const NOT_AT_ALL: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, events: Vec::with_capacity(1024), sleep: NOT_AT_ALL })
    }

    /// Leaves the processor to others while nothing is ready.
    pub fn sleeping() -> io::Result<Self> {
        Ok(Self { sleep: Timespec { tv_sec: 1, tv_nsec: 0 }, ..Self::new()? })
    }

    pub fn add(&self, source: impl AsFd, index: usize) -> io::Result<()> {
        let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
        Ok(epoll::add(&self.epoll, source, epoll::EventData::new_u64(index as u64), flags)?)
    }

    /// What is ready, by the index it was added with.
    pub fn ready(&mut self) -> io::Result<impl Iterator<Item = usize> + use<'_>> {
        self.events.clear();
        epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.events), Some(&self.sleep))?;
        Ok(self.events.iter().map(|event| event.data.u64() as usize))
    }
}
