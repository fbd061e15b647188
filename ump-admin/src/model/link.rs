//! Links to other routers.

use std::time::Instant;

use serde::Serialize;
use ump_router::link::{
    session::Traffic,
    sockets::{LinkState, LinkStatus},
};

/// A link to another router.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Link {
    pub(crate) name: String,
    pub(crate) state: &'static str,
    /// The other router, and why the link is not open.
    pub(crate) peer: Option<String>,
    pub(crate) program: Option<String>,
    pub(crate) detail: Option<String>,
    pub(crate) is_ready: bool,
    pub(crate) open_for_s: Option<f64>,
    pub(crate) received: Direction,
    pub(crate) sent: Direction,
    pub(crate) queued_bytes: usize,
}

/// What has gone over a link in one direction.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Direction {
    pub(crate) bytes: u64,
    pub(crate) frames: u64,
    pub(crate) messages: u64,
    pub(crate) missed: u64,
}

impl Link {
    /// Returns whether nothing but the age is different.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let of = |it: &Self| (it.state, it.is_ready, it.queued_bytes);
        of(self) == of(other)
            && (&self.name, &self.peer, &self.detail) == (&other.name, &other.peer, &other.detail)
            && (&self.sent, &self.received) == (&other.sent, &other.received)
    }
}

impl From<LinkStatus> for Link {
    fn from(status: LinkStatus) -> Self {
        let mut link = Self {
            name: status.name.to_string(),
            state: "closed",
            peer: None,
            program: None,
            detail: None,
            is_ready: status.state.is_ready(),
            open_for_s: None,
            received: status.received.into(),
            sent: status.sent.into(),
            queued_bytes: status.queued_bytes,
        };
        match status.state {
            LinkState::Resolving => link.state = "resolving",
            LinkState::Connecting => link.state = "connecting",
            LinkState::Handshake => link.state = "handshake",
            LinkState::Open {
                identity,
                program,
                since,
                ..
            } => {
                link.state = "open";
                link.peer = Some(identity.to_string());
                link.program = Some(program);
                // By the clock of the router, which may be virtual.
                let open = Instant::now().saturating_duration_since(since);
                link.open_for_s = Some(open.as_secs_f64());
            }
            LinkState::Waiting { failure, .. } => {
                link.state = "waiting";
                link.detail = failure.map(|failure| failure.to_string());
            }
            LinkState::StandingBy { link: other, .. } => {
                link.state = "standing_by";
                link.detail = Some(other.to_string());
            }
            LinkState::Closing => link.state = "closing",
            _ => {}
        }
        link
    }
}

impl From<Traffic> for Direction {
    fn from(traffic: Traffic) -> Self {
        Self {
            bytes: traffic.bytes,
            frames: traffic.frames,
            messages: traffic.messages,
            missed: traffic.missed,
        }
    }
}
