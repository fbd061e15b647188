//! What a link does, as plain data.

use std::{sync::Arc, time::Instant};

use super::{access::Identity, error::LinkFailure};
use crate::link::session::Traffic;

/// What a link does now, and what has gone over it. From [`Link::status`](super::Link::status) and
/// [`Listener::links`](super::Listener::links).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct LinkStatus {
    /// The name of the link, as in [errors](crate::LinkError).
    pub name: Arc<str>,
    /// What it does now.
    pub state: LinkState,
    /// What the other router has sent, over all connections of the link.
    pub received: Traffic,
    /// What was sent to the other router, over all connections of the link.
    pub sent: Traffic,
    /// The bytes that wait to be sent. Messages that wait in the queues of
    /// [subscriptions](crate::SubscriptionStatus::depth) are not encoded yet, and do not count.
    pub queued_bytes: usize,
}

/// What a link does. From [`Link::state`](super::Link::state) and [`LinkWatch`](super::LinkWatch).
///
/// Times are by the clock of the router.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LinkState {
    /// It looks for the addresses of the host.
    Resolving,
    /// It connects.
    Connecting,
    /// It is connected, and the handshake of TLS or the hello of the other end is still to come.
    Handshake,
    /// The other router has said hello.
    #[non_exhaustive]
    Open {
        /// The other router, as the socket or its certificate says.
        identity: Identity,
        /// The name of its program, as it says itself; perhaps empty.
        program: String,
        /// Since when.
        since: Instant,
        /// Whether it has told what it has: [`Link::opened`](super::Link::opened) is ready.
        is_ready: bool,
    },
    /// It was lost or not made, and is made again at this time.
    #[non_exhaustive]
    Waiting {
        /// The reason, as [`Link::last_failure`](super::Link::last_failure).
        failure: Option<LinkFailure>,
        /// When it connects again.
        retry_at: Instant,
    },
    /// Another link to the same router is used. This one looks for it now and then, and follows
    /// when that one is lost.
    #[non_exhaustive]
    StandingBy {
        /// The name of the link that is used.
        link: Arc<str>,
    },
    /// A session ends: what waits is sent. A link that is not closed for good connects again after
    /// that.
    Closing,
    /// It is closed for good, or its router was closed. This is the last state.
    Closed,
}

impl LinkState {
    /// Returns whether the link is used, and the other router has told what it has.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self, Self::Open { is_ready: true, .. })
    }
}
