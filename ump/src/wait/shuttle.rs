//! Wait policies of a shuttle model: random numbers decide how often a waiter checks and whether it
//! yields.

#![forbid(unsafe_code)]

use crate::sync::{one_in, times, yield_now};

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

/// A yield policy that decides at random whether a task yields before it registers its waker.
#[derive(Debug)]
pub(crate) struct YieldPolicy;

#[derive(Debug, Default)]
pub(crate) enum YieldState {
    #[default]
    NotStarted,
    Registered,
}

impl YieldPolicy {
    pub(crate) const fn new(_: u32) -> Self {
        Self
    }

    #[expect(clippy::unused_self, reason = "the real ones learn")]
    pub(crate) fn is_worth_it(&self) -> bool {
        one_in(2)
    }

    #[expect(clippy::unused_self, reason = "the real ones learn")]
    pub(crate) fn skip(&self, wait: &mut YieldState) {
        *wait = YieldState::Registered;
    }

    pub(crate) fn should_yield(&self, wait: &mut YieldState) -> bool {
        let defers = matches!(wait, YieldState::NotStarted) && self.is_worth_it();
        if defers {
            yield_now();
        } else {
            self.skip(wait);
        }
        defers
    }

    #[expect(clippy::unused_self, reason = "the real ones learn")]
    pub(crate) fn found(&self, wait: &mut YieldState) {
        *wait = YieldState::NotStarted;
    }
}

/// Does nothing: a model has no cache lines.
pub(crate) fn pause_for_peer() {}

/// Checks a few times, and yields in between.
pub(crate) fn spin_until(_: &SpinPolicy, ready: impl Fn() -> bool) -> bool {
    let looks = times();
    let in_vain = (0..looks).all(|_| {
        let found = ready();
        if !found {
            yield_now();
        }
        !found
    });
    !in_vain || ready()
}
