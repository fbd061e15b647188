//! The TURN server (RFC 8656) as sans-IO tasks: they have no socket and no clock.
//!
//! ```text
//!                    packets of clients without an allocation
//!   listener socket ──────────────▶ Listener ── spawns ─▶ Allocation ◀────▶ its relayed socket
//!          ▲                        one for each worker   one for each        packets of peers
//!          │                            ▲                 allocation
//!          │                            └─── Notice: it has ended ──┤
//!          └──────────────────── packets of its client ─────────────┘
//! ```
//!
//! An [`Allocation`] owns the timers of its lifetime, its permissions and its channels; nothing
//! else has to look at them. Its first output is the event [`Event::Open`]: its driver opens a
//! socket, and answers with a command [`Opened`]. The client's packets go to it from then on.
//!
//! Both kinds of tasks share a [`Shared`]: what the operator has configured, and the
//! quotas, which an allocation gives back when it is dropped, even by a panic.

mod allocation;
mod answer;
mod challenges;
mod config;
mod counters;
mod credentials;
mod info;
mod listener;
mod nonce;
mod peers;
mod permissions;
mod quota;
mod recent;
mod shared;

use std::net::SocketAddr;

use ump_server::{bus::Channel, sans_io::SocketNumber, task_kinds};

use crate::stun::{TransactionId, attribute::Family};

#[allow(unused_imports, reason = "the tests use them all")]
pub(crate) use self::{
    allocation::Allocation,
    config::{Config, Lifetimes, Limits},
    counters::{Count, Counters, Counts},
    credentials::Credentials,
    info::{AllocationInfo, EndReason, Traffic},
    listener::Listener,
    peers::PeerPolicy,
    quota::Quota,
    shared::Shared,
};

/// A client: its address, and the socket of the server that it sends to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Client {
    pub(crate) socket: SocketNumber,
    pub(crate) address: SocketAddr,
}

/// The answer to [`Event::Open`]: the socket and its address, or the reason why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Opened(pub(crate) Result<(SocketNumber, SocketAddr), String>);

/// An event of an allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// It needs a socket for its peers. From now on it gets the packets of its client.
    Open {
        client: Client,
        family: Family,
        /// Whether the port has to be even.
        even_port: bool,
    },
    /// It has ended. Its socket is to be closed.
    Ended {
        client: Client,
        socket: Option<SocketNumber>,
        reason: EndReason,
    },
}

/// The message of an allocation to the listener of its worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// The allocation has ended.
    Ended {
        client: Client,
        /// The request of the client that has ended it, and the response. If the client has not
        /// got it, it asks again.
        last: Option<(TransactionId, Vec<u8>)>,
    },
}

/// The channel of the notices.
const NOTICES: Channel = Channel(0);

task_kinds! {
    /// The tasks of a worker.
    pub(crate) enum Relay, RelayCommand, RelayEvent {
        Listener(Listener),
        Allocation(Allocation),
    }
}
