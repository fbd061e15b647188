//! The event that a loop reports for each failure of its handlers.

#![cfg_attr(
    feature = "serde",
    allow(clippy::ref_option_ref, reason = "in what serde derives")
)]

use std::{fmt, panic::Location, sync::Arc, time::Duration};

use crate::{JoinErrorKind, catch::catch_user_panic, worker::failure_policy::Next};

/// A failure of a handler, with the loop's decision: the event that
/// [`on_failure`](crate::thread::Builder::on_failure) reports.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct FailureEvent {
    /// The loop's name. In a system it is the name of the component, followed by the number of the
    /// instance if there are several.
    pub name: Arc<str>,
    /// The worker's number in a pool, from zero.
    pub worker: usize,
    /// The failure: the handler panicked or took too long for a request, or its factory refused or
    /// panicked.
    pub failure: JoinErrorKind,
    /// The kind of the call that failed: the [kind](crate::thread::Handler::kind) of the request,
    /// or `on_timer`, `init`, `term` or `drop`. It is `factory` if the handler was being made.
    pub during: &'static str,
    /// The place where the request was made; for a batch, that of its first request. `None` if the
    /// call was not for a request.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serial::location"))]
    pub caller: Option<&'static Location<'static>>,
    /// The decision of the loop.
    pub decision: Decision,
    /// The number of failures of this worker so far, this one included.
    pub failures: u64,
    /// How often this worker's handler has been rebuilt so far, after failures and by renewals. The
    /// restart that follows this failure is not included.
    pub restarts: u64,
}

/// The decision of a loop about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Decision {
    /// The loop goes on with the same handler.
    Continue,
    /// The loop rebuilds the handler.
    Restart {
        /// The pause before the handler is rebuilt.
        pause: Duration,
    },
    /// The loop ends: its policy does not restart the handler, or the loop was ending anyway.
    /// Joining it returns this failure.
    End,
    /// The loop ends: it has failed more often than its policy, or that of its group, allows.
    GiveUp,
}

impl Decision {
    pub(crate) fn of(next: &Next) -> Self {
        match *next {
            Next::Restart(pause) => Self::Restart { pause },
            Next::End(JoinErrorKind::GaveUp(_)) => Self::GiveUp,
            Next::End(_) => Self::End,
        }
    }
}

impl fmt::Display for FailureEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            worker,
            failure,
            during,
            ..
        } = self;
        write!(f, "server {name}, worker {worker}, {during}")?;
        if let Some(caller) = self.caller {
            write!(f, " asked from {caller}")?;
        }
        write!(f, ": {failure}; failure {}: ", self.failures)?;
        match self.decision {
            Decision::Continue => f.write_str("the same handler goes on"),
            Decision::Restart { pause } => write!(f, "the handler is rebuilt after {pause:?}"),
            Decision::End => f.write_str("the loop ends"),
            Decision::GiveUp => f.write_str("the loop has failed too often and ends"),
        }
    }
}

/// The callbacks for failures.
#[derive(Clone, Default)]
pub(crate) struct OnFailure(Vec<Arc<dyn Fn(&FailureEvent) + Send + Sync>>);

impl OnFailure {
    /// Adds a callback.
    pub(crate) fn add(&mut self, call: Arc<dyn Fn(&FailureEvent) + Send + Sync>) {
        self.0.push(call);
    }

    /// Calls the callbacks, which are user code. The caller must not hold a lock.
    pub(crate) fn report(&self, event: impl FnOnce() -> FailureEvent) {
        if self.0.is_empty() {
            return;
        }
        let event = event();
        for call in &self.0 {
            // A callback that panics is called again for the next failure. The panic hook has
            // reported it.
            catch_user_panic(|| call(&event));
        }
    }
}

impl fmt::Debug for OnFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OnFailure({})", self.0.len())
    }
}
