//! The past stalls of a component's handlers.

#![cfg_attr(
    feature = "serde",
    allow(clippy::ref_option_ref, reason = "in what serde derives")
)]

use std::{panic::Location, time::Duration};

use crate::watchdog::Stage;

/// A stall that the watchdog noticed: see
/// [`InstanceStatus::stalls`](crate::system::InstanceStatus).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct PastStall {
    /// The time since the watchdog noticed the stall, by the clock of the system.
    pub age: Duration,
    /// The worker's number in a pool, from zero.
    pub worker: usize,
    /// The kind of the call: see [`Stall::kind`](crate::watchdog::Stall::kind).
    pub kind: &'static str,
    /// The location where the request was made. `None` if the call is not for a request.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serial::location"))]
    pub caller: Option<&'static Location<'static>>,
    /// The time for which the handler had control, as of the last report.
    pub elapsed: Duration,
    /// The stage of the last report.
    pub stage: Stage,
}
