//! Two sessions on simulated hosts, in virtual time.

use std::{
    collections::VecDeque,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use ump_server::sans_io::{Link, Report, Simulation, TaskAddress};

use crate::bgp::session::{Command, Config, Event, Session, State};

/// The hosts of the network. Each has one session at most.
pub(crate) const A: usize = 0;
pub(crate) const B: usize = 1;

pub(crate) struct Network {
    simulation: Simulation<Session>,
    sessions: [Option<TaskAddress>; 2],
    pub(crate) events: VecDeque<(usize, Duration, Event)>,
}

impl Network {
    /// Creates a network in which both hosts have a session.
    pub(crate) fn new(seed: u64, configs: [Config; 2]) -> Self {
        let mut network = Self::empty(seed);
        for (side, config) in [A, B].into_iter().zip(configs) {
            network.start(side, config);
        }
        network
    }

    /// Creates a network of two hosts that refuse connections.
    pub(crate) fn empty(seed: u64) -> Self {
        let link = Link::new().latency(Duration::from_millis(10));
        let mut simulation = Simulation::new(seed).link(link);
        for side in [A, B] {
            simulation.add_host(address(side));
            simulation.pause_blocked(side, false);
        }
        Self {
            simulation,
            sessions: [None; 2],
            events: VecDeque::new(),
        }
    }

    /// Starts a session on a host that has none.
    pub(crate) fn start(&mut self, side: usize, config: Config) {
        let session = Session::new(config, self.simulation.now());
        let session = self.simulation.spawn(side, session);
        self.sessions[side] = Some(session.expect("there is room for it"));
    }

    pub(crate) fn session(&self, side: usize) -> &Session {
        let session = self.sessions[side].and_then(|it| self.simulation.task(it));
        session.expect("the host has a session")
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.simulation.elapsed()
    }

    pub(crate) fn command(&mut self, side: usize, command: Command) {
        let session = self.sessions[side].expect("the host has a session");
        let given = self.simulation.command(session, command);
        given.expect("the session has room for it");
    }

    /// Lets nothing arrive that is sent from now on, or repairs the network.
    pub(crate) fn cut(&mut self, is_cut: bool) {
        self.simulation.set_cut(A, B, is_cut);
    }

    /// Resets all streams and replaces a session, as if its process had been killed.
    pub(crate) fn kill(&mut self, side: usize, new: Config) {
        self.simulation.reset_connections(A, B);
        self.simulation.shut_down(side);
        self.run(Duration::ZERO);
        self.start(side, new);
    }

    /// Lets time pass until both sessions are established. Returns whether they are, before the
    /// time is over.
    pub(crate) fn establish(&mut self, limit: Duration) -> bool {
        let end = self.elapsed() + limit;
        while ![A, B].iter().all(|&side| self.is_established(side)) {
            let left = end.saturating_sub(self.elapsed());
            let Some((at, report)) = self.simulation.next_report(left) else {
                return false;
            };
            self.note(at, report);
        }
        self.note_all();
        true
    }

    fn is_established(&self, side: usize) -> bool {
        self.session(side).state() == State::Established
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, time: Duration) {
        self.simulation.run_for(time);
        self.note_all();
    }

    fn note_all(&mut self) {
        for (at, report) in self.simulation.take_reports() {
            self.note(at, report);
        }
    }

    fn note(&mut self, at: Duration, report: Report<Event>) {
        let Report::Event { from, event } = report else {
            panic!("{report:?}");
        };
        self.events.push_back((from.worker, at, event));
    }

    /// Takes the events of a side, without the states.
    pub(crate) fn take_events(&mut self, side: usize) -> Vec<Event> {
        let events = std::mem::take(&mut self.events);
        let of_side = events.into_iter().filter(|(of, ..)| *of == side);
        let events = of_side.map(|(_, _, event)| event);
        events
            .filter(|event| !matches!(event, Event::State(_)))
            .collect()
    }
}

/// The address at which a side listens.
pub(crate) fn address(side: usize) -> SocketAddr {
    (Ipv4Addr::new(192, 0, 2, [1, 2][side]), 179).into()
}
