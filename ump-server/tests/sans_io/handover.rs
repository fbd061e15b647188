//! Connections that a listener releases and a spawned task claims, in virtual time.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use ump_server::sans_io::{
    ConnectionId, Input, Io, Limits, Link, Output, Simulation, StreamInput, StreamOutput, Streams,
    Task, Unused,
};

use crate::support::address;

const MINUTE: Duration = Duration::from_secs(60);

type ThisIo = Io<(), Said, Unused, Node, Streams>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Nothing,
    ListenerGot(Vec<u8>),
    SessionGot(Vec<u8>),
    ClientClosed,
}

#[derive(Default)]
struct Node {
    role: Role,
    outputs: VecDeque<Output<ThisIo>>,
}

#[derive(Default)]
enum Role {
    /// Connects, and sends as soon as it is connected.
    #[default]
    Client,
    /// Has this number of other outputs before it releases a connection.
    Listener {
        before: usize,
    },
    Session(ConnectionId),
}

impl Node {
    fn listener(before: usize) -> Self {
        Self {
            role: Role::Listener { before },
            outputs: VecDeque::new(),
        }
    }

    fn session(connection: ConnectionId) -> Self {
        Self {
            role: Role::Session(connection),
            outputs: [Output::Net(StreamOutput::Claim { connection })].into(),
        }
    }
}

impl Task for Node {
    type Io = ThisIo;

    fn on_tick(&mut self, _: Instant) {}

    fn on_input(&mut self, _: Instant, input: Input<'_, ThisIo>) {
        let input = match input {
            Input::App(()) => {
                let connect = StreamOutput::connect(1, address(2));
                return self.outputs.push_back(Output::Net(connect));
            }
            Input::Net(input) => input,
            Input::Bus(message) => match message.message {},
        };
        match (&self.role, input) {
            (Role::Client, StreamInput::Opened { connection, .. }) => {
                let send = StreamOutput::send(connection, *b"hello");
                self.outputs.push_back(Output::Net(send));
            }
            (Role::Client, StreamInput::HalfClosed { .. } | StreamInput::Closed { .. }) => {
                self.outputs.push_back(Output::App(Said::ClientClosed));
            }
            (Role::Listener { before }, StreamInput::Opened { connection, .. }) => {
                let said = (0..*before).map(|_| Output::App(Said::Nothing));
                self.outputs.extend(said);
                let release = StreamOutput::Release { connection };
                self.outputs.push_back(Output::Net(release));
                self.outputs
                    .push_back(Output::Spawn(Node::session(connection)));
            }
            (Role::Listener { .. }, StreamInput::Data { bytes, .. }) => {
                let got = Said::ListenerGot(bytes.into_vec());
                self.outputs.push_back(Output::App(got));
            }
            (Role::Session(of), StreamInput::Data { connection, bytes }) if *of == connection => {
                let got = Said::SessionGot(bytes.into_vec());
                self.outputs.push_back(Output::App(got));
            }
            _ => {}
        }
    }

    fn pop_output(&mut self, _: Instant) -> Option<Output<ThisIo>> {
        self.outputs.pop_front()
    }

    fn next_deadline(&self) -> Option<Instant> {
        None
    }
}

/// Runs a client and a listener, and returns what they said within two minutes.
fn run(listener: Node, limits: Limits) -> Vec<Said> {
    let link = Link::new().latency(Duration::ZERO);
    let mut simulation = Simulation::new(1).link(link);
    let near = simulation.add_host(address(1));
    let far = simulation.add_host_with(address(2), limits);
    let client = simulation.spawn(near, Node::default()).unwrap();
    simulation.spawn(far, listener).unwrap();
    simulation.command(client, ()).unwrap();
    simulation.run_for(MINUTE * 2);
    let events = simulation.take_events().into_iter();
    let said = events.map(|(_, _, said)| said);
    said.filter(|said| *said != Said::Nothing).collect()
}

#[test]
fn a_busy_listener_gets_no_bytes_of_a_connection_that_it_is_about_to_release() {
    // One call in a turn: the bytes come while it still has outputs, or more of them than are taken
    // before it is given an input.
    for before in [20, 5_000] {
        let limits = Limits::new().turn(1).batch(1);
        let said = run(Node::listener(before), limits);
        assert_eq!(said, [Said::SessionGot(b"hello".to_vec())]);
    }
}

#[test]
fn a_released_connection_that_nobody_claims_is_closed() {
    // There is no room for the task that would claim it.
    let said = run(Node::listener(0), Limits::new().tasks(1));
    assert_eq!(said, [Said::ClientClosed]);
}
