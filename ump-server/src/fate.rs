//! What comes after a failure of a handler.

use std::time::{Duration, Instant};

use crate::{
    end::JoinErrorKind,
    panics::{Failures, OnPanic},
};

/// What a loop does next.
#[derive(Debug)]
pub(crate) enum Next {
    /// Makes another handler, after this pause.
    Restart(Duration),
    End(JoinErrorKind),
}

/// Decides it, by the policy and by what has happened so far.
#[derive(Debug)]
pub(crate) enum Fate {
    Stop,
    Continue,
    Restart(Failures),
}

impl Fate {
    pub(crate) fn new(policy: &OnPanic) -> Self {
        match policy {
            OnPanic::Stop => Self::Stop,
            OnPanic::Continue => Self::Continue,
            OnPanic::Restart(restart) => Self::Restart(Failures::new(restart.clone())),
        }
    }

    /// Whether a handler that has panicked goes on as it is.
    pub(crate) fn goes_on(&self) -> bool {
        matches!(self, Self::Continue)
    }

    /// What comes after a failure that left no handler.
    pub(crate) fn after(&mut self, failure: JoinErrorKind, now: Instant) -> Next {
        match self {
            Self::Stop | Self::Continue => Next::End(failure),
            Self::Restart(failures) => match failures.count(now) {
                Some(pause) => Next::Restart(pause),
                None => Next::End(JoinErrorKind::GaveUp(Box::new(failure))),
            },
        }
    }
}
