//! How a model of loom waits: it learns nothing, and looks once.

#![forbid(unsafe_code)]

use crate::sync::{AtomicU64, Ordering};

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

/// Of those that begin to wait the first leaves word, the second lets others run once before it does, and so on in turn.
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

/// Nothing to wait for.
pub(crate) fn pause_for_peer() {}

/// Looks once: loom explores the orders, so looking twice finds nothing new.
pub(crate) fn spin_until(_: &SpinPolicy, ready: impl Fn() -> bool) -> bool {
    ready()
}
