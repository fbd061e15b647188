//! The settings, commands and events of a session.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use ipnet::IpNet;

use super::super::codec::{Attributes, Code, Families, Family, Notification, Update};

/// The settings of a session.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) local_system: u32,
    pub(crate) identifier: Ipv4Addr,
    pub(crate) peer: SocketAddr,
    pub(crate) peer_system: u32,
    /// It only waits for the neighbour to connect.
    pub(crate) is_passive: bool,
    pub(crate) families: Families,
    /// The proposed hold time: zero, or at least three seconds. The lower one of both proposals
    /// counts.
    pub(crate) hold: Duration,
    /// The time for an attempt to connect, and between two of them.
    pub(crate) connect_retry: Duration,
    /// The pause after a failed session: at first, and at most.
    pub(crate) pauses: (Duration, Duration),
    /// Our address for routes of its family. Without it, it is the address of the connection. The
    /// application uses it.
    pub(crate) next_hop: Option<IpAddr>,
    /// The number of prefixes that the neighbour may announce. The application checks it.
    pub(crate) max_prefixes: usize,
    /// The seed of the jitter.
    pub(crate) seed: u64,
}

impl Config {
    /// Returns the settings of a neighbour, with the usual times.
    pub(crate) fn new(
        (local_system, identifier): (u32, Ipv4Addr),
        (peer, peer_system): (SocketAddr, u32),
    ) -> Self {
        Self {
            local_system,
            identifier,
            peer,
            peer_system,
            is_passive: false,
            families: Families::BOTH,
            hold: Duration::from_secs(90),
            connect_retry: Duration::from_secs(30),
            pauses: (Duration::from_secs(1), Duration::from_secs(120)),
            next_hop: None,
            max_prefixes: usize::MAX,
            seed: 0,
        }
    }

    pub(crate) fn is_internal(&self) -> bool {
        self.local_system == self.peer_system
    }
}

/// The state of a session: that of its more advanced connection (RFC 4271, 8.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// Stopped, or pausing after a failure. It refuses connections.
    Idle,
    /// Waits for the neighbour to connect, and for the next attempt.
    Active,
    /// Connects.
    Connect,
    /// Has sent an OPEN.
    OpenSent,
    /// Has received an OPEN as well.
    OpenConfirm,
    Established,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Idle => "idle",
            Self::Active => "active",
            Self::Connect => "connect",
            Self::OpenSent => "open-sent",
            Self::OpenConfirm => "open-confirm",
            Self::Established => "established",
        })
    }
}

/// A command of the application.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    /// Starts a session that was stopped. A new session has started by itself.
    Start,
    /// Stops the session until [`Start`](Self::Start), with a notification of this code.
    Stop(Code),
    /// Ends the session with a notification of this code, and begins another one after a pause.
    Reset(Code),
    /// Announces prefixes of one family. Ignored unless the session is established.
    Announce {
        attributes: Arc<Attributes>,
        next_hop: IpAddr,
        prefixes: Vec<IpNet>,
    },
    /// Withdraws prefixes of one family. Ignored unless the session is established.
    Withdraw(Vec<IpNet>),
    /// Tells the neighbour that all routes of a family were announced.
    EndOfRib(Family),
    /// Requests all routes of a family again.
    Refresh(Family),
}

/// An event for the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The session is in another state.
    State(State),
    /// The session is established.
    Up(Up),
    /// Routes have changed.
    Update(Update),
    /// The neighbour requests all routes of a family again.
    Refresh(Family),
    /// The neighbour reads more slowly than the speaker sends routes. The speaker sends no more
    /// until [`Writable`](Self::Writable).
    Blocked,
    Writable,
    /// The established session has ended, and with it the neighbour's routes.
    Down(End),
    /// A session has ended before it was established.
    Failed(End),
}

/// The agreement of two neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Up {
    pub(crate) identifier: Ipv4Addr,
    pub(crate) local: IpAddr,
    pub(crate) families: Families,
    pub(crate) hold: Duration,
    pub(crate) four_octets: bool,
    pub(crate) route_refresh: bool,
}

/// Why a connection has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Sent(Notification),
    Received(Notification),
    /// The stream was closed, or has failed.
    Closed(String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sent(notification) => write!(f, "sent {notification}"),
            Self::Received(notification) => write!(f, "received {notification}"),
            Self::Closed(reason) => f.write_str(reason),
        }
    }
}

/// The counters of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Attempts to connect.
    pub(crate) attempts: u64,
    /// Sessions that were established.
    pub(crate) ups: u64,
    /// Established sessions that have ended.
    pub(crate) downs: u64,
    pub(crate) messages_in: u64,
    pub(crate) messages_out: u64,
    pub(crate) updates_in: u64,
    pub(crate) updates_out: u64,
    /// Attributes that were faulty, without an end of the session.
    pub(crate) faults: u64,
    /// Connections that were refused, or lost against another one.
    pub(crate) refused: u64,
}
