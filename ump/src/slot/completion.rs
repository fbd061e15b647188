//! How the server's end completes a request.

#![forbid(unsafe_code)]

use crate::{error::NoReply, stats::Ending};

/// The outcome that the server's end publishes.
#[derive(Debug)]
pub(crate) enum Completion<R, E> {
    Reply(R),
    App(E),
    NoReply(NoReply),
    /// Taken, and dropped after the deadline: the caller was not owed a reply any more.
    Overdue,
    /// Never taken: the server is gone. The message is still in the slot.
    ServerDisappeared,
    /// Never taken: the deadline passed. The message is still in the slot.
    Expired,
}

impl<R, E> Completion<R, E> {
    /// Returns the counter for a request that was taken and has this completion. A post that is
    /// dropped counts as handled.
    #[inline]
    pub(super) fn ending(&self, post: bool) -> Ending {
        match self {
            Self::App(_) => Ending::Failed,
            Self::NoReply(NoReply::Panicked(_)) => Ending::Panicked,
            Self::NoReply(NoReply::Dropped) if post => Ending::Replied,
            Self::NoReply(_) => Ending::NoReply,
            Self::Overdue => Ending::TimeoutTaken,
            _ => Ending::Replied,
        }
    }

    /// Returns whether the message is still in the slot.
    pub(crate) fn is_untaken(&self) -> bool {
        matches!(self, Self::ServerDisappeared | Self::Expired)
    }
}

impl<R, E> From<Result<R, E>> for Completion<R, E> {
    fn from(answer: Result<R, E>) -> Self {
        match answer {
            Ok(reply) => Self::Reply(reply),
            Err(error) => Self::App(error),
        }
    }
}
