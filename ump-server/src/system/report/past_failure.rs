//! The past failures of a component's handlers.

use std::time::Duration;

use crate::Decision;

/// A past failure of a handler: see [`InstanceStatus::failures`](crate::system::InstanceStatus).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct PastFailure {
    /// The time since the failure, by the clock of the system.
    pub age: Duration,
    /// The reason, in words.
    pub reason: String,
    /// The decision about the failure, by the policy of the component or by its group.
    pub decision: Decision,
}
