//! Streams in a simulation.
//!
//! ```text
//!   Connections ◀──▶ Pipe ◀──▶ End (of this host) ── Segment, in order ──▶ End (of the other host)
//! ```
//!
//! The two hosts exchange segments, which arrive in order and without loss. A side sends no more
//! than the other side has room for: reading gives room back.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt, io, mem,
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::{
    Event, SimulatedNetwork, Simulation, Spawn,
    pipe::{Kind, Pipe, State},
};
use crate::{
    sans_io::{
        ConnectionId, Interface, IntoTask, Origin, SocketNumber, Sockets, StreamConnect,
        StreamInput, StreamOutput, Streams, Task, TaskId, streams::Connections,
    },
    sync::{Arc, Mutex},
};

/// The room for bytes that the reader has not read.
const WINDOW: usize = 64 * 1_024;

/// After this time a connect is given up that has no time-out of its own.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(130);

/// The first port of the side that connects.
const FIRST_PORT: u16 = 49_152;

/// The number of its ports.
const PORTS: u16 = 16_384;

/// A segment that a host sends to another one.
#[derive(Debug)]
#[expect(unnameable_types, reason = "it is part of a simulation")]
pub struct Segment {
    /// The address of the side that has made the connection.
    wire: SocketAddr,
    to_maker: bool,
    kind: Kind,
}

enum End {
    Connecting {
        owner: TaskId,
        token: u64,
        until: Instant,
    },
    Open(ConnectionId, Arc<Mutex<State>>),
}

/// A side of a connection: the address of the maker, the other host, and whether this is the
/// maker's side.
type Side = (SocketAddr, SocketAddr, bool);

/// The sockets of a host.
#[expect(unnameable_types, reason = "it is part of a simulation")]
pub struct HostStreams {
    address: SocketAddr,
    connections: Connections<Pipe>,
    ends: BTreeMap<Side, End>,
    /// The segments that are sent, with the host that they are for.
    sent: VecDeque<(SocketAddr, Segment)>,
    /// The offset of the next port.
    ports: u16,
    /// The side that was read last: the next one comes first.
    last: Option<Side>,
    now: Instant,
}

impl HostStreams {
    fn connect(&mut self, owner: TaskId, how: StreamConnect) {
        let Some(wire) = self.free_address(how.peer) else {
            let error = io::ErrorKind::AddrNotAvailable;
            return self.connect_refused(owner, how.token, how.peer, error);
        };
        let timeout = how.timeout.unwrap_or(CONNECT_TIMEOUT);
        let connecting = End::Connecting {
            owner,
            token: how.token,
            until: self.now + timeout,
        };
        self.ends.insert((wire, how.peer, true), connecting);
        self.push((wire, how.peer, true), Kind::Connect);
    }

    /// Returns the next local address that no connection to this peer has.
    fn free_address(&mut self, peer: SocketAddr) -> Option<SocketAddr> {
        let mut ports = (0..PORTS).map(|offset| (self.ports + offset) % PORTS);
        let address = |port| SocketAddr::new(self.address.ip(), FIRST_PORT + port);
        let is_free = |port: &u16| !self.ends.contains_key(&(address(*port), peer, true));
        let port = ports.find(is_free)?;
        let address = address(port);
        self.ports = (port + 1) % PORTS;
        Some(address)
    }

    /// Sends from a side to the other one.
    fn push(&mut self, (wire, host, is_maker): Side, kind: Kind) {
        let segment = Segment {
            wire,
            to_maker: !is_maker,
            kind,
        };
        self.sent.push_back((host, segment));
    }

    fn open(
        &mut self,
        side: Side,
        owner: TaskId,
        origin: Origin,
        addresses: (Option<SocketAddr>, SocketAddr),
    ) {
        let state = Arc::new(Mutex::new(State {
            room: WINDOW,
            is_reading: true,
            ..State::default()
        }));
        let pipe = Pipe(Arc::clone(&state));
        let id = self.connections.open(owner, pipe, origin, addresses);
        self.ends.insert(side, End::Open(id, state));
    }

    fn connect_failed(&mut self, side: Side, error: io::ErrorKind) {
        if let Some(End::Connecting { owner, token, .. }) = self.ends.remove(&side) {
            let (_, peer, _) = side;
            self.connect_refused(owner, token, peer, error);
        }
    }

