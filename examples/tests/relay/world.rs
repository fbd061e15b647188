//! The server, its clients and their peers, in virtual time.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    net::SocketAddr,
    time::{Duration, Instant},
};

use ump_server::{
    sans_io::{
        Input, IntoTask, Io, Link, Output, Report, Simulation, SocketNumber, Task, TaskAddress,
        Transmit, Unused,
    },
    task_kinds,
};

use crate::stun::attribute::Family;
use crate::turn::{
    Config, Credentials, EndReason, Event, Lifetimes, Limits, Listener, Notice, Opened, PeerPolicy,
    Relay, RelayCommand, RelayEvent, Shared,
};

/// The end of a client or of a peer, which the test writes and reads.
#[derive(Debug, Default)]
pub(crate) struct Port {
    outputs: VecDeque<Output<PortIo>>,
}

/// Sends a datagram.
#[derive(Debug)]
pub(crate) struct Send(SocketAddr, Vec<u8>);

/// A datagram that a port has received.
pub(crate) type Datagram = (SocketAddr, Vec<u8>);

type PortIo = Io<Send, Datagram, Notice, Unused>;

impl Task for Port {
    type Io = PortIo;

    fn on_tick(&mut self, _: Instant) {}

    fn on_input(&mut self, _: Instant, input: Input<'_, PortIo>) {
        self.outputs.push_back(match input {
            Input::App(Send(to, datagram)) => Output::Net(Transmit::new(to, datagram)),
            Input::Net(packet) => Output::App((packet.source, packet.payload.into_vec())),
            Input::Bus(_) => return,
        });
    }

    fn pop_output(&mut self, _: Instant) -> Option<Output<PortIo>> {
        self.outputs.pop_front()
    }

    fn next_deadline(&self) -> Option<Instant> {
        None
    }
}

task_kinds! {
    /// The tasks on the hosts.
    pub(crate) enum Node, NodeCommand, NodeEvent {
        Relay(Relay),
        Port(Port),
    }
}

impl IntoTask<Node> for Relay {
    fn into_task(self) -> Node {
        Node::Relay(self)
    }
}

pub(crate) const REALM: &str = "example.org";
pub(crate) const USERS: [(&str, &str); 2] = [("alice", "secret"), ("bob", "hidden")];
pub(crate) const SERVER: SocketAddr = address(1, 3478);

pub(crate) const fn address(host: u8, port: u16) -> SocketAddr {
    let ip = std::net::Ipv4Addr::new(192, 0, 2, host);
    SocketAddr::new(std::net::IpAddr::V4(ip), port)
}

/// Returns the default configuration, with two users.
pub(crate) fn config() -> Config {
    Config {
        credentials: Credentials::new(REALM, USERS),
        peers: PeerPolicy::new().own([SERVER]),
        limits: Limits::default(),
        lifetimes: Lifetimes::default(),
        families: vec![Family::V4],
    }
}

pub(crate) struct World {
    pub(crate) simulation: Simulation<Node>,
    pub(crate) shared: Shared,
    ports: HashMap<SocketAddr, TaskAddress>,
    by_task: HashMap<TaskAddress, SocketAddr>,
    /// The datagrams that the ports have received and the test has not read.
    received: HashMap<SocketAddr, VecDeque<Datagram>>,
    /// The sockets of the allocations.
    pub(crate) relayed: BTreeMap<SocketNumber, SocketAddr>,
    next_relayed: u16,
    pub(crate) ended: Vec<(SocketAddr, EndReason)>,
    /// Whether sockets can be opened.
    pub(crate) has_sockets: bool,
}

impl World {
    pub(crate) fn new(config: Config, seed: u64, link: Link) -> Self {
        let mut simulation = Simulation::new(seed).link(link);
        let now = Instant::now();
        let shared = Shared::new(config, [7; 32], now);
        let server = simulation.add_host(SERVER);
        let listener = Node::Relay(Relay::Listener(Listener::new(shared.clone(), now)));
        let listener = simulation.spawn(server, listener);
        assert!(listener.is_ok(), "there is room");
        Self {
            simulation,
            shared,
            ports: HashMap::new(),
            by_task: HashMap::new(),
            received: HashMap::new(),
            relayed: BTreeMap::new(),
            next_relayed: 50_000,
            ended: Vec::new(),
            has_sockets: true,
        }
    }

    /// Returns a world with the default configuration, whose network loses nothing.
    pub(crate) fn ideal() -> Self {
        Self::new(config(), 1, Link::new())
    }

    /// Adds a client or a peer.
    pub(crate) fn add_port(&mut self, address: SocketAddr) {
        let host = self.simulation.add_host(address);
        let port = self.simulation.spawn(host, Node::Port(Port::default()));
        let port = port.unwrap_or_else(|_| panic!("there is room"));
        self.ports.insert(address, port);
        self.by_task.insert(port, address);
    }

    /// Lets a port send a datagram.
    pub(crate) fn send(&mut self, from: SocketAddr, to: SocketAddr, datagram: impl Into<Vec<u8>>) {
        let command = NodeCommand::Port(Send(to, datagram.into()));
        let given = self.simulation.command(self.ports[&from], command);
        assert!(given.is_ok(), "a port takes all commands");
    }

    /// Returns what a port has received since it was last asked.
    pub(crate) fn received(&mut self, by: SocketAddr) -> Vec<Datagram> {
        let received = self.received.entry(by).or_default();
        received.drain(..).collect()
    }

    /// Returns the number of allocations.
    pub(crate) fn allocations(&self) -> usize {
        let tasks = self.simulation.tasks(0);
        tasks.iter().filter(|it| it.name == "Allocation").count()
    }

    /// Advances the time, and does meanwhile what a driver does.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.simulation.elapsed() + time;
        loop {
            let left = end.saturating_sub(self.simulation.elapsed());
            let Some((_, report)) = self.simulation.next_report(left) else {
                break;
            };
            let Report::Event { from, event } = report else {
                panic!("{report:?}", report = std::any::type_name_of_val(&report));
            };
            self.handle(from, event);
        }
        let left = end.saturating_sub(self.simulation.elapsed());
        self.simulation.run_for(left);
    }

    fn handle(&mut self, from: TaskAddress, event: NodeEvent) {
        match event {
            NodeEvent::Port(datagram) => {
                let address = self.by_task[&from];
                self.received
                    .entry(address)
                    .or_default()
                    .push_back(datagram);
            }
            NodeEvent::Relay(RelayEvent::Allocation(Event::Open { .. })) => {
                let opened = if self.has_sockets {
                    let address = address(1, self.next_relayed);
                    self.next_relayed += 1;
                    let socket = self.simulation.open_socket(from, address);
                    self.relayed.insert(socket, address);
                    Ok((socket, address))
                } else {
                    Err("there are no sockets".to_owned())
                };
                let command = NodeCommand::Relay(RelayCommand::Allocation(Opened(opened)));
                assert!(self.simulation.command(from, command).is_ok(), "it waits");
            }
            NodeEvent::Relay(RelayEvent::Allocation(Event::Ended {
                client,
                socket,
                reason,
            })) => {
                if let Some(socket) = socket {
                    self.simulation.close_socket(0, socket);
                    assert!(self.relayed.remove(&socket).is_some(), "it was open");
                }
                self.ended.push((client.address, reason));
            }
            NodeEvent::Relay(RelayEvent::Listener(unused)) => match unused {},
        }
    }
}
