//! How many connections there may be, in all and from one address.

use core::net::{IpAddr, SocketAddr};
use core::sync::atomic::{AtomicUsize, Ordering};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::metrics;

/// What is counted, and the bounds on it.
#[derive(Debug)]
pub(super) struct Admission {
    in_all: usize,
    per_address: usize,
    /// Sequentially consistent, as one who leaves changes it and then looks for who waits, who does it the other way
    /// round.
    open: AtomicUsize,
    /// Of those from which there is a connection.
    by_address: Mutex<HashMap<Network, usize>>,
    left: Notify,
}

/// Who counts as one: an IPv4 address, or a network of IPv6, of which a customer has at least a /64 (RFC 6177) and can
/// take as many addresses from it as they like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Network {
    V4(u32),
    V6(u64),
}

impl Network {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => {
                let network = address.to_bits() >> 64;
                Self::V6(u64::try_from(network).expect("64 bits are left"))
            }
        }
    }
}

impl Admission {
    /// `usize::MAX` is no bound.
    pub(super) fn new(in_all: usize, per_address: usize) -> Arc<Self> {
        let by_address = Mutex::default();
        Arc::new(Self { in_all, per_address, open: AtomicUsize::new(0), by_address, left: Notify::new() })
    }

    /// How many there are.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// Whether there can be one more.
    pub(super) fn has_room(&self) -> bool {
        self.open() < self.in_all
    }

    /// Waits until there can be one more.
    pub(super) async fn room(&self) {
        loop {
            // From here on it is told of whoever leaves.
            let left = self.left.notified();
            if self.has_room() {
                return;
            }
            left.await;
        }
    }

    /// A place for one more, if there is room.
    pub(super) fn admit(self: &Arc<Self>, address: Option<SocketAddr>) -> Result<Permit, Refused> {
        let more = |open: usize| (open < self.in_all).then_some(open + 1);
        self.open.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).map_err(|_| Refused::InAll)?;
        // From here on it gives the place back when it is dropped.
        metrics::connections(1.0);
        let mut permit = Permit { admission: Arc::clone(self), network: None };
        if let Some(address) = address.filter(|_| self.per_address < usize::MAX) {
            let network = Network::of(address.ip());
            let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
            let open = by_address.entry(network).or_insert(0);
            if *open >= self.per_address {
                return Err(Refused::PerAddress);
            }
            *open += 1;
            permit.network = Some(network);
        }
        Ok(permit)
    }
}

/// Which bound leaves no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    InAll,
    PerAddress,
}

/// One place, which is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    admission: Arc<Admission>,
    network: Option<Network>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let admission = &self.admission;
        if let Some(network) = self.network {
            let mut by_address = admission.by_address.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(open) = by_address.get_mut(&network) {
                *open -= 1;
                if *open == 0 {
                    by_address.remove(&network);
                }
            }
        }
        metrics::connections(-1.0);
        admission.open.fetch_sub(1, Ordering::SeqCst);
        admission.left.notify_waiters();
    }
}
