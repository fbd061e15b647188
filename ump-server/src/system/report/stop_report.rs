//! How a system ended.

use std::{fmt, time::Duration};

use crate::system::supervise::failures::Failure;
use crate::{InHand, JoinError, wait::executor::EXECUTOR};
use ump::hooks::Cycle;

/// How the instances of a system ended, in the order in which they were told to: dependents before what they need.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
#[must_use = "it says what is still running"]
pub struct Report {
    /// Each instance that there was.
    pub instances: Vec<StoppedInstance>,
    /// Those that failed for good before they were told to end, in that order.
    pub failures: Vec<Failure>,
    /// How long it took.
    pub took: Duration,
    /// Something did not end in time, and the end was waited for by [blocking](super::Operation::wait) the thread of a current-thread runtime. Tasks of that do
    /// not run meanwhile, so they could not end: await the stop instead.
    pub executor_was_blocked: bool,
}

/// How one instance of a component ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct StoppedInstance {
    /// Which component.
    pub component: String,
    /// Which instance of it, from zero.
    pub instance: usize,
    /// How it ended.
    pub how: StopOutcome,
}

/// How an instance ended, or did not.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum StopOutcome {
    /// When it was told to: in time, or within the [grace](super::Builder::grace) with nothing in its queue by the deadline.
    InOrder,
    /// By itself, before it was told to: its handler broke off.
    Earlier,
    /// It was stopped before that, by [`System::stop_component`](super::System::stop_component).
    StoppedAlone,
    /// It was stopped before that, as a group had given up: its own, or one that [stops the system](super::Escalation::System). It had not failed itself.
    StoppedByGroup {
        /// Which group.
        group: String,
    },
    /// It failed, before it was told to end or while it did.
    Failed(JoinError),
    /// It had not ended in time, so what it still had in its queue was turned down. Then it ended.
    Refused {
        /// How many requests these were.
        queued: u64,
    },
    /// It has not ended: the handler that waits for this stop runs in this instance, or a handler of this instance waits for that one. Names the servers
    /// in the circle. The instance accepts nothing more, and ends once that handler has returned.
    WouldDeadlock(Cycle),
    /// On a task, its queue was turned down, and still it had not ended. So the calls that it had in hand were [aborted](crate::Stop::Abort). Then it ended.
    Aborted {
        /// How many requests were turned down.
        queued: u64,
        /// The calls that were dropped where they waited.
        in_hand: Vec<InHand>,
    },
    /// Its queue was turned down, and still it has not ended: it goes on. A thread cannot be stopped from outside, nor can a handler on a task that does not give
    /// control back; it ends when its handler returns.
    StillRunning {
        /// How many requests were turned down.
        queued: u64,
        /// What its handlers have not returned from: what it is, where the request was made, and since when.
        in_hand: Vec<InHand>,
    },
}

impl Report {
    /// Whether each instance ended in order: none had failed, had to be refused or aborted, had been stopped by a group, or is still running.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let is_in_order = |ended: &StoppedInstance| {
            use StopOutcome::{Earlier, InOrder, StoppedAlone};
            matches!(ended.how, InOrder | Earlier | StoppedAlone)
        };
        self.failures.is_empty() && self.instances.iter().all(is_in_order)
    }

    /// Those that have not ended.
    pub fn still_running(&self) -> impl Iterator<Item = &StoppedInstance> {
        let is_running = |ended: &&StoppedInstance| {
            matches!(
                ended.how,
                StopOutcome::StillRunning { .. } | StopOutcome::WouldDeadlock(_)
            )
        };
        self.instances.iter().filter(is_running)
    }
}

/// One line for each instance, then one for each failure.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the system stopped within {:?}", self.took)?;
        for ended in &self.instances {
            write!(f, "\n  {ended}")?;
        }
        for failure in &self.failures {
            write!(f, "\n  earlier: {failure}")?;
        }
        if self.executor_was_blocked {
            write!(f, "\n  note: {EXECUTOR}")?;
        }
        Ok(())
    }
}

impl fmt::Display for StoppedInstance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, instance {}, {}",
            self.component, self.instance, self.how
        )
    }
}

impl fmt::Display for StopOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InOrder => f.write_str("ended in order"),
            Self::Earlier => f.write_str("had ended by itself"),
            Self::StoppedAlone => f.write_str("had been stopped alone"),
            Self::StoppedByGroup { group } => {
                write!(f, "had been stopped, as group {group} had given up")
            }
            Self::Failed(error) => write!(f, "failed: {}", error.why()),
            Self::Refused { queued } => write!(f, "ended late, {queued} requests were refused"),
            Self::WouldDeadlock(circle) => {
                write!(
                    f,
                    "is still running, as this stop would wait for itself: {circle}"
                )
            }
            Self::Aborted { queued, in_hand } => {
                write!(f, "was aborted, {queued} requests were refused")?;
                for held in in_hand {
                    write!(f, "; had in hand: {held}")?;
                }
                Ok(())
            }
            Self::StillRunning { queued, in_hand } => {
                write!(f, "is still running, {queued} requests were refused")?;
                for held in in_hand {
                    write!(f, "; in hand: {held}")?;
                }
                Ok(())
            }
        }
    }
}
