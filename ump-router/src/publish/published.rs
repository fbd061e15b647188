//! How many subscriptions a message reached.

/// How many subscriptions a message reached. From publishing it.
///
/// `matched == queued + dropped`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Published {
    /// The number of subscriptions whose pattern matches.
    pub matched: usize,
    /// The number of these whose queue took the message, perhaps in place of another one.
    pub queued: usize,
    /// The number of these that had no room for it. Their subscribers learn that they missed it.
    pub dropped: usize,
}
