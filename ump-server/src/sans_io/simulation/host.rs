//! A host of a simulation: tasks as on a worker, and their sockets.

use std::{collections::VecDeque, fmt, io, net::SocketAddr, time::Instant};

use super::{Event, Net, SimulatedNetwork, Simulation, Spawn};
use crate::{
    sans_io::{
        Datagrams, Engine, Interface, IntoTask, Receive, Report, Routes, SocketNumber, Sockets,
        Task, TaskAddress, TaskId, Transmit, Turned,
    },
    sync::{self, Mutex},
};

pub(super) struct Host<T: Task<Io: Interface<Net: SimulatedNetwork>>> {
    pub(super) engine: Engine<T, <Net<T> as SimulatedNetwork>::Sockets>,
    pub(super) reports: sync::Arc<Mutex<Vec<Report<Event<T>>>>>,
    pub(super) next: Turned,
}

/// The longest payload of a datagram: what the headers leave of 65,535 bytes.
const LONGEST_V4: usize = 65_507;
const LONGEST_V6: usize = 65_527;

/// The sockets of a host: packets are collected until the simulation puts them on their way.
#[expect(unnameable_types, reason = "it is part of a simulation")]
pub struct HostSockets {
    /// The addresses of the sockets, by number. `None` for a closed one.
    addresses: Vec<Option<SocketAddr>>,
    routes: Routes,
    /// The sent packets, each with its source.
    sent: VecDeque<(SocketAddr, Transmit)>,
    arrived: VecDeque<(SocketNumber, SocketAddr, Vec<u8>)>,
}

impl HostSockets {
    /// Creates the set with the socket number zero.
    fn new(address: SocketAddr) -> Self {
        Self {
            addresses: vec![Some(address)],
            routes: Routes::default(),
            sent: VecDeque::new(),
            arrived: VecDeque::new(),
        }
    }

    /// Adds a socket, whose packets go to `owner`.
    fn open(&mut self, address: SocketAddr, owner: TaskId) -> SocketNumber {
        let number = u32::try_from(self.addresses.len()).unwrap_or(u32::MAX);
        self.addresses.push(Some(address));
        let number = SocketNumber(number);
        self.routes.set_owner(number, owner);
        number
    }

    /// Removes a socket, and returns its address.
    fn close(&mut self, socket: SocketNumber) -> Option<SocketAddr> {
        self.addresses.get_mut(socket.0 as usize)?.take()
    }

    fn address(&self, socket: SocketNumber) -> Option<SocketAddr> {
        *self.addresses.get(socket.0 as usize)?
    }
}

impl Sockets<Datagrams> for HostSockets {
    fn route(&mut self, input: &Receive<'_>) -> Option<TaskId> {
        self.routes.route(input)
    }

    fn transmit(&mut self, from: TaskId, packet: Transmit) -> io::Result<()> {
        let address = self.address(packet.socket).ok_or(io::ErrorKind::NotFound)?;
        self.routes.sent(from, &packet);
        let longest = if address.is_ipv4() {
            LONGEST_V4
        } else {
            LONGEST_V6
        };
        if packet.payload.len() > longest {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.sent
            .push_back((packet.source.unwrap_or(address), packet));
        Ok(())
    }

    fn spawned(&mut self, task: TaskId) {
        self.routes.spawned(task);
    }

    fn ended(&mut self, task: TaskId) {
        self.routes.ended(task);
    }
    fn next_input<'a>(
        &mut self,
        _: Instant,
        _: &dyn Fn(TaskId) -> bool,
        buffer: &'a mut Vec<u8>,
    ) -> Option<(Option<TaskId>, Receive<'a>)> {
        let (socket, source, bytes) = self.arrived.pop_front()?;
        *buffer = bytes;
        let mut packet = Receive::new(source, &mut buffer[..]).socket(socket);
        packet.destination = self.address(socket);
        Some((self.routes.route(&packet), packet))
    }

    fn has_input(&self) -> bool {
        !self.arrived.is_empty()
    }
}

impl SimulatedNetwork for Datagrams {
    type Sockets = HostSockets;
    type Item = Vec<u8>;

    fn sockets(address: SocketAddr, _: Instant) -> HostSockets {
        HostSockets::new(address)
    }

    fn next_sent(sockets: &mut HostSockets) -> Option<(SocketAddr, SocketAddr, Vec<u8>)> {
        let (source, packet) = sockets.sent.pop_front()?;
        Some((packet.destination, source, packet.payload.into_vec()))
    }

    fn arrive(
        sockets: &mut HostSockets,
        socket: SocketNumber,
        from: SocketAddr,
        bytes: Vec<u8>,
    ) -> bool {
        let is_open = sockets.address(socket).is_some();
        if is_open {
            sockets.arrived.push_back((socket, from, bytes));
        }
        is_open
    }

    fn flow(_: &Vec<u8>) -> Option<u64> {
        None
    }

    fn copy(bytes: &Vec<u8>) -> Option<Vec<u8>> {
        Some(bytes.clone())
    }
}

/// Sockets of hosts, and packets.
impl<T> Simulation<T>
where
    T: Task,
    T::Io: Interface<Net = Datagrams>,
    Spawn<T>: IntoTask<T>,
    Event<T>: Send + 'static,
{
    /// Opens another socket of a task's host, with an address of its own. Packets to it go to the
    /// task, unless another one has sent to their source by this socket.
    ///
    /// # Panics
    /// Panics if there is no such host, or if a socket has this address.
    #[track_caller]
    pub fn open_socket(&mut self, owner: TaskAddress, address: SocketAddr) -> SocketNumber {
        let taken = self.addresses.contains_key(&address);
        assert!(!taken, "there is a socket with the address {address}");
        let sockets = self.hosts[owner.worker].engine.sockets();
        let number = sockets.open(address, owner.task);
        self.addresses.insert(address, (owner.worker, number));
        number
    }

    /// Closes a socket of a host. Packets that arrive later are lost.
    ///
    /// # Panics
    /// Panics if there is no host with this number.
    #[track_caller]
    pub fn close_socket(&mut self, host: usize, socket: SocketNumber) {
        if let Some(address) = self.hosts[host].engine.sockets().close(socket) {
            self.addresses.remove(&address);
        }
    }

    /// Puts a packet on the network, as if a host had sent it.
    ///
    /// # Panics
    /// Panics if there is no host with this number.
    #[track_caller]
    pub fn inject(&mut self, from: usize, packet: &Transmit) {
        let own = self.hosts[from].engine.sockets().address(packet.socket);
        if let Some(source) = packet.source.or(own) {
            let bytes = packet.payload.to_vec();
            self.send(from, packet.destination, source, bytes);
        }
    }
}

impl fmt::Debug for HostSockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostSockets").finish_non_exhaustive()
    }
}