    fn connect_refused(
        &mut self,
        owner: TaskId,
        token: u64,
        peer: SocketAddr,
        error: io::ErrorKind,
    ) {
        let failed = StreamInput::ConnectFailed { token, peer, error };
        self.connections.push(owner, failed);
    }

    fn accepted(&mut self, side: Side) {
        let Some(End::Connecting { owner, token, .. }) = self.ends.remove(&side) else {
            // The time-out was first.
            return self.push(side, Kind::Reset);
        };
        if self.connections.is_task(owner) {
            let (wire, peer, _) = side;
            let origin = Origin::Connected { token };
            self.open(side, owner, origin, (Some(wire), peer));
        } else {
            self.push(side, Kind::Reset);
        }
    }

    fn arrived(&mut self, from: SocketAddr, segment: Segment) {
        let Segment {
            wire,
            to_maker,
            kind,
        } = segment;
        let side = (wire, from, to_maker);
        let listener = SocketNumber::default();
        match kind {
            // A connection of this address is left here: its peer has closed it.
            Kind::Connect if self.ends.contains_key(&side) => self.push(side, Kind::Refused),
            Kind::Connect => match self.connections.owner_of(listener, wire) {
                Some(owner) => {
                    self.push(side, Kind::Accepted);
                    let origin = Origin::Accepted { listener };
                    self.open(side, owner, origin, (Some(self.address), wire));
                }
                None => self.push(side, Kind::Refused),
            },
            Kind::Accepted => self.accepted(side),
            Kind::Refused => self.connect_failed(side, io::ErrorKind::ConnectionRefused),
            kind => self.carried(side, kind),
        }
    }

    /// Handles a segment of an open connection.
    fn carried(&mut self, side: Side, kind: Kind) {
        let Some(End::Open(id, state)) = self.ends.get(&side) else {
            if matches!(kind, Kind::Data(_)) {
                self.push(side, Kind::Reset);
            }
            return;
        };
        let mut state = state.lock();
        match kind {
            Kind::Data(bytes) => state.incoming.extend(bytes),
            Kind::End => state.has_ended = true,
            Kind::Room(room) => {
                state.room += room;
                if mem::take(&mut state.waits) {
                    self.connections.writable(*id);
                }
            }
            _ => {
                state.is_reset = true;
                drop(state);
                self.connections.hung_up(*id);
            }
        }
    }

    /// Moves what the pipes have sent to the network, and forgets those that are over.
    fn collect(&mut self) {
        let sent = &mut self.sent;
        self.ends.retain(|(wire, host, is_maker), end| {
            let End::Open(_, state) = end else {
                return true;
            };
            let mut state = state.lock();
            while let Some(kind) = state.outgoing.pop_front() {
                let segment = Segment {
                    wire: *wire,
                    to_maker: !*is_maker,
                    kind,
                };
                sent.push_back((*host, segment));
            }
            !state.is_dropped
        });
    }

    /// Returns a connection with something to read: they take turns.
    fn readable(&self) -> Option<(Side, ConnectionId)> {
        let is_readable = |(side, end): (&Side, &End)| match end {
            End::Open(id, state) if state.lock().is_readable() => Some((*side, *id)),
            _ => None,
        };
        let after = self.last.and_then(|last| {
            let mut later = self.ends.iter().filter(|(side, _)| **side > last);
            later.find_map(is_readable)
        });
        after.or_else(|| self.ends.iter().find_map(is_readable))
    }
}

impl Sockets<Streams> for HostStreams {
    fn route(&mut self, input: &StreamInput<'_>) -> Option<TaskId> {
        self.connections.route(input)
    }

    fn transmit(&mut self, from: TaskId, output: StreamOutput) -> io::Result<()> {
        match output {
            StreamOutput::Connect(how) => {
                self.connect(from, how);
                Ok(())
            }
            output => self.connections.transmit(from, output),
        }
    }

    fn spawned(&mut self, task: TaskId) {
        self.connections.spawned(task);
    }

    fn ended(&mut self, task: TaskId) {
        self.connections.ended(task);
    }

