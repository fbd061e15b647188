//! How much a peer may have at a time.

use std::fmt;

/// What a quota limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Quota {
    /// Connections that are open.
    Connections,
    /// Subscriptions of the peer.
    Subscriptions,
    /// Topics that the peer serves.
    ServedTopics,
    /// Requests of the peer that have no answer.
    PendingRequests,
    /// Bytes that wait to be sent to the peer.
    QueuedBytes,
    /// Messages of the peer that are retained here, also those of its former connections.
    RetainedMessages,
}

/// How much a peer may have at a time, over all its connections. By default 256 connections, and
/// all else without limits; those of each [session](crate::link::session::Config::limits) apply in
/// any case.
///
/// The connections of one user (unix sockets), of one set of names (TLS), or of one IP address
/// (anonymous peers) count together, at all listeners of a router and with the links that it has
/// connected. The loopback addresses are one, and so are IPv6 addresses with the same first 64
/// bits. So one peer does not take all of the 1024 links of a listener.
///
/// If a quota is used up, the operation is refused, and the reason names the quota. A quota is
/// checked before each operation, so a lower one ends nothing that is there.
///
/// - A connection is ended with the reason *limit*.
/// - A subscription or served topic gets the status *quota*.
/// - A request fails as *full*. So it does while the peer has more queued bytes than it may: it
///   does not read its replies.
/// - Publications to a peer that has too many queued bytes wait, and then are
///   [missed](crate::RecvError::Missed).
/// - A message that is to be retained is refused with the status *quota*, and the subscriptions
///   that there are receive it. One that replaces a message of the same peer is retained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Quotas {
    /// The maximum number of connections: 256 by default.
    pub connections: usize,
    /// The maximum number of subscriptions.
    pub subscriptions: usize,
    /// The maximum number of served topics.
    pub served_topics: usize,
    /// The maximum number of requests without an answer.
    pub pending_requests: usize,
    /// The maximum bytes that wait to be sent.
    pub queued_bytes: usize,
    /// The maximum number of retained messages: 16,384 by default. It is for links that were
    /// accepted; what the router at the other end of a connected link retains is limited by
    /// [`max_retained`](super::super::ConnectOptions::max_retained) alone.
    pub retained_messages: usize,
}

/// A quarter of the links of a listener.
const DEFAULT_CONNECTIONS: usize = 256;

/// A quarter of what all peers together may retain by default.
const DEFAULT_RETAINED: usize = 1 << 14;

impl Default for Quotas {
    fn default() -> Self {
        Self {
            connections: DEFAULT_CONNECTIONS,
            subscriptions: usize::MAX,
            served_topics: usize::MAX,
            pending_requests: usize::MAX,
            queued_bytes: usize::MAX,
            retained_messages: DEFAULT_RETAINED,
        }
    }
}

impl Quotas {
    /// Returns the default quotas. To have none, [limit](Self::limit) the connections and the
    /// retained messages to [`usize::MAX`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a quota.
    #[must_use]
    pub fn limit(mut self, quota: Quota, limit: usize) -> Self {
        *match quota {
            Quota::Connections => &mut self.connections,
            Quota::Subscriptions => &mut self.subscriptions,
            Quota::ServedTopics => &mut self.served_topics,
            Quota::PendingRequests => &mut self.pending_requests,
            Quota::QueuedBytes => &mut self.queued_bytes,
            Quota::RetainedMessages => &mut self.retained_messages,
        } = limit;
        self
    }

    /// Returns a quota.
    #[must_use]
    pub fn of(&self, quota: Quota) -> usize {
        match quota {
            Quota::Connections => self.connections,
            Quota::Subscriptions => self.subscriptions,
            Quota::ServedTopics => self.served_topics,
            Quota::PendingRequests => self.pending_requests,
            Quota::QueuedBytes => self.queued_bytes,
            Quota::RetainedMessages => self.retained_messages,
        }
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connections => "connections",
            Self::Subscriptions => "subscriptions",
            Self::ServedTopics => "served topics",
            Self::PendingRequests => "pending requests",
            Self::QueuedBytes => "queued bytes",
            Self::RetainedMessages => "retained messages",
        })
    }
}
