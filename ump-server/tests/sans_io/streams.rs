//! Streams in virtual time.

use std::{io::ErrorKind, time::Duration};

use ump_server::sans_io::{
    CloseReason, ConnectionId, Link, Output, Simulation, StreamConnect, StreamInput, StreamOutput,
    TaskAddress,
};

use crate::{
    stream_tasks::Relay,
    support::{MS, address},
};

const HOUR: Duration = Duration::from_secs(3_600);

struct Pair {
    simulation: Simulation<Relay>,
    tasks: [TaskAddress; 2],
    connections: [ConnectionId; 2],
}

/// The inputs of the two tasks: bytes, and others.
#[derive(Default)]
struct Got {
    bytes: [Vec<u8>; 2],
    others: [Vec<StreamInput<'static>>; 2],
}

fn start(seed: u64, link: Link) -> (Simulation<Relay>, [TaskAddress; 2]) {
    let mut simulation = Simulation::new(seed).link(link);
    let tasks = [1, 2].map(|port| {
        let host = simulation.add_host(address(port));
        simulation.spawn(host, Relay::default()).unwrap()
    });
    (simulation, tasks)
}

impl Pair {
    /// Two tasks with a connection.
    fn new(seed: u64, link: Link) -> Self {
        let (mut simulation, tasks) = start(seed, link);
        let connect = StreamOutput::connect(9, address(2));
        simulation.command(tasks[0], connect).unwrap();
        let mut pair = Self {
            simulation,
            tasks,
            connections: [unopened(); 2],
        };
        assert!(pair.simulation.run_to_rest(HOUR));
        let got = pair.take();
        pair.connections = got.others.map(|inputs| match &inputs[..] {
            [StreamInput::Opened { connection, .. }] => *connection,
            inputs => panic!("{inputs:?}"),
        });
        pair
    }

    fn act(&mut self, task: usize, output: StreamOutput) {
        self.simulation.command(self.tasks[task], output).unwrap();
    }

    fn take(&mut self) -> Got {
        let mut got = Got::default();
        for (_, from, input) in self.simulation.take_events() {
            let task = usize::from(from == self.tasks[1]);
            match input {
                StreamInput::Data { bytes, .. } => got.bytes[task].extend_from_slice(&bytes),
                input => got.others[task].push(input),
            }
        }
        got
    }
}

/// The id of a connection of another simulation.
fn unopened() -> ConnectionId {
    let (mut simulation, tasks) = start(0, Link::new());
    let connect = StreamOutput::connect(0, address(2));
    simulation.command(tasks[0], connect).unwrap();
    assert!(simulation.run_to_rest(HOUR));
    let events = simulation.take_events();
    events[0].2.connection().unwrap()
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|n| n.to_le_bytes()[n % 3]).collect()
}

#[test]
fn bytes_arrive_whole_and_in_order_over_a_bad_link() {
    let link = Link::new().latency(MS * 20).jitter(MS * 30).loss(0.2);
    for seed in 0..10 {
        let mut pair = Pair::new(seed, link.reordering(0.2));
        let data = pattern(200_000);
        let [near, far] = pair.connections;
        // Both send much at the same time.
        for host in 0..2 {
            pair.simulation.pause_blocked(host, false);
        }
        pair.act(0, StreamOutput::send(near, data.clone()));
        pair.act(1, StreamOutput::send(far, data.clone()));
        pair.act(0, StreamOutput::ShutDown { connection: near });
        pair.act(1, StreamOutput::ShutDown { connection: far });
        assert!(pair.simulation.run_to_rest(HOUR));
        let got = pair.take();
        assert!(got.bytes == [data.clone(), data]);
        for (inputs, connection) in got.others.iter().zip(pair.connections) {
            let closed = StreamInput::Closed {
                connection,
                reason: CloseReason::Finished,
                unsent: 0,
            };
            assert_eq!(inputs.last(), Some(&closed));
        }
    }
}

#[test]
fn a_run_with_the_same_seed_is_the_same_run() {
    let run = || {
        let link = Link::new().latency(MS * 20).jitter(MS * 30).loss(0.3);
        let mut pair = Pair::new(7, link);
        let [near, _] = pair.connections;
        pair.act(0, StreamOutput::send(near, pattern(100_000)));
        pair.simulation.run_for(HOUR);
        pair.simulation.take_events()
    };
    assert!(run() == run());
}

#[test]
fn a_peer_without_a_task_refuses_and_one_that_is_not_there_is_given_up() {
    let mut simulation = Simulation::new(1).link(Link::new().latency(MS * 10));
    let host = simulation.add_host(address(1));
    simulation.add_host(address(2));
    let task = simulation.spawn(host, Relay::default()).unwrap();
    let connect = |token, port| {
        let connect = StreamConnect::new(token, address(port)).timeout(MS * 500);
        StreamOutput::Connect(connect)
    };
    simulation.command(task, connect(1, 2)).unwrap();
    simulation.command(task, connect(2, 3)).unwrap();
    assert!(simulation.run_to_rest(HOUR));
    let failed = |token, port, error| StreamInput::ConnectFailed {
        token,
        peer: address(port),
        error,
    };
    let expected = [
        (MS * 20, task, failed(1, 2, ErrorKind::ConnectionRefused)),
        (MS * 500, task, failed(2, 3, ErrorKind::TimedOut)),
    ];
    assert_eq!(simulation.take_events(), expected);
}

