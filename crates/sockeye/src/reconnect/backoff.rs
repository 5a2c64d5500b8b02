//! How long to wait before the next try.

use core::time::Duration;

use crate::random;

/// How long a client waits before it tries again: a time drawn at random between none and a bound ("full jitter"), so that the
/// clients of a server that was restarted do not come back all at once. The bound doubles with each try that fails.
///
/// ```
/// use std::time::Duration;
/// use sockeye::reconnect::Backoff;
///
/// let backoff = Backoff::default().first(Duration::from_secs(1)).most(Duration::from_secs(60)).attempts(20);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    attempts: u32,
    stable: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            // A server that is restarted is back in a second or two; half a minute is what a user waits for one that is not.
            first: Duration::from_millis(500),
            most: Duration::from_secs(30),
            attempts: u32::MAX,
            // A server that takes connections and drops them is no better than one that takes none.
            stable: Duration::from_secs(10),
        }
    }
}

impl Backoff {
    /// The bound before the first try after a connection was lost. 0.5 s unless set.
    #[must_use]
    pub const fn first(self, time: Duration) -> Self {
        Self { first: time, ..self }
    }

    /// The bound that it does not grow beyond. 30 s unless set.
    #[must_use]
    pub const fn most(self, time: Duration) -> Self {
        Self { most: time, ..self }
    }

    /// How many tries in a row may fail, or bring a connection that is lost before it is [stable](Self::stable), before it is
    /// given up. No end unless set.
    #[must_use]
    pub const fn attempts(self, attempts: u32) -> Self {
        Self { attempts, ..self }
    }

    /// How long a connection must last for the waiting to begin anew when it is lost. 10 s unless set.
    #[must_use]
    pub const fn stable(self, time: Duration) -> Self {
        Self { stable: time, ..self }
    }

    pub(super) fn is_stable(&self, lived: Duration) -> bool {
        lived >= self.stable
    }

    /// Whether so many failures in a row are too many.
    pub(super) const fn is_exhausted(&self, failures: u32) -> bool {
        failures >= self.attempts
    }

    /// The time to wait after so many failures in a row; after none, too, as a connection was lost.
    pub(super) fn delay(&self, failures: u32) -> Duration {
        let bound = self.bound(failures);
        // 32 bits of chance: steps of 7 ns in 30 s.
        bound.mul_f64(f64::from(u32::from_be_bytes(random::bytes())) / f64::from(u32::MAX))
    }

    fn bound(&self, failures: u32) -> Duration {
        /// Whoever wants to wait for longer waits for ever, and calculates with no less than that.
        const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
        let doublings = failures.saturating_sub(1).min(31);
        self.first.checked_mul(1 << doublings).unwrap_or(YEAR).min(self.most).min(YEAR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_doubles_up_to_the_most_and_never_overflows() {
        let seconds = |failures| Backoff::default().bound(failures).as_secs_f64();
        let bounds: Vec<_> = (1..=9).map(seconds).collect();
        assert_eq!(bounds, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]);
        for failures in [0, 31, 32, 33, 1000, u32::MAX] {
            assert!(seconds(failures) <= 30.0, "{failures}");
        }
        let huge = Backoff::default().first(Duration::MAX).most(Duration::MAX);
        assert!(huge.delay(40) <= huge.bound(40) && huge.bound(40).as_secs() == 365 * 24 * 3600);
        assert_eq!(Backoff::default().bound(0), Backoff::default().bound(1));
        assert_eq!(Backoff::default().first(Duration::ZERO).bound(40), Duration::ZERO);
    }

    #[test]
    fn what_is_waited_is_spread_from_nothing_to_the_bound() {
        let backoff = Backoff::default();
        let delays: Vec<_> = (0..1000).map(|_| backoff.delay(1)).collect();
        assert!(delays.iter().all(|&delay| delay <= Duration::from_millis(500)));
        // Of a thousand by chance all lie above a tenth of the bound once in 10⁴⁵ runs.
        assert!(delays.iter().any(|&delay| delay < Duration::from_millis(50)));
        assert!(delays.iter().any(|&delay| delay > Duration::from_millis(450)));
    }
}
