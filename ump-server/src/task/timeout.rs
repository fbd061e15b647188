//! How long a handler may take for one request.

use std::time::Duration;

/// What a loop on a task does when its handler has taken too long for a request. Whatever it is,
/// the call has been dropped where it waited, and its caller has got
/// [`NoReply::TimedOut`](ump::NoReply::TimedOut).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "config", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "config", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum OnTimeout {
    /// The loop goes on with the same handler. Right for a handler that stays in order wherever it
    /// awaits something: what it was about to change there is changed by half.
    #[default]
    Continue,
    /// It counts as a failure of the handler, like a panic: what follows is as
    /// [`OnPanic`](crate::OnPanic) says. A loop that ends for it says
    /// [`JoinErrorKind::TimedOut`](crate::JoinErrorKind::TimedOut).
    Fail,
}

/// What a loop was told of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RequestLimit {
    /// None: as long as it takes.
    pub(super) timeout: Option<Duration>,
    pub(super) on_timeout: OnTimeout,
}