#[test]
fn a_reset_ends_the_connection_on_both_sides() {
    let mut pair = Pair::new(1, Link::new());
    pair.simulation.reset_connections(0, 1);
    assert!(pair.simulation.run_to_rest(HOUR));
    let got = pair.take();
    for (inputs, connection) in got.others.iter().zip(pair.connections) {
        let closed = StreamInput::Closed {
            connection,
            reason: CloseReason::PeerReset,
            unsent: 0,
        };
        assert_eq!(inputs[..], [closed]);
    }
}

#[test]
fn bytes_wait_for_the_repair_of_a_link() {
    let mut pair = Pair::new(1, Link::new());
    let [near, far] = pair.connections;
    pair.simulation.set_cut(0, 1, true);
    pair.act(0, StreamOutput::send(near, *b"across"));
    pair.act(0, StreamOutput::Close { connection: near });
    pair.simulation.run_for(Duration::from_secs(5));
    assert!(pair.take().bytes[1].is_empty());
    pair.simulation.set_cut(0, 1, false);
    pair.simulation.run_for(Duration::from_secs(1));
    assert_eq!(pair.take().bytes[1], b"across");
    pair.act(1, StreamOutput::ShutDown { connection: far });
    assert!(pair.simulation.run_to_rest(HOUR));
    let got = pair.take();
    let reasons = got.others.map(|inputs| match inputs.last() {
        Some(StreamInput::Closed { reason, .. }) => *reason,
        input => panic!("{input:?}"),
    });
    assert_eq!(reasons, [CloseReason::Closed, CloseReason::Finished]);
}

#[test]
fn a_peer_that_does_not_read_blocks_and_is_given_up() {
    let mut pair = Pair::new(1, Link::new());
    let [near, far] = pair.connections;
    pair.act(1, StreamOutput::PauseReading { connection: far });
    pair.act(0, StreamOutput::send(near, vec![1; 300_000]));
    pair.simulation.run_for(Duration::from_secs(1));
    let got = pair.take();
    assert!(matches!(got.others[0][..], [StreamInput::Blocked { .. }]));
    // It reads again in time.
    pair.act(1, StreamOutput::ResumeReading { connection: far });
    pair.simulation.run_for(Duration::from_secs(1));
    let got = pair.take();
    assert_eq!(got.bytes[1].len(), 300_000);
    assert!(matches!(got.others[0][..], [StreamInput::Writable { .. }]));
    // And then no more.
    pair.act(1, StreamOutput::PauseReading { connection: far });
    pair.act(0, StreamOutput::send(near, vec![1; 300_000]));
    pair.simulation.run_for(Duration::from_secs(120));
    let got = pair.take();
    let Some(StreamInput::Closed { reason, unsent, .. }) = got.others[0].last() else {
        panic!("{:?}", got.others[0]);
    };
    assert_eq!(
        (*reason, *unsent),
        (CloseReason::NotReading, 300_000 - 65_536)
    );
}

/// The number of ports of the side that connects.
const PORTS: u64 = 16_384;

#[test]
fn a_connection_keeps_its_port_when_all_have_been_used() {
    let mut pair = Pair::new(1, Link::new());
    let [near, _] = pair.connections;
    for token in 0..PORTS {
        pair.act(0, StreamOutput::connect(token, address(2)));
        assert!(pair.simulation.run_to_rest(HOUR));
        let [opened, accepted] = pair.take().others;
        let [StreamInput::Opened { connection, .. }] = opened[..] else {
            panic!("{opened:?}");
        };
        assert!(matches!(accepted[..], [StreamInput::Opened { .. }]));
        pair.act(0, StreamOutput::Reset { connection });
        assert!(pair.simulation.run_to_rest(HOUR));
        pair.take();
    }
    pair.act(0, StreamOutput::send(near, *b"still there"));
    assert!(pair.simulation.run_to_rest(HOUR));
    assert_eq!(pair.take().bytes[1], b"still there");
}

#[test]
fn a_connect_without_a_free_port_fails() {
    let mut simulation = Simulation::new(1);
    let host = simulation.add_host(address(1));
    // Nothing answers.
    let connect = |token| Output::Net(StreamOutput::connect(token, address(2)));
    let outputs = (0..=PORTS).map(connect).collect();
    let task = Relay { outputs };
    simulation.spawn(host, task).unwrap();
    simulation.run_for(MS);
    let events = simulation.take_events();
    let inputs: Vec<_> = events.into_iter().map(|(.., input)| input).collect();
    let failed = StreamInput::ConnectFailed {
        token: PORTS,
        peer: address(2),
        error: ErrorKind::AddrNotAvailable,
    };
    assert_eq!(inputs, [failed]);
}
