//! The report of how a system stopped.

use std::{fmt, time::Duration};

use crate::system::report::failure::Failure;
use crate::{InHand, JoinError, wait::executor::EXECUTOR};
use ump::hooks::Cycle;

/// The report of how the instances of a system stopped, in the order in which they were stopped:
/// dependents before the components that they need.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
#[must_use = "the report names the components that are still running"]
pub struct Report {
    /// One entry per instance.
    pub instances: Vec<StoppedInstance>,
    /// The permanent failures before the stop, in the order in which they occurred.
    pub failures: Vec<Failure>,
    /// The time that the stop took.
    pub took: Duration,
    /// Whether an instance did not end in time while the stop was waited for by
    /// [blocking](crate::system::Operation::wait) the thread of a current-thread runtime. The
    /// runtime's tasks do not run meanwhile, so they could not end: await the stop instead.
    pub executor_was_blocked: bool,
}

/// The outcome of the stop for one instance of a component.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct StoppedInstance {
    /// The name of the component.
    pub component: String,
    /// The number of the instance, from zero.
    pub instance: usize,
    /// The outcome.
    pub how: StopOutcome,
}

/// The outcome of the stop for an instance.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum StopOutcome {
    /// It ended when it was stopped: in time, or within the [grace](crate::system::Builder::grace)
    /// with an empty queue at the deadline.
    InOrder,
    /// It had ended by itself before it was stopped: its handler returned `Break`.
    Earlier,
    /// It was stopped earlier by [`System::stop_component`](crate::system::System::stop_component).
    StoppedAlone,
    /// It was stopped earlier because a group had given up: its own, or one that
    /// [stops the system](crate::system::Escalation::System). It had not failed itself.
    StoppedByGroup {
        /// The name of the group.
        group: String,
    },
    /// It failed, before or during the stop.
    Failed(JoinError),
    /// It had not ended in time, so its queued requests were rejected. Then it ended.
    Refused {
        /// The number of rejected requests.
        queued: u64,
    },
    /// It has not ended: the handler that waits for this stop runs in this instance, or a handler
    /// of this instance waits for that one. Contains the names of the servers in the cycle. The
    /// instance accepts no more requests, and ends once that handler has returned.
    WouldDeadlock(Cycle),
    /// On a task, its queued requests were rejected, and it still had not ended. So its calls in
    /// progress were [aborted](crate::Stop::Abort). Then it ended.
    Aborted {
        /// The number of rejected requests.
        queued: u64,
        /// The calls that were dropped at the point where they waited.
        in_hand: Vec<InHand>,
    },
    /// Its queued requests were rejected, and it still has not ended. A thread cannot be stopped
    /// from outside, nor can a handler on a task that does not yield control. It ends when its
    /// handler returns.
    StillRunning {
        /// The number of rejected requests.
        queued: u64,
        /// The calls that its handlers have not returned from: the kind, the location of the
        /// request, and the age.
        in_hand: Vec<InHand>,
    },
}

impl Report {
    /// Returns whether each instance ended in order: none had failed, had to be refused or aborted,
    /// had been stopped by a group, or is still running.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let is_in_order = |ended: &StoppedInstance| {
            use StopOutcome::{Earlier, InOrder, StoppedAlone};
            matches!(ended.how, InOrder | Earlier | StoppedAlone)
        };
        self.failures.is_empty() && self.instances.iter().all(is_in_order)
    }

    /// Returns the instances that have not ended.
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

/// Formats one line per instance, then one per failure.
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
            Self::Earlier => f.write_str("had ended by itself before the stop"),
            Self::StoppedAlone => f.write_str("had been stopped by `stop_component`"),
            Self::StoppedByGroup { group } => {
                write!(f, "had been stopped because group {group} gave up")
            }
            Self::Failed(error) => write!(f, "failed: {}", error.why()),
            Self::Refused { queued } => write!(f, "ended late; queued requests refused: {queued}"),
            Self::WouldDeadlock(cycle) => {
                write!(
                    f,
                    "is still running, because a wait for its end would deadlock: {cycle}"
                )
            }
            Self::Aborted { queued, in_hand } => {
                write!(f, "was aborted; queued requests refused: {queued}")?;
                for held in in_hand {
                    write!(f, "; had in hand: {held}")?;
                }
                Ok(())
            }
            Self::StillRunning { queued, in_hand } => {
                write!(f, "is still running; queued requests refused: {queued}")?;
                for held in in_hand {
                    write!(f, "; in hand: {held}")?;
                }
                Ok(())
            }
        }
    }
}
