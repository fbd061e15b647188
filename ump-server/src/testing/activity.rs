//! The activity of a worker under a test clock, and when it counts as quiet.
//!
//! A call on a task that has returned `Pending` is quiet as well ([`Activity::Suspended`]) if no
//! waker has woken it since, and if the clock observes everything that can wake it: the call sleeps
//! on the clock, or awaits only requests to loops under it. A waker first sets the flag that the
//! call is woken, then wakes the task. The task reports itself as busy before it clears the flag.

#[cfg(all(feature = "tokio", not(any(loom, shuttle))))]
use std::sync::Arc;
use std::time::Instant;

use ump::hooks::ChannelId;

/// The activity of a worker, as it has reported it.
#[derive(Clone)]
pub(super) enum Activity {
    Busy,
    /// Is in a call that has returned `Pending`.
    #[cfg(all(feature = "tokio", not(any(loom, shuttle))))]
    Suspended(Arc<Suspended>),
    /// Waits for requests, or until an instant.
    Waiting(Option<Instant>),
    /// Waits until an instant, and takes nothing before.
    Pausing(Option<Instant>),
    Gone,
}

impl Activity {
    pub(super) fn until(&self) -> Option<Instant> {
        match self {
            Self::Waiting(until) | Self::Pausing(until) => *until,
            _ => None,
        }
    }

    #[allow(unused_variables, reason = "without tasks no call suspends")]
    pub(super) fn is_quiet(&self, now: Instant, channels: &[ChannelId]) -> bool {
        match self {
            Self::Busy => false,
            #[cfg(all(feature = "tokio", not(any(loom, shuttle))))]
            Self::Suspended(suspended) => suspended.is_quiet(channels),
            #[allow(unreachable_patterns, reason = "in models there are no others")]
            Self::Waiting(_) | Self::Pausing(_) | Self::Gone => {
                self.until().is_none_or(|until| until > now)
            }
        }
    }

    #[cfg(all(feature = "tokio", not(any(loom, shuttle))))]
    pub(super) fn is_suspended(&self) -> bool {
        matches!(self, Self::Suspended(_))
    }

    #[cfg(not(all(feature = "tokio", not(any(loom, shuttle)))))]
    #[expect(clippy::unused_self, reason = "as that of the other one")]
    pub(super) fn is_suspended(&self) -> bool {
        false
    }
}

/// A call that has returned `Pending`, and what may wake it.
#[cfg(all(feature = "tokio", not(any(loom, shuttle))))]
pub(crate) struct Suspended {
    /// Returns whether a waker has woken the call since.
    pub(crate) is_woken: Box<dyn Fn() -> bool + Send + Sync>,
    /// Returns whether the call sleeps on the clock.
    pub(crate) is_asleep: Box<dyn Fn() -> bool + Send + Sync>,
    /// The channels of the requests that the call awaits, if it awaits nothing else.
    pub(crate) requests: Option<Vec<ChannelId>>,
}

#[cfg(all(feature = "tokio", not(any(loom, shuttle))))]
impl Suspended {
    fn is_quiet(&self, channels: &[ChannelId]) -> bool {
        let is_under_the_clock = |requests: &Vec<ChannelId>| {
            !requests.is_empty() && requests.iter().all(|request| channels.contains(request))
        };
        let ends_by_the_clock =
            (self.is_asleep)() || self.requests.as_ref().is_some_and(is_under_the_clock);
        // Read last: a waker sets the flag first.
        ends_by_the_clock && !(self.is_woken)()
    }
}
