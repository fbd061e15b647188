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
    /// The subscription ended because its queue was full, as
    /// [`WhenFull::Disconnect`](crate::WhenFull::Disconnect) says. Subscribe again to go on.
    #[error("the subscription was disconnected because its queue was full: subscribe again")]
    Disconnected,
    /// The router was closed, and every queued message was received.
    #[error("the router was closed")]
    Closed,
}
