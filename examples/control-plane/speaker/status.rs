//! The status of a session.

use std::{fmt, net::IpAddr, time::Duration, time::Instant};

use crate::bgp::session::{Counters, Session, State};

/// The status of a session.
#[derive(Clone, Debug)]
pub(crate) struct SessionStatus {
    pub(crate) address: IpAddr,
    pub(crate) system: u32,
    pub(crate) state: State,
    /// For how long it has been established.
    pub(crate) since: Option<Duration>,
    pub(crate) hold: Option<Duration>,
    /// The routes that it has announced, and those that we have advertised to it.
    pub(crate) received: usize,
    pub(crate) announced: usize,
    pub(crate) counters: Counters,
    pub(crate) last_end: Option<String>,
}

impl SessionStatus {
    pub(super) fn of(session: &Session, routes: (usize, usize), now: Instant) -> Self {
        let config = session.config();
        let up = session.up();
        Self {
            address: config.peer.ip(),
            system: config.peer_system,
            state: session.state(),
            since: up.map(|(_, since)| now.saturating_duration_since(since)),
            hold: up.map(|(up, _)| up.hold),
            received: routes.0,
            announced: routes.1,
            counters: session.counters(),
            last_end: session.last_end().map(ToString::to_string),
        }
    }
}

impl fmt::Display for SessionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            address,
            system,
            state,
            since,
            hold,
            received,
            announced,
            counters,
            last_end,
        } = self;
        let address = address.to_string();
        write!(
            f,
            "{address:<20} AS {system:<10} {state:<12} {received} routes in, {announced} out; \
             {} messages in, {} out; {} ups, {} downs, {} attempts, {} refused, {} faults",
            counters.messages_in,
            counters.messages_out,
            counters.ups,
            counters.downs,
            counters.attempts,
            counters.refused,
            counters.faults,
        )?;
        if let (Some(since), Some(hold)) = (since, hold) {
            write!(
                f,
                "; for {} s, hold time {} s",
                since.as_secs(),
                hold.as_secs()
            )?;
        }
        match last_end {
            Some(end) => write!(f, "; last end: {end}"),
            None => Ok(()),
        }
    }
}
