//! Tasks in virtual time, over a simulated network.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    time::{Duration, Instant},
};

use ump_server::sans_io::{
    Input, Io, Link, NamedTask, Output, Simulation, SocketNumber, Task, TaskAddress, Transmit,
};

use crate::{
    arq::{Arq, Event, RETRY},
    support::{MS, address},
};

/// Two hosts with one end of a link each.
fn pair(seed: u64, link: Link) -> (Simulation<Arq>, [TaskAddress; 2]) {
    let mut simulation = Simulation::new(seed).link(link);
    let a = simulation.add_host(address(1));
    let b = simulation.add_host(address(2));
    let ends = [
        simulation.spawn(a, Arq::new(address(2))).unwrap(),
        simulation.spawn(b, Arq::new(address(1))).unwrap(),
    ];
    (simulation, ends)
}

fn received(events: &[(Duration, TaskAddress, Event)], by: TaskAddress) -> Vec<u8> {
    let of = events.iter().filter(|(_, from, _)| *from == by);
    let bytes = of.filter_map(|(_, _, event)| match event {
        Event::Received(bytes) => Some(bytes[0]),
        _ => None,
    });
    bytes.collect()
}

#[test]
fn a_message_takes_the_latency_of_the_link() {
    let (mut simulation, [a, b]) = pair(1, Link::new().latency(MS * 30));
    simulation.command(a, vec![7]).unwrap();
    assert!(simulation.run_to_rest(Duration::from_secs(60)));
    let events = simulation.take_events();
    let expected = [
        (MS * 30, b, Event::Received(vec![7])),
        (MS * 60, a, Event::Acknowledged),
    ];
    assert_eq!(events, expected);
    assert_eq!(simulation.packets(), (2, 0));
}

#[test]
fn everything_arrives_once_and_in_order_over_a_bad_link() {
    let link = Link::new()
        .latency(MS * 20)
        .jitter(MS * 30)
        .loss(0.3)
        .duplication(0.1)
        .reordering(0.1);
    for seed in 0..50 {
        let (mut simulation, [a, b]) = pair(seed, link);
        for n in 0..20 {
            simulation.command(a, vec![n]).unwrap();
            simulation.command(b, vec![100 + n]).unwrap();
        }
        assert!(
            simulation.run_to_rest(Duration::from_secs(600)),
            "seed {seed}"
        );
        let events = simulation.take_events();
        assert_eq!(
            received(&events, b),
            (0..20).collect::<Vec<_>>(),
            "seed {seed}"
        );
        assert_eq!(
            received(&events, a),
            (100..120).collect::<Vec<_>>(),
            "seed {seed}"
        );
        let (_, lost) = simulation.packets();
        assert!(lost > 0, "the network loses packets");
    }
}

