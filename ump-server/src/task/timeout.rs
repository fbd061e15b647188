//! The time limit of a handler for one request.

use std::time::Duration;

/// The reaction of a loop on a task to a handler that has taken too long for a request.
///
/// With either policy, the call has been dropped where it waited, and its caller has got
/// [`NoReply::TimedOut`](ump::NoReply::TimedOut).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "config", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "config", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum OnTimeout {
    /// The loop goes on with the same handler. Use this for a handler whose state is consistent
    /// wherever it awaits something: a change that was in progress there stays half done.
    #[default]
    Continue,
    /// The time-out counts as a failure of the handler, like a panic: [`OnPanic`](crate::OnPanic)
    /// decides what follows. If the loop ends for it, joining returns
    /// [`JoinErrorKind::TimedOut`](crate::JoinErrorKind::TimedOut).
    Fail,
}

/// The time limit that a loop was built with.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RequestLimit {
    /// `None`: no limit.
    pub(super) timeout: Option<Duration>,
    pub(super) on_timeout: OnTimeout,
}
