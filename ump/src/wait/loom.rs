//! Wait policies of a loom model: they learn nothing and check once.

#![forbid(unsafe_code)]

use crate::sync::{AtomicU64, Ordering};

/// A spin policy that learns nothing.
#[derive(Debug)]
pub(crate) struct SpinPolicy;

/// The start of a sleep. Its length is not measured in a model.
pub(crate) struct SleepStart;

impl SpinPolicy {
    pub(crate) const fn of_thread(_: u32, _: u32) -> Self {
        Self
    }

    pub(crate) const fn of_costly_checks(_: u32, _: u32) -> Self {
        Self
    }

    pub(crate) const fn of_task(_: u32, _: u32) -> Self {
        Self
    }

    #[expect(clippy::unused_self, reason = "its twin needs it")]
    pub(crate) fn sleeps(&self) -> SleepStart {
        SleepStart
    }

    #[expect(clippy::unused_self, reason = "its twin needs it")]
    pub(crate) fn woken(&self, _: SleepStart) {}
}

/// A yield policy that alternates: the first waiter registers its waker at once, the second yields
/// once before it registers, and so on.
#[derive(Debug)]
pub(crate) struct YieldPolicy(AtomicU64);

#[derive(Debug, Default)]
pub(crate) enum YieldState {
    #[default]
    NotStarted,
    Registered,
}

impl YieldPolicy {
    pub(crate) const fn new(_: u32) -> Self {
        Self(AtomicU64::new(0))
    }

    // ORDERING: Relaxed for this operation and for that of `skip`: the counter is a hint and guards
    // no data.
    pub(crate) fn is_worth_it(&self) -> bool {
        self.0.load(Ordering::Relaxed) % 2 == 1
    }

    pub(crate) fn skip(&self, wait: &mut YieldState) {
        self.0.fetch_add(1, Ordering::Relaxed);
        *wait = YieldState::Registered;
    }

    pub(crate) fn should_yield(&self, wait: &mut YieldState) -> bool {
        let defers = matches!(wait, YieldState::NotStarted) && self.is_worth_it();
        if matches!(wait, YieldState::NotStarted) {
            self.skip(wait);
        }
        defers
    }

    #[expect(clippy::unused_self, reason = "the real one learns")]
    pub(crate) fn found(&self, wait: &mut YieldState) {
        *wait = YieldState::NotStarted;
    }
}

/// Does nothing: a model has no cache lines.
pub(crate) fn pause_for_peer() {}

/// Checks once: loom explores all orders, so a second check finds nothing new.
pub(crate) fn spin_until(_: &SpinPolicy, ready: impl Fn() -> bool) -> bool {
    ready()
}