#[test]
fn a_run_with_the_same_seed_is_the_same_run() {
    let run = |seed| {
        let link = Link::new().jitter(MS * 9).loss(0.2).reordering(0.2);
        let (mut simulation, [a, _]) = pair(seed, link);
        for n in 0..50 {
            simulation.command(a, vec![n]).unwrap();
        }
        simulation.run_for(Duration::from_secs(300));
        (simulation.take_events(), simulation.packets())
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}

#[test]
fn a_message_survives_a_cut_of_the_link() {
    let (mut simulation, [a, b]) = pair(1, Link::new());
    simulation.set_cut(0, 1, true);
    simulation.command(a, vec![1]).unwrap();
    simulation.run_for(Duration::from_secs(3_600));
    assert!(simulation.take_events().is_empty());
    assert_eq!(simulation.packets().0, 1 + 3_600_000 / 200);
    simulation.set_cut(0, 1, false);
    simulation.run_for(RETRY + MS * 2);
    let events = simulation.take_events();
    assert_eq!(received(&events, b), [1]);
}

#[test]
fn a_shutdown_delivers_what_is_queued_then_says_goodbye() {
    let (mut simulation, [a, b]) = pair(5, Link::new().loss(0.3));
    for n in 0..10 {
        simulation.command(a, vec![n]).unwrap();
    }
    simulation.shut_down(0);
    assert_eq!(simulation.tasks(0).len(), 1);
    simulation.run_for(Duration::from_secs(60));
    let none: Vec<NamedTask> = Vec::new();
    assert_eq!(simulation.tasks(0), none);
    let events = simulation.take_events();
    assert_eq!(received(&events, b), (0..10).collect::<Vec<_>>());
}

/// Sends datagrams by sockets, and reports those that it receives.
#[derive(Default)]
struct Plug(VecDeque<Output<PlugIo>>);

type PlugIo = Io<(SocketNumber, SocketAddr), (SocketNumber, SocketAddr)>;

impl Task for Plug {
    type Io = PlugIo;

    fn on_tick(&mut self, _: Instant) {}

    fn on_input(&mut self, _: Instant, input: Input<'_, PlugIo>) {
        self.0.push_back(match input {
            Input::App((socket, to)) => Output::Net(Transmit::new(to, [7]).socket(socket)),
            Input::Net(packet) => Output::App((packet.socket, packet.source)),
            Input::Bus(message) => match message.message {},
        });
    }

    fn pop_output(&mut self, _: Instant) -> Option<Output<PlugIo>> {
        self.0.pop_front()
    }

    fn next_deadline(&self) -> Option<Instant> {
        None
    }
}

#[test]
fn a_host_can_have_several_sockets() {
    let mut simulation = Simulation::new(1);
    let [host, other] = [address(1), address(9)].map(|it| simulation.add_host(it));
    let tasks = [host, host, other].map(|host| simulation.spawn(host, Plug::default()).unwrap());
    let zero = SocketNumber::default();
    let second = simulation.open_socket(tasks[1], address(2));
    let third = simulation.open_socket(tasks[1], address(3));
    // By its number a task chooses the address that it sends from.
    for socket in [zero, second, third] {
        simulation.command(tasks[1], (socket, address(9))).unwrap();
    }
    assert!(simulation.run_to_rest(Duration::from_secs(1)));
    let sources = [1, 2, 3].map(|port| (MS, tasks[2], (zero, address(port))));
    assert_eq!(simulation.take_events(), sources);
    // What is sent to a socket goes to its owner.
    for port in [2, 3] {
        simulation.command(tasks[2], (zero, address(port))).unwrap();
    }
    assert!(simulation.run_to_rest(Duration::from_secs(1)));
    let arrived = [second, third].map(|it| (simulation.elapsed(), tasks[1], (it, address(9))));
    assert_eq!(simulation.take_events(), arrived);
    // A closed one loses what is on its way, and sends nothing.
    simulation.command(tasks[2], (zero, address(2))).unwrap();
    simulation.run_for(Duration::ZERO);
    simulation.close_socket(host, second);
    simulation.command(tasks[1], (second, address(9))).unwrap();
    assert!(simulation.run_to_rest(Duration::from_secs(1)));
    assert_eq!(simulation.take_events(), []);
    assert_eq!(simulation.stats(host).transmit_dropped, 1);
    assert_eq!(simulation.packets().1, 1);
    // Its address is free again.
    simulation.open_socket(tasks[0], address(2));
}

/// Sends a packet of each length that it is told.
#[derive(Default)]
struct Lengths(VecDeque<usize>);

impl Task for Lengths {
    type Io = Io<usize, usize>;

    fn on_tick(&mut self, _: Instant) {}

    fn on_input(&mut self, _: Instant, input: Input<'_, Self::Io>) {
        if let Input::App(length) = input {
            self.0.push_back(length);
        }
    }

    fn pop_output(&mut self, _: Instant) -> Option<Output<Self::Io>> {
        let length = self.0.pop_front()?;
        let packet = Transmit::new(address(1), vec![0; length]);
        Some(Output::Net(packet))
    }

    fn next_deadline(&self) -> Option<Instant> {
        None
    }
}

#[test]
fn a_packet_that_no_socket_can_send_is_dropped_and_counted() {
    let mut simulation = Simulation::new(1);
    let host = simulation.add_host(address(1));
    let task = simulation.spawn(host, Lengths::default()).unwrap();
    for length in [65_507, 65_508] {
        simulation.command(task, length).unwrap();
        assert!(simulation.run_to_rest(MS * 10));
    }
    let stats = simulation.stats(host);
    assert_eq!((stats.transmitted, stats.transmit_dropped), (1, 1));
    assert_eq!(stats.received, 1);
}
