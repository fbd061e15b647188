//! The status of a worker, as other threads see it.

#![cfg_attr(
    feature = "serde",
    allow(clippy::ref_option_ref, reason = "in what serde derives")
)]

use std::{fmt, panic::Location, time::Duration};

/// The status of a worker of a loop, read without stopping the worker. It may be out of date as
/// soon as it is returned. From [`Stopper::workers`](crate::Stopper::workers).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct WorkerStatus {
    /// Its number in a pool, from zero.
    pub worker: usize,
    /// The phase of the worker's life.
    pub state: WorkerState,
    /// The number of requests whose call has ended, with any outcome.
    pub processed: u64,
    /// How often the handler has been rebuilt.
    pub restarts: u64,
    /// The handler's current call.
    pub in_hand: Option<InHand>,
}

/// The phase of a worker's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum WorkerState {
    /// The handler is being built, or is in `init`.
    Starting,
    /// The worker handles requests, or waits for them.
    Serving,
    /// The worker pauses before its handler is rebuilt.
    Pausing,
    /// The handler is in `term`.
    Ending,
    /// The worker has ended.
    Ended,
}

impl WorkerState {
    pub(super) fn from_number(number: u8) -> Self {
        const ALL: [WorkerState; 5] = [
            WorkerState::Starting,
            WorkerState::Serving,
            WorkerState::Pausing,
            WorkerState::Ending,
            WorkerState::Ended,
        ];
        ALL.get(usize::from(number)).copied().unwrap_or(Self::Ended)
    }
}

/// The current call of a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct InHand {
    /// The kind of the request, as the handler [names it](crate::thread::Handler::kind); otherwise
    /// `on_timer`, `on_socket`, `on_ready`, `init` or `term`.
    pub kind: &'static str,
    /// The location where the request was made, in a batch that of the first; `None` if the call is
    /// not for a request.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serial::location"))]
    pub caller: Option<&'static Location<'static>>,
    /// The time since the call began, by the loop's clock. If calls are not
    /// [timed](crate::thread::Builder::timed), it is the time since the first status that showed
    /// the call; that one has `None`.
    pub age: Option<Duration>,
    /// Whether the handler has control. On a task it does not while it awaits something.
    pub is_running: bool,
}

impl fmt::Display for InHand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind)?;
        if let Some(caller) = self.caller {
            write!(f, " from {caller}")?;
        }
        if let Some(age) = self.age {
            write!(f, ", for {age:?}")?;
        }
        Ok(())
    }
}
