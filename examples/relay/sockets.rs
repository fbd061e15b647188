//! The sockets of a worker: those that listen, and those of its allocations.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
};

use ump_server::{
    net::{self, SocketId, Udp, UdpSocket},
    sans_io::{Datagrams, Receive, SocketNumber, Sockets, TaskId, Transmit},
};

use crate::{stun::attribute::Family, turn::Client};

/// How often a socket is opened for one with an even port.
const TRIES: usize = 32;

/// Where the allocations of a family have their sockets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RelayAddress {
    /// The address that the sockets are bound to.
    pub(crate) bind: IpAddr,
    /// The address that clients are told: another one if there is a NAT in between.
    pub(crate) announce: IpAddr,
}

/// The sockets of a worker, and which task gets their packets.
#[derive(Debug)]
pub(crate) struct WorkerSockets {
    registry: net::Sockets,
    relay: Vec<RelayAddress>,
    /// The sockets by their numbers, which are the indices of their ids.
    open: Vec<Option<Entry>>,
    /// The task that gets the packets of new clients.
    listener: Option<TaskId>,
    clients: HashMap<Client, TaskId>,
    by_task: HashMap<TaskId, Owned>,
}

#[derive(Debug)]
struct Entry {
    socket: UdpSocket,
    /// `None` for a socket that listens.
    owner: Option<TaskId>,
}

/// The sockets of an allocation.
#[derive(Debug)]
struct Owned {
    client: Client,
    socket: Option<SocketNumber>,
}

impl WorkerSockets {
    pub(crate) fn new(registry: net::Sockets, relay: Vec<RelayAddress>) -> Self {
        Self {
            registry,
            relay,
            open: Vec::new(),
            listener: None,
            clients: HashMap::new(),
            by_task: HashMap::new(),
        }
    }

    /// Opens a socket for clients.
    pub(crate) fn listen(&mut self, on: Udp) -> Result<(), net::Error> {
        let socket = self.registry.udp(on)?;
        self.insert(socket, None);
        Ok(())
    }

    pub(crate) fn set_listener(&mut self, task: TaskId) {
        self.listener = Some(task);
    }

    /// Lets an allocation get the packets of its client.
    pub(crate) fn claim(&mut self, task: TaskId, client: Client) {
        self.clients.insert(client, task);
        let socket = None;
        self.by_task.insert(task, Owned { client, socket });
    }

    /// Opens the socket of an allocation. Returns it, and the address that the client is told.
    pub(crate) fn open(
        &mut self,
        task: TaskId,
        family: Family,
        even_port: bool,
    ) -> Result<(SocketNumber, SocketAddr), String> {
        let mut relay = self.relay.iter();
        let relay = relay.find(|it| Family::of(it.bind) == family);
        let relay = *relay.ok_or("there is no address of this family")?;
        let socket = if even_port {
            self.bind_even(relay.bind)?
        } else {
            self.bind((relay.bind, 0))?
        };
        let port = socket.local_addr().map_err(|e| e.to_string())?.port();
        let number = self.insert(socket, Some(task));
        if let Some(owned) = self.by_task.get_mut(&task) {
            owned.socket = Some(number);
        }
        Ok((number, SocketAddr::new(relay.announce, port)))
    }

    fn bind(&self, address: impl Into<SocketAddr>) -> Result<UdpSocket, String> {
        let how = Udp::new(address).only_v6(true);
        self.registry.udp(how).map_err(|e| e.to_string())
    }

    /// Opens sockets until one has an even port, and closes the others then.
    fn bind_even(&self, ip: IpAddr) -> Result<UdpSocket, String> {
        let mut odd = Vec::new();
        for _ in 0..TRIES {
            let socket = self.bind((ip, 0))?;
            if socket.local_addr().is_ok_and(|it| it.port() % 2 == 0) {
                return Ok(socket);
            }
            odd.push(socket);
        }
        Err("there is no even port".to_owned())
    }

    fn insert(&mut self, socket: UdpSocket, owner: Option<TaskId>) -> SocketNumber {
        let index = socket.id().index();
        if self.open.len() <= index {
            self.open.resize_with(index + 1, || None);
        }
        self.open[index] = Some(Entry { socket, owner });
        number(index)
    }

    fn entry(&self, SocketNumber(number): SocketNumber) -> Option<&Entry> {
        self.open.get(number as usize)?.as_ref()
    }

    /// Receives a datagram.
    pub(crate) fn receive(
        &self,
        id: SocketId,
        buffer: &mut [u8],
    ) -> io::Result<(SocketNumber, net::Datagram)> {
        let number = number(id.index());
        let entry = self.entry(number).filter(|it| it.socket.id() == id);
        let entry = entry.ok_or(io::ErrorKind::NotFound)?;
        Ok((number, entry.socket.recv_from(buffer)?))
    }
}

/// Returns the number of the socket with this index.
fn number(index: usize) -> SocketNumber {
    SocketNumber(u32::try_from(index).unwrap_or(u32::MAX))
}

impl Sockets<Datagrams> for WorkerSockets {
    fn route(&mut self, packet: &Receive<'_>) -> Option<TaskId> {
        if let Some(owner) = self.entry(packet.socket)?.owner {
            return Some(owner);
        }
        let client = Client {
            socket: packet.socket,
            address: packet.source,
        };
        self.clients.get(&client).copied().or(self.listener)
    }

    fn transmit(&mut self, _: TaskId, packet: Transmit) -> io::Result<()> {
        let entry = self.entry(packet.socket).ok_or(io::ErrorKind::NotFound)?;
        entry.socket.send_to(&packet.payload, packet.destination)
    }

    fn ended(&mut self, task: TaskId) {
        let Some(Owned { client, socket }) = self.by_task.remove(&task) else {
            return;
        };
        if self.clients.get(&client) == Some(&task) {
            self.clients.remove(&client);
        }
        if let Some(SocketNumber(number)) = socket {
            // Dropped, so closed.
            self.open[number as usize] = None;
        }
    }
}
