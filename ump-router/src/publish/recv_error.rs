//! Why a subscriber received no message.

/// The reason why receiving returned no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum RecvError {
    /// This many messages are missing here, because the queue had no room for them. The next
    /// message came after them; the subscription goes on.
    #[error(
        "the subscription missed {0} message{s}: receive faster, or raise its capacity",
        s = if *.0 == 1 { "" } else { "s" }
    )]
    Missed(u64),
    /// A link to another router was lost here. Messages of that router are missing, from here until
    /// the link is restored; how many is not known. The subscription goes on.
    #[error("the link to another router was lost: an unknown number of messages is missing here")]
    Interrupted,
    /// The subscription ended because its queue was full, as
    /// [`WhenFull::Disconnect`](crate::WhenFull::Disconnect) says. Subscribe again to go on.
    #[error("the subscription was disconnected because its queue was full: subscribe again")]
    Disconnected,
    /// The subscription was closed by its [handle](crate::CloseHandle), and every queued message
    /// was received.
    #[error("the subscription was closed by its handle")]
    Unsubscribed,
    /// The router was closed, and every queued message was received.
    #[error("the router was closed")]
    Closed,
}

impl RecvError {
    /// Returns whether the subscription has ended, so that nothing comes any more.
    #[must_use]
    pub fn is_end(&self) -> bool {
        !matches!(self, Self::Missed(_) | Self::Interrupted)
    }
}
