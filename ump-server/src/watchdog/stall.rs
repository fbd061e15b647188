//! What the watchdog tells.

#![cfg_attr(
    feature = "serde",
    allow(clippy::ref_option_ref, reason = "in what serde derives")
)]

use std::{fmt, panic::Location, sync::Arc, time::Duration};

/// A handler that does not return control, as the [watchdog](crate::thread::Builder::watchdog) tells it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Stall {
    /// The loop's name.
    pub name: Arc<str>,
    /// The worker's number in a pool, from zero.
    pub worker: usize,
    /// What the handler [says](crate::thread::Handler::kind) of the request; `on_timer`, `init` or `term` if it is none.
    pub kind: &'static str,
    /// Where the request was made, of a batch the first one; `None` if it is no request.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serial::location"))]
    pub caller: Option<&'static Location<'static>>,
    /// For how long the handler has had control, by the loop's clock: at the time of looking, or in all if it is over.
    pub elapsed: Duration,
    /// What it was to be reported after.
    pub threshold: Duration,
    /// Which of the reports about it this is.
    pub stage: Stage,
}

/// Which of the reports about a stall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Stage {
    /// The first one.
    Noticed,
    /// It still goes on, for twice as long as at the last report or longer.
    Persists,
    /// The handler has returned control, or has panicked. The last one.
    Over,
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            worker,
            kind,
            elapsed,
            ..
        } = self;
        let what = match self.stage {
            Stage::Noticed => "has not returned control for",
            Stage::Persists => "has still not returned control, for",
            Stage::Over => "has returned control after",
        };
        write!(
            f,
            "server {name}, worker {worker}: {kind} {what} {elapsed:?}"
        )?;
        match self.caller {
            Some(caller) => write!(f, ", asked from {caller}"),
            None => Ok(()),
        }
    }
}
