//! The reports of the watchdog.

#![cfg_attr(
    feature = "serde",
    allow(clippy::ref_option_ref, reason = "in what serde derives")
)]

use std::{fmt, panic::Location, sync::Arc, time::Duration};

/// A report of the [watchdog](crate::thread::Builder::watchdog): a handler does not return control.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Stall {
    /// The loop's name.
    pub name: Arc<str>,
    /// The worker's number in a pool, from zero.
    pub worker: usize,
    /// The kind of the request, as the handler [names it](crate::thread::Handler::kind); otherwise
    /// `on_timer`, `init` or `term`.
    pub kind: &'static str,
    /// The location where the request was made, in a batch that of the first; `None` if the call is
    /// not for a request.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serial::location"))]
    pub caller: Option<&'static Location<'static>>,
    /// The time for which the handler has had control, by the loop's clock: so far, or in all if
    /// the stage is [`Over`](Stage::Over).
    pub elapsed: Duration,
    /// The threshold of the loop.
    pub threshold: Duration,
    /// The stage of the stall that this report is for.
    pub stage: Stage,
}

/// The stage of a stall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Stage {
    /// The first report.
    Noticed,
    /// A further report: the handler still has control, for at least twice as long as at the last
    /// report.
    Persists,
    /// The last report: the handler has returned control, or has panicked.
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
