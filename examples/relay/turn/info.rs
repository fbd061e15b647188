//! The information about an allocation for the operator.

use std::{net::SocketAddr, sync::Arc, time::Duration};

/// The traffic of an allocation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// The datagrams from the client to peers.
    pub(crate) sent: u64,
    pub(crate) sent_bytes: u64,
    /// The datagrams from peers to the client.
    pub(crate) received: u64,
    pub(crate) received_bytes: u64,
}

/// The information about an allocation for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AllocationInfo {
    pub(crate) user: Arc<str>,
    pub(crate) client: SocketAddr,
    pub(crate) relayed: Option<SocketAddr>,
    pub(crate) expires_in: Duration,
    pub(crate) permissions: usize,
    pub(crate) channels: usize,
    pub(crate) traffic: Traffic,
}

/// Why an allocation has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndReason {
    /// The client has deleted it.
    Deleted,
    /// The client has not refreshed it.
    Expired,
    /// It has got no socket.
    NoSocket,
    /// The server stops.
    Stopped,
}
