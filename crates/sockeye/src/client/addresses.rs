//! From the addresses of a host to a connection with one of them: "happy eyeballs" (RFC 8305).

use core::future::Future;
use core::net::SocketAddr;
use core::time::Duration;
use std::io;

use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long an attempt is alone before the next address is tried beside it (RFC 8305 §8, the recommended value).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The first connection that comes about. The addresses are tried in turn, both families alternating; the next one when the
/// one before has failed, or has not succeeded for a while: so that a family or a host that swallows everything costs a
/// moment and not the deadline.
///
/// # Errors
/// That of the last attempt to fail.
pub(super) async fn first_to_connect<T, F>(
    addresses: Vec<SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<T>
where
    T: Send + 'static,
    F: Future<Output = io::Result<T>> + Send + 'static,
{
    let mut addresses = alternating(addresses).into_iter();
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    // Dropped with this future, it ends those that are still on their way.
    let mut attempts = JoinSet::new();
    loop {
        if let Some(address) = addresses.next() {
            attempts.spawn(connect(address));
        }
        let ended = if addresses.as_slice().is_empty() {
            attempts.join_next().await
        } else {
            match timeout(ATTEMPT_DELAY, attempts.join_next()).await {
                Ok(ended) => ended,
                Err(_) => continue,
            }
        };
        match ended {
            Some(Ok(Ok(connected))) => return Ok(connected),
            Some(Ok(Err(error))) => failure = error,
            Some(Err(panicked)) => failure = panicked.into(),
            None => return Err(failure),
        }
    }
}

/// The addresses with the families alternating, beginning with that of the first, each in the order the system prefers
/// (RFC 8305 §4).
fn alternating(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = addresses.first().map(SocketAddr::is_ipv6) else {
        return addresses;
    };
    let (ours, others): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|address| address.is_ipv6() == first);
    let (mut ours, mut others) = (ours.into_iter(), others.into_iter());
    let mut all = Vec::with_capacity(ours.len() + others.len());
    while ours.len() + others.len() > 0 {
        all.extend(ours.next().into_iter().chain(others.next()));
    }
    all
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::time::{Instant, sleep};

    use super::*;

    /// Addresses by short names: `4a` is 0.0.0.10, `6b` is ::b.
    fn addresses(names: &[&str]) -> Vec<SocketAddr> {
        let address = |name: &&str| {
            let number = u8::from_str_radix(&name[1..], 16).unwrap();
            let address = if name.starts_with('4') { format!("0.0.0.{number}:1") } else { format!("[::{number:x}]:1") };
            address.parse().unwrap()
        };
        names.iter().map(address).collect()
    }

    /// Tries addresses which answer after a while, each as told; gives when each was tried, and who was first.
    async fn race(plan: &[(&str, u64, bool)]) -> (Vec<u128>, io::Result<SocketAddr>, u128) {
        let all = addresses(&plan.iter().map(|(name, ..)| *name).collect::<Vec<_>>());
        let answers: Vec<_> = all.iter().copied().zip(plan.iter().map(|&(_, after, well)| (after, well))).collect();
        let (started, tried) = (Instant::now(), Arc::new(Mutex::new(Vec::new())));
        let first = first_to_connect(all, |address| {
            let (after, well) = answers.iter().find(|(own, _)| *own == address).unwrap().1;
            tried.lock().unwrap().push(started.elapsed().as_millis());
            async move {
                sleep(Duration::from_millis(after)).await;
                if well { Ok(address) } else { Err(io::Error::other(address.to_string())) }
            }
        })
        .await;
        let tried = tried.lock().unwrap().clone();
        (tried, first, started.elapsed().as_millis())
    }

    #[test]
    fn rfc8305_s4_the_families_alternate_in_the_system_s_order() {
        for (given, expected) in [
            (&[][..], &[][..]),
            (&["4a"], &["4a"]),
            (&["6a", "6b", "4a", "4b"], &["6a", "4a", "6b", "4b"]),
            (&["4a", "6a", "6b", "6c"], &["4a", "6a", "6b", "6c"]),
            (&["6a", "6b", "6c", "4a"], &["6a", "4a", "6b", "6c"]),
        ] {
            assert_eq!(alternating(addresses(given)), addresses(expected), "{given:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn rfc8305_s5_an_address_that_swallows_everything_costs_a_quarter_of_a_second() {
        let (tried, first, took) = race(&[("6a", 60_000, true), ("4a", 30, true)]).await;
        assert_eq!((tried, first.unwrap(), took), (vec![0, 250], addresses(&["4a"])[0], 280));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_refuses_is_followed_by_the_next_at_once() {
        let (tried, first, took) = race(&[("6a", 5, false), ("4a", 5, false), ("4b", 30, true)]).await;
        assert_eq!((tried, first.unwrap(), took), (vec![0, 5, 10], addresses(&["4b"])[0], 40));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_one_that_was_tried_before_may_still_be_first() {
        let (tried, first, took) = race(&[("6a", 300, true), ("4a", 400, true), ("4b", 1, true)]).await;
        assert_eq!((tried, first.unwrap(), took), (vec![0, 250], addresses(&["6a"])[0], 300));
    }

    #[tokio::test(start_paused = true)]
    async fn when_none_answers_the_last_failure_is_told() {
        let (tried, first, took) = race(&[("6a", 700, false), ("4a", 10, false)]).await;
        assert_eq!((tried, took), (vec![0, 250], 700));
        assert_eq!(first.unwrap_err().to_string(), "[::a]:1");
        let none = race(&[]).await.1.unwrap_err();
        assert_eq!((none.kind(), none.to_string().as_str()), (io::ErrorKind::NotFound, "the host has no address"));
    }
}
