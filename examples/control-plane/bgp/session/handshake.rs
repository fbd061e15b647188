//! From a stream to an established session, and collisions on the way (RFC 4271, 6.8).

use std::{net::IpAddr, time::Instant};

use ump_server::sans_io::{ConnectionId, Origin, StreamOutput};

use super::{
    super::codec::{Capabilities, Code, Message, Open},
    Event, Mode, Session, State,
    connection::{Connection, Stream},
};

impl Session {
    /// Takes an open stream, or closes it: that of an attempt that was given up, or one that the
    /// neighbour has begun and that is not admitted.
    pub(super) fn on_opened(
        &mut self,
        now: Instant,
        id: ConnectionId,
        origin: Origin,
        local: IpAddr,
    ) {
        let stream = Stream::Open(id);
        if let Origin::Connected { token } = origin {
            let connecting = self.find(Stream::Connecting(token));
            if let Some(connection) = connecting {
                connection.stream = stream;
            }
        } else if !self.admit(now, stream) {
            self.counters.refused += 1;
        }
        let Some(connection) = self.find(stream) else {
            return self.act(StreamOutput::Close { connection: id });
        };
        connection.opened(now, local);
        let open = Message::Open(self.open());
        self.send(stream, &open);
        self.retry = None;
    }

    /// Decides about a connection that the neighbour has begun. The newer one of two that have not
    /// received an OPEN stays, as the older one may be a remainder of a neighbour that was
    /// restarted.
    fn admit(&mut self, now: Instant, stream: Stream) -> bool {
        if self.mode != Mode::Running || self.established().is_some() {
            return false;
        }
        let mut connections = self.connections.iter();
        let before = connections.find(|it| !it.is_outgoing);
        let before = before.map(|it| (it.stream, it.state));
        if before.is_some_and(|(_, state)| state > State::OpenSent) {
            return false;
        }
        let connection = Connection::new(stream, false, &self.config);
        self.connections.push(connection);
        if let Some((before, _)) = before {
            self.counters.refused += 1;
            self.reject(now, before, Code::CONNECTION_REJECTED);
        }
        true
    }

    fn open(&self) -> Open {
        let hold = self.config.hold.as_secs();
        Open {
            system: self.config.local_system,
            hold_time: u16::try_from(hold).unwrap_or(u16::MAX),
            identifier: self.config.identifier,
            capabilities: Capabilities {
                four_octets: true,
                route_refresh: true,
                families: Some(self.config.families),
            },
        }
    }

    pub(super) fn on_open(&mut self, now: Instant, stream: Stream, open: Open) {
        let config = self.config.clone();
        let Some(connection) = self.find(stream) else {
            return;
        };
        if let Err(notification) = connection.accept(open, &config) {
            return self.reject(now, stream, notification);
        }
        connection.heard(now);
        let wins = connection.wins(&config);
        let other = self.connections.iter().find(|it| it.stream != stream);
        match other.map(|other| (other.stream, other.state)) {
            Some((other, State::OpenConfirm)) if wins => self.lose(now, other),
            Some((_, State::OpenConfirm | State::Established)) => return self.lose(now, stream),
            _ => {}
        }
        self.send_keepalive(now, stream);
    }

    /// Ends the connection that loses a collision.
    pub(super) fn lose(&mut self, now: Instant, stream: Stream) {
        self.counters.refused += 1;
        self.reject(now, stream, Code::COLLISION);
    }

    pub(super) fn establish(&mut self, now: Instant, stream: Stream) {
        let mut others = self.connections.iter();
        let other = others.find(|it| it.stream != stream).map(|it| it.stream);
        if let Some(other) = other {
            self.lose(now, other);
        }
        let Some(connection) = self.find(stream) else {
            return;
        };
        connection.state = State::Established;
        connection.established = Some(now);
        let up = connection.up();
        self.retry = None;
        self.counters.ups += 1;
        self.report_state();
        if let Some(up) = up {
            self.tell(Event::Up(up));
        }
    }
}