    fn next_input<'a>(
        &mut self,
        now: Instant,
        has_room: &dyn Fn(TaskId) -> bool,
        buffer: &'a mut Vec<u8>,
    ) -> Option<(Option<TaskId>, StreamInput<'a>)> {
        self.now = now;
        if let Some((to, input)) = self.connections.next_queued(now, has_room) {
            return Some((Some(to), input));
        }
        let (side, id) = self.readable()?;
        self.last = Some(side);
        let (to, input) = self.connections.read(id, has_room, buffer)?;
        Some((Some(to), input))
    }

    fn next_reader(&self) -> Option<TaskId> {
        self.connections.owner(self.readable()?.1)
    }

    fn has_input(&self) -> bool {
        let mut ends = self.ends.values();
        let is_readable =
            |end: &End| matches!(end, End::Open(_, state) if state.lock().is_readable());
        self.connections.has_input() || ends.any(is_readable)
    }

    fn flush(&mut self, now: Instant) -> u64 {
        self.now = now;
        self.connections.flush(now);
        let is_late = |end: &End| matches!(end, End::Connecting { until, .. } if *until <= now);
        let late = self.ends.iter().filter(|(_, end)| is_late(end));
        for side in late.map(|(side, _)| *side).collect::<Vec<_>>() {
            self.connect_failed(side, io::ErrorKind::TimedOut);
        }
        self.collect();
        0
    }

    fn is_flushed(&self) -> bool {
        self.connections.is_flushed()
    }

    fn next_deadline(&self) -> Option<Instant> {
        let connects = self.ends.values().filter_map(|end| match end {
            End::Connecting { until, .. } => Some(*until),
            End::Open(..) => None,
        });
        connects.chain(self.connections.next_deadline()).min()
    }

    fn pause_receiving(&mut self, pauses: bool) {
        self.connections.pause(pauses);
    }
}

impl SimulatedNetwork for Streams {
    type Sockets = HostStreams;
    type Item = Segment;

    fn sockets(address: SocketAddr, now: Instant) -> HostStreams {
        HostStreams {
            address,
            connections: Connections::new(now),
            ends: BTreeMap::new(),
            sent: VecDeque::new(),
            ports: 0,
            last: None,
            now,
        }
    }

    fn next_sent(sockets: &mut HostStreams) -> Option<(SocketAddr, SocketAddr, Segment)> {
        let (host, segment) = sockets.sent.pop_front()?;
        Some((host, sockets.address, segment))
    }

    fn arrive(
        sockets: &mut HostStreams,
        _: SocketNumber,
        from: SocketAddr,
        segment: Segment,
    ) -> bool {
        sockets.arrived(from, segment);
        true
    }

    fn flow(segment: &Segment) -> Option<u64> {
        Some(u64::from(segment.wire.port()) << 1 | u64::from(segment.to_maker))
    }

    fn copy(_: &Segment) -> Option<Segment> {
        None
    }
}

/// Connections.
impl<T> Simulation<T>
where
    T: Task,
    T::Io: Interface<Net = Streams>,
    Spawn<T>: IntoTask<T>,
    Event<T>: Send + 'static,
{
    /// Sets whether the connections of a host are not read while they are above the high-water mark
    /// of their send buffers. The default is true. See [`Streams`].
    ///
    /// # Panics
    /// Panics if there is no host with this number.
    #[track_caller]
    pub fn pause_blocked(&mut self, host: usize, pauses: bool) {
        let sockets = self.hosts[host].engine.sockets();
        sockets.connections.limits.pauses_blocked = pauses;
    }

    /// Resets all connections between two hosts. Both sides notice it at once.
    ///
    /// # Panics
    /// Panics if there is no host with one of these numbers.
    #[track_caller]
    pub fn reset_connections(&mut self, a: usize, b: usize) {
        for (host, other) in [(a, b), (b, a)] {
            let address = self.hosts[other].engine.sockets().address;
            let sockets = self.hosts[host].engine.sockets();
            for ((_, host, _), end) in &sockets.ends {
                if let (End::Open(id, state), true) = (end, *host == address) {
                    state.lock().is_reset = true;
                    sockets.connections.hung_up(*id);
                }
            }
            self.turn(host);
        }
    }
}

impl fmt::Debug for HostStreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostStreams")
            .field("ends", &self.ends.len())
            .finish_non_exhaustive()
    }
}
