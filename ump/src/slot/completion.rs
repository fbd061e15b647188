//! How the server's end completes a request.

#![forbid(unsafe_code)]

use crate::{error::NoReply, stats::Ending};

/// What the server's end says in the end.
#[derive(Debug)]
pub(crate) enum Completion<R, E> {
    Reply(R),
    App(E),
    NoReply(NoReply),
    /// Taken, and let go of after the deadline: nobody was owed a reply any more.
    Overdue,
    /// Never taken: the server went. The message is still in the slot.
    ServerDisappeared,
    /// Never taken: the deadline passed. The message is still in the slot.
    Expired,
}

impl<R, E> Completion<R, E> {
    /// The column of the counters, for completions on requests that were taken. For a post letting go is handling.
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

    /// Whether the message is still in the slot.
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
