//! One connection of a session. There may be two for a while: one that each side has begun.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use ump_server::sans_io::ConnectionId;

use super::{
    super::codec::{
        Capabilities, Code, Decoder, Families, Format, Notification, Open, multiprotocol,
    },
    Config, State, Up,
};

/// The time in which the neighbour has to send its OPEN (RFC 4271, 8.2.2).
const OPEN_TIMEOUT: Duration = Duration::from_secs(240);

/// A tick that is so late shows that the loop was busy, so it may not have read what came.
const LATE: Duration = Duration::from_millis(500);
/// The time to read it.
const GRACE: Duration = Duration::from_secs(1);

/// What a connection goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    /// It is being opened. The number is the token of the attempt.
    Connecting(u64),
    Open(ConnectionId),
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: Stream,
    /// Whether this side has begun it.
    pub(super) is_outgoing: bool,
    /// From `Connect` on.
    pub(super) state: State,
    pub(super) decoder: Decoder,
    /// `None` while the stream is being opened.
    pub(super) local: Option<IpAddr>,
    /// The neighbour's OPEN.
    pub(super) open: Option<Open>,
    pub(super) format: Format,
    pub(super) families: Families,
    /// The negotiated hold time; zero for none.
    hold_time: Duration,
    /// When the neighbour has been silent for too long.
    hold: Option<Instant>,
    is_grace: bool,
    /// When the next KEEPALIVE is due.
    pub(super) keepalive: Option<Instant>,
    pub(super) established: Option<Instant>,
}

impl Connection {
    pub(super) fn new(stream: Stream, is_outgoing: bool, config: &Config) -> Self {
        Self {
            stream,
            is_outgoing,
            state: State::Connect,
            decoder: Decoder::default(),
            local: None,
            open: None,
            format: Format {
                four_octets: false,
                is_internal: config.is_internal(),
            },
            families: Families::default(),
            hold_time: OPEN_TIMEOUT,
            hold: None,
            is_grace: false,
            keepalive: None,
            established: None,
        }
    }

    /// Notes that the stream is open.
    pub(super) fn opened(&mut self, now: Instant, local: IpAddr) {
        self.local = Some(local);
        self.state = State::OpenSent;
        self.heard(now);
    }

    /// Restarts the hold timer.
    pub(super) fn heard(&mut self, now: Instant) {
        self.is_grace = false;
        let is_used = !self.hold_time.is_zero();
        self.hold = is_used.then(|| now + self.hold_time);
    }

    /// Returns whether the hold timer has expired. If the tick is late, there is a grace period.
    pub(super) fn is_silent(&mut self, now: Instant) -> bool {
        let Some(hold) = self.hold.filter(|hold| *hold <= now) else {
            return false;
        };
        if !self.is_grace && now - hold >= LATE {
            self.is_grace = true;
            self.hold = Some(now + GRACE);
            return false;
        }
        true
    }

    /// Checks the neighbour's OPEN, and takes what it says.
    pub(super) fn accept(&mut self, open: Open, config: &Config) -> Result<(), Notification> {
        if open.system != config.peer_system {
            return Err(Code::BAD_SYSTEM.into());
        }
        // RFC 6286, 2.2.
        if open.identifier == config.identifier && config.is_internal() {
            return Err(Code::BAD_IDENTIFIER.into());
        }
        let families = config.families.common(open.capabilities.families());
        if families.is_empty() {
            let wanted: Vec<u8> = config.families.iter().flat_map(multiprotocol).collect();
            return Err(Notification::new(Code::UNSUPPORTED_CAPABILITY).data(wanted));
        }
        self.families = families;
        self.format.four_octets = open.capabilities.four_octets;
        let proposed = Duration::from_secs(open.hold_time.into());
        self.hold_time = proposed.min(config.hold);
        self.open = Some(open);
        self.state = State::OpenConfirm;
        Ok(())
    }

    /// Returns the time between two KEEPALIVEs. `None` if there are none.
    pub(super) fn keepalive_time(&self) -> Option<Duration> {
        let is_used = !self.hold_time.is_zero() && self.open.is_some();
        is_used.then(|| self.hold_time / 3)
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.hold.into_iter().chain(self.keepalive).min()
    }

    /// Returns whether this connection is to stay, and not the other one, if both have received an
    /// OPEN: the speaker with the higher identifier has begun it (RFC 4271, 6.8). If the
    /// identifiers are the same, the higher system decides (RFC 6286, 2.3).
    pub(super) fn wins(&self, config: &Config) -> bool {
        let ours = (config.identifier, config.local_system);
        let peer = self.open.as_ref().map(|open| open.identifier);
        let theirs = (peer.unwrap_or(Ipv4Addr::UNSPECIFIED), config.peer_system);
        self.is_outgoing == (ours > theirs)
    }

    /// Returns what the neighbours have agreed on.
    pub(super) fn up(&self) -> Option<Up> {
        let open = self.open.as_ref()?;
        let Capabilities {
            four_octets,
            route_refresh,
            ..
        } = open.capabilities;
        Some(Up {
            identifier: open.identifier,
            local: self.local?,
            families: self.families,
            hold: self.hold_time,
            four_octets,
            route_refresh,
        })
    }
}
