//! What a worker looks like from outside.

#![cfg_attr(
    feature = "serde",
    allow(clippy::ref_option_ref, reason = "in what serde derives")
)]

use std::{fmt, panic::Location, time::Duration};

/// What a worker of a loop is doing, read without stopping it: out of date as soon as it is known. From
/// [`Stopper::workers`](crate::Stopper::workers).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct WorkerStatus {
    /// Its number in a pool, from zero.
    pub worker: usize,
    /// How far it has got in its life.
    pub state: WorkerState,
    /// How many requests it has done with, however they ended.
    pub processed: u64,
    /// How often its handler has been made anew.
    pub restarts: u64,
    /// What its handler is called for.
    pub in_hand: Option<InHand>,
}

/// How far a worker has got in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum WorkerState {
    /// Its handler is being made, or in `init`.
    Starting,
    /// It serves, or waits for something to serve.
    Serving,
    /// It waits before its handler is made anew.
    Pausing,
    /// Its handler is in `term`.
    Ending,
    /// It has ended.
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

/// What a handler is called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct InHand {
    /// What the handler [says](crate::thread::Handler::kind) of the request; `on_timer`, `init` or `term` if it is none.
    pub kind: &'static str,
    /// Where the request was made, of a batch the first one; `None` if it is no request.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serial::location"))]
    pub caller: Option<&'static Location<'static>>,
    /// How long it has been in hand, by the loop's clock; only if its calls are [timed](crate::thread::Builder::timed).
    pub age: Option<Duration>,
    /// Whether the handler has control. On a task it has not while it awaits something.
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
