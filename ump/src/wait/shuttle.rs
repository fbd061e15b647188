//! How a model of shuttle waits: chance decides how often it looks and whether it yields.

#![forbid(unsafe_code)]

use crate::sync::{one_in, times, yield_now};

/// There is nothing to learn in a model.
#[derive(Debug)]
pub(crate) struct SpinPolicy;

/// How long a sleep takes teaches nothing here.
pub(crate) struct SleepStart;

impl SpinPolicy {
    pub(crate) const fn of_thread(_: u32, _: u32) -> Self {
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

/// Whether a task lets others run before it leaves word, and how often, is left to chance.
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

/// Nothing to wait for.
pub(crate) fn pause_for_peer() {}

/// Looks a few times, and lets others run in between.
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
