//! The decision of a loop after a failure of a handler.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    worker::join_error::JoinErrorKind,
    worker::on_panic::{OnPanic, RestartCounter},
};

/// The decision of a loop after a failure.
#[derive(Debug)]
pub(crate) enum Next {
    /// Rebuilds the handler after this pause.
    Restart(Duration),
    End(JoinErrorKind),
}

/// Decides about the failures of a loop's handlers, with the final word over the loop's own policy.
///
/// Its method is called on the loop's thread or task, so it must not wait.
pub(crate) trait Supervisor: Send + Sync {
    /// Returns what the loop does after a failure that left no handler. `own` is the decision of
    /// the loop's own policy.
    fn failed(&self, failure: &JoinErrorKind, now: Instant, own: Next) -> Next;
}

/// Decides what follows a failure, by the policy, by the failures so far, and by the supervisor, if
/// any.
pub(crate) struct FailurePolicy {
    policy: Policy,
    supervisor: Option<Arc<dyn Supervisor>>,
}

#[derive(Debug)]
enum Policy {
    Stop,
    Continue,
    Restart(RestartCounter),
}

impl FailurePolicy {
    pub(crate) fn new(policy: &OnPanic, supervisor: Option<Arc<dyn Supervisor>>) -> Self {
        let policy = match policy {
            OnPanic::Stop => Policy::Stop,
            OnPanic::Continue => Policy::Continue,
            OnPanic::Restart(restart) => Policy::Restart(RestartCounter::new(restart.clone())),
        };
        Self { policy, supervisor }
    }

    /// Returns whether a handler goes on as it is after a panic.
    pub(crate) fn goes_on(&self) -> bool {
        matches!(self.policy, Policy::Continue)
    }

    /// Returns what the loop does after a failure that left no handler.
    pub(crate) fn after(&mut self, failure: &JoinErrorKind, now: Instant) -> Next {
        let own = match &mut self.policy {
            Policy::Stop | Policy::Continue => Next::End(failure.clone()),
            Policy::Restart(failures) => match failures.count(now) {
                Some(pause) => Next::Restart(pause),
                None => Next::End(JoinErrorKind::GaveUp(Box::new(failure.clone()))),
            },
        };
        match &self.supervisor {
            Some(supervisor) => supervisor.failed(failure, now, own),
            None => own,
        }
    }
}

impl fmt::Debug for FailurePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailurePolicy")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for dyn Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Supervisor")
    }
}
