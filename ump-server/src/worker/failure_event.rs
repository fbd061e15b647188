//! What a loop reports of each failure of its handlers.

#![cfg_attr(
    feature = "serde",
    allow(clippy::ref_option_ref, reason = "in what serde derives")
)]

use std::{fmt, panic::Location, sync::Arc, time::Duration};

use crate::{JoinErrorKind, catch::catch_user_panic, worker::failure_policy::Next};

/// A failure of a handler, and what the loop does about it: as
/// [`on_failure`](crate::thread::Builder::on_failure) reports it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct FailureEvent {
    /// The loop's name; in a system, that of the component, with the number of the instance behind
    /// it if there are several.
    pub name: Arc<str>,
    /// The worker's number in a pool, from zero.
    pub worker: usize,
    /// What failed: the handler panicked, or its factory refused or panicked.
    pub failure: JoinErrorKind,
    /// What it was called for: what the handler [says](crate::thread::Handler::kind) of the
    /// request, `on_timer`, `init`, `term` or `drop`; `factory` if the handler was being made.
    pub during: &'static str,
    /// Where the request was made, of a batch the first one; `None` if it is no request.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serial::location"))]
    pub caller: Option<&'static Location<'static>>,
    /// What the loop does about it.
    pub decision: Decision,
    /// How often this worker has failed so far, this time included.
    pub failures: u64,
    /// How often its handler has been made anew so far, by failures and by renewals; this time not
    /// included.
    pub restarts: u64,
}

/// What a loop does about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Decision {
    /// The same handler goes on.
    Continue,
    /// The handler is made anew.
    Restart {
        /// After this pause.
        pause: Duration,
    },
    /// The loop ends: its policy does not restart it, or it was ending anyway. Joining it returns
    /// this failure.
    End,
    /// The loop ends, as it has failed more often than its policy, or that of its group, allows.
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
        write!(f, ": {failure}; failure {}, ", self.failures)?;
        match self.decision {
            Decision::Continue => f.write_str("the same handler goes on"),
            Decision::Restart { pause } => write!(f, "it is made anew after {pause:?}"),
            Decision::End => f.write_str("it ends"),
            Decision::GiveUp => f.write_str("it has failed too often and ends"),
        }
    }
}

/// Who is called for each failure, if anybody is.
#[derive(Clone, Default)]
pub(crate) struct OnFailure(Vec<Arc<dyn Fn(&FailureEvent) + Send + Sync>>);

impl OnFailure {
    /// Has this called too.
    pub(crate) fn add(&mut self, call: Arc<dyn Fn(&FailureEvent) + Send + Sync>) {
        self.0.push(call);
    }

    /// Calls the user's code: not to be called under a lock.
    pub(crate) fn report(&self, event: impl FnOnce() -> FailureEvent) {
        if self.0.is_empty() {
            return;
        }
        let event = event();
        for call in &self.0 {
            // One that panics is called again the next time; the panic hook has reported it.
            let _ = catch_user_panic(|| call(&event));
        }
    }
}

impl fmt::Debug for OnFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OnFailure({})", self.0.len())
    }
}
