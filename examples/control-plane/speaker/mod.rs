//! The component `speaker`: BGP sessions with real neighbours, over sockets in its loop.
//!
//! ```text
//!   TCP ◀──▶ sessions (sans-IO tasks) ── routes received ──▶ routes ×N
//!                          ▲                                            │
//!                          └────── export ◀── best routes that changed ─┘ asked for, every 250 ms
//! ```
//!
//! It asks the table for changes, rather than getting them, so that requests go in one direction
//! only. Invariants: only an established neighbour has routes in the table, and only to such a one
//! routes are advertised. A neighbour that reads slowly gets routes slowly: no more are advertised
//! while [`MAX_UNSENT`] bytes wait.

mod best;
mod convert;
mod export;
mod status;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::ErrorKind,
    net::{IpAddr, SocketAddr},
    ops::ControlFlow,
    sync::mpsc,
    time::{Duration, Instant},
};

use ipnet::IpNet;
use thiserror::Error;
use ump_server::{
    Clock, TimerId, Timers, net,
    sans_io::{Engine, Limits, LoopTcp, Report, SocketError, SocketFailure, TaskId, Turned},
    service,
    service::ReplyTo,
};

use self::{
    best::Best,
    export::{Export, ROUND},
};
use crate::{
    bgp::{
        codec::{Code, Family, Reachable, Update},
        session::{Command, Config, End, Event, Session, State},
    },
    path::Path,
    shards::Shards,
    statistics::{DownReason, Record, StatisticsClient},
};

pub(crate) use self::status::SessionStatus;

/// The time in which changes of the best routes are collected.
const ADVERTISEMENT: Duration = Duration::from_millis(250);

/// Nothing more is advertised to a neighbour while this many bytes wait for its socket.
const MAX_UNSENT: usize = 64 * 1024;

/// The room for what is sent: the changes of a round are sent at once, each in a message of at most
/// 4 KiB.
const SEND_BUFFER: usize = MAX_UNSENT + ROUND * 4_096;

/// The time that a closed stream has to send the rest, and to be closed by the neighbour.
const CLOSE: Duration = Duration::from_secs(2);

/// A neighbour that has read nothing for so long is given up (RFC 9687 has at least this time).
const STALL: Duration = Duration::from_secs(8 * 60);

/// The number of changes that are asked for at once.
const MAX_CHANGES: usize = 4_096;

/// A neighbour, beside its session.
struct Neighbour {
    address: IpAddr,
    /// The prefixes that it has announced (Adj-RIB-In).
    received: BTreeSet<IpNet>,
    max_prefixes: usize,
    /// If its session is established.
    export: Option<Export>,
    /// Whether the neighbour reads more slowly than the speaker sends routes.
    is_blocked: bool,
}

/// A command of the operator for a session.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Control {
    /// Starts a session that was stopped.
    Start,
    Stop,
    /// Ends the session, so that it begins again.
    Reset,
    /// Requests all routes again.
    Refresh,
}

/// There is no neighbour with this address.
#[derive(Clone, Copy, Debug, Error)]
#[error("{0} is no real neighbour")]
pub(crate) struct UnknownNeighbour(IpAddr);

/// The other components.
pub(crate) struct Others {
    pub(crate) routes: Shards,
    pub(crate) statistics: StatisticsClient,
}

pub(crate) struct Speaker {
    engine: Engine<Session, LoopTcp>,
    events: mpsc::Receiver<Report<Event>>,
    clock: Clock,
    timers: Timers<SpeakerTimer>,
    /// The timer for the next turn of the engine.
    armed: Option<(TimerId, Instant)>,
    /// Whether the next look at the best routes is planned.
    is_looking: bool,
    /// Whether a neighbour reads again that did not.
    is_unblocked: bool,
    neighbours: BTreeMap<TaskId, Neighbour>,
    by_address: BTreeMap<IpAddr, TaskId>,
    best: Best,
    others: Others,
}

impl Speaker {
    /// Starts the sessions.
    pub(crate) fn new(
        clock: Clock,
        timers: Timers<SpeakerTimer>,
        (sockets, listen): (net::Sockets, &[SocketAddr]),
        configs: &[Config],
        others: Others,
    ) -> Result<Self, net::Error> {
        // A session reads also if the neighbour does not: its KEEPALIVEs are among what comes.
        let mut tcp = LoopTcp::new(sockets)
            .pause_blocked(false)
            .high_water(MAX_UNSENT)
            .send_buffer(SEND_BUFFER)
            .stall_timeout(STALL)
            .close_timeout(CLOSE);
        for &address in listen {
            let how = net::Listen::new(address);
            let listener = tcp.listen(if address.is_ipv6() {
                how.only_v6(true)
            } else {
                how
            })?;
            if let Ok(address) = tcp.local_addr(listener) {
                cli::log!("control-plane: listens for neighbours on {address}");
            }
        }
        let (report, events) = mpsc::channel();
        let report = move |it| drop(report.send(it));
        let mut engine = Engine::new(Limits::new(), tcp, report);
        let now = clock.now();
        let mut neighbours = BTreeMap::new();
        let mut by_address = BTreeMap::new();
        for config in configs {
            let address = config.peer.ip();
            let session = Session::new(config.clone(), now);
            // There is no limit that the neighbours of a command line exceed.
            let Ok(task) = engine.spawn(now, session) else {
                continue;
            };
            by_address.insert(address, task);
            let neighbour = Neighbour {
                address,
                received: BTreeSet::new(),
                max_prefixes: config.max_prefixes,
                export: None,
                is_blocked: false,
            };
            neighbours.insert(task, neighbour);
        }
        let sessions = by_address.clone();
        let choose = move |_, peer: SocketAddr| sessions.get(&peer.ip().to_canonical()).copied();
        engine.sockets().set_owner_by(choose);
        Ok(Self {
            engine,
            events,
            clock,
            timers,
            armed: None,
            is_looking: false,
            is_unblocked: false,
            neighbours,
            by_address,
            best: Best::default(),
            others,
        })
    }

    fn command(&mut self, now: Instant, task: TaskId, command: Command) -> ControlFlow<()> {
        while self.engine.group().get(task).is_some() && !self.engine.group().has_room(task) {
            let _ = self.engine.turn(now);
            self.handle_events(now)?;
        }
        // It is refused only if the session has ended, that is, has panicked.
        let _ = self.engine.command(now, task, command);
        ControlFlow::Continue(())
    }

    /// Runs a turn of the sessions, and plans the next one.
    fn turn(&mut self, now: Instant) -> ControlFlow<()> {
        let mut turned = self.engine.turn(now);
        self.handle_events(now)?;
        if std::mem::take(&mut self.is_unblocked) {
            self.tell_all(now)?;
            turned = Turned::Again;
        }
        match turned {
            Turned::Again => self.arm(now),
            Turned::At(at) => self.arm(at),
            Turned::AtRest | Turned::Blocked => {}
        }
        ControlFlow::Continue(())
    }

    fn arm(&mut self, at: Instant) {
        match &mut self.armed {
            Some((_, armed)) if *armed <= at => {}
            Some((timer, armed)) => {
                self.timers.reschedule_at(*timer, at);
                *armed = at;
            }
            None => self.armed = Some((self.timers.at(at, SpeakerTimer::RunTurn), at)),
        }
    }

    fn handle_events(&mut self, now: Instant) -> ControlFlow<()> {
        while let Ok(report) = self.events.try_recv() {
            match report {
                Report::Event { from, event } => self.handle_event(now, from.task, event)?,
                Report::SocketFailed(failure) => report_failure(&failure),
                report => cli::log!("control-plane: {report:?}"),
            }
        }
        ControlFlow::Continue(())
    }

    fn handle_event(&mut self, now: Instant, task: TaskId, event: Event) -> ControlFlow<()> {
        let Some(neighbour) = self.neighbours.get_mut(&task) else {
            return ControlFlow::Continue(());
        };
        let address = neighbour.address;
        match event {
            Event::State(State::Connect) => self.others.statistics.count(Record::ConnectAttempt),
            Event::State(_) => ControlFlow::Continue(()),
            Event::Up(up) => {
                cli::log!("control-plane: {address} is established");
                let session = self.engine.group().get(task);
                let export = session.map(|it| Export::new(it.config(), &up, &self.best));
                neighbour.export = export;
                neighbour.is_blocked = false;
                self.others.statistics.count(Record::SessionUp)?;
                // Routes are advertised to it after the next look at the table, so that none of
                // them is out of date.
                self.look_later();
                ControlFlow::Continue(())
            }
            Event::Update(update) => self.take_routes(now, task, update),
            Event::Refresh(family) => {
                if let Some(export) = &mut neighbour.export {
                    export.refresh(family, &self.best);
                }
                self.look_later();
                ControlFlow::Continue(())
            }
            Event::Blocked => {
                neighbour.is_blocked = true;
                ControlFlow::Continue(())
            }
            Event::Writable => {
                neighbour.is_blocked = false;
                self.is_unblocked = true;
                ControlFlow::Continue(())
            }
            Event::Down(end) => {
                cli::log!("control-plane: {address} is down: {end}");
                neighbour.export = None;
                neighbour.received.clear();
                let reason = match end {
                    End::Sent(it) if it.code == Code::HOLD_TIMER_EXPIRED => DownReason::HoldTimer,
                    _ => DownReason::Closed,
                };
                self.others.statistics.count(Record::SessionDown(reason))?;
                self.others.routes.forget(address)
            }
            Event::Failed(end) => {
                cli::log!("control-plane: {address} has no session: {end}");
                ControlFlow::Continue(())
            }
        }
    }

    /// Passes the routes of an UPDATE to the table.
    fn take_routes(&mut self, now: Instant, task: TaskId, update: Update) -> ControlFlow<()> {
        let Some(Neighbour {
            address,
            received,
            max_prefixes,
            ..
        }) = self.neighbours.get_mut(&task)
        else {
            return ControlFlow::Continue(());
        };
        for fault in &update.faults {
            cli::log!("control-plane: {address}: {fault}");
        }
        for prefix in update.withdrawn {
            if received.remove(&prefix) {
                self.others.routes.withdraw(prefix, *address)?;
            }
        }
        let Some(attributes) = update.attributes else {
            return ControlFlow::Continue(());
        };
        for Reachable { next_hop, prefixes } in update.reachable {
            let Some(attributes) = convert::received(&attributes, next_hop) else {
                continue;
            };
            for prefix in prefixes {
                received.insert(prefix);
                let path = Path::new(*address, attributes.clone());
                self.others.routes.announce(prefix, path)?;
            }
        }
        if received.len() > *max_prefixes {
            return self.command(now, task, Command::Reset(Code::MAX_PREFIXES));
        }
        ControlFlow::Continue(())
    }

    fn look_later(&mut self) {
        if !self.is_looking {
            self.is_looking = true;
            self.timers
                .once(ADVERTISEMENT, SpeakerTimer::LookForChanges);
        }
    }

    /// Asks the table for the best routes that have changed.
    fn take_changes(&mut self) -> ControlFlow<()> {
        let Ok(changes) = self.others.routes.take_changes(MAX_CHANGES) else {
            return ControlFlow::Break(());
        };
        for (prefix, best) in changes {
            let Some(number) = self.best.set(prefix, best) else {
                continue;
            };
            for neighbour in self.neighbours.values_mut() {
                if let Some(export) = &mut neighbour.export {
                    export.change(number);
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn tell_all(&mut self, now: Instant) -> ControlFlow<()> {
        let tasks: Vec<_> = self.neighbours.keys().copied().collect();
        tasks.into_iter().try_for_each(|task| self.tell(now, task))
    }

    /// Tells a neighbour what has changed, as long as it reads.
    fn tell(&mut self, now: Instant, task: TaskId) -> ControlFlow<()> {
        loop {
            let neighbour = self.neighbours.get_mut(&task).filter(|it| !it.is_blocked);
            let export = neighbour.and_then(|it| it.export.as_mut());
            let commands = export
                .map(|export| export.round(&self.best))
                .unwrap_or_default();
            if commands.is_empty() {
                return ControlFlow::Continue(());
            }
            for command in commands {
                self.command(now, task, command)?;
            }
            // Whether it is blocked is known when nothing is left to do.
            while self.engine.turn(now) == Turned::Again {}
            self.handle_events(now)?;
        }
    }

    /// Ends the sessions with a notification to each neighbour.
    fn shut_down(&mut self) {
        let now = self.clock.now();
        self.engine.shut_down();
        while self.engine.turn(now) == Turned::Again {}
    }
}

fn report_failure(failure: &SocketFailure) {
    match (failure.reason, failure.peer) {
        (SocketError::Accept(ErrorKind::NotFound), Some(peer)) => {
            let peer = peer.ip().to_canonical();
            cli::log!("control-plane: refused a connection of {peer}, which is no neighbour");
        }
        _ => cli::log!("control-plane: {failure}"),
    }
}

#[service]
impl Speaker {
    /// Controls the session of a neighbour.
    pub(crate) fn control(
        &mut self,
        address: IpAddr,
        control: Control,
        reply: ReplyTo<'_, Self, (), UnknownNeighbour>,
    ) -> ControlFlow<()> {
        let now = self.clock.now();
        let Some(&task) = self.by_address.get(&address) else {
            let _ = reply.answer(Err(UnknownNeighbour(address)));
            return ControlFlow::Continue(());
        };
        let commands = match control {
            Control::Start => vec![Command::Start],
            Control::Stop => vec![Command::Stop(Code::SHUTDOWN)],
            Control::Reset => vec![Command::Reset(Code::RESET)],
            Control::Refresh => Family::ALL.map(Command::Refresh).to_vec(),
        };
        for command in commands {
            self.command(now, task, command)?;
        }
        self.turn(now)?;
        let _ = reply.answer(Ok(()));
        ControlFlow::Continue(())
    }

    /// Returns the sessions, ordered by address.
    pub(crate) fn show(&self) -> Vec<SessionStatus> {
        let mut statuses: Vec<_> = self
            .neighbours
            .iter()
            .filter_map(|(&task, neighbour)| {
                let session = self.engine.group().get(task)?;
                let announced = neighbour.export.as_ref().map_or(0, Export::announced);
                let routes = (neighbour.received.len(), announced);
                Some(SessionStatus::of(session, routes, self.clock.now()))
            })
            .collect();
        statuses.sort_by_key(|status| status.address);
        statuses
    }

    /// Handles an event of a socket.
    #[socket]
    fn on_socket(&mut self, event: net::Event) -> ControlFlow<()> {
        let now = self.clock.now();
        self.engine.on_socket(now, event);
        self.turn(now)
    }

    #[timer(after = Duration::ZERO)]
    fn begin(&mut self) -> ControlFlow<()> {
        self.turn(self.clock.now())
    }

    #[timer]
    fn run_turn(&mut self) -> ControlFlow<()> {
        self.armed = None;
        self.turn(self.clock.now())
    }

    #[timer]
    fn look_for_changes(&mut self) -> ControlFlow<()> {
        self.is_looking = false;
        let now = self.clock.now();
        self.take_changes()?;
        self.tell_all(now)?;
        let exports = || self.neighbours.values().filter_map(|it| it.export.as_ref());
        self.best
            .free(|number| exports().any(|export| export.uses(number)));
        if self.neighbours.values().any(|it| it.export.is_some()) {
            self.look_later();
        }
        self.turn(now)
    }

    #[term]
    fn end(&mut self) {
        self.shut_down();
    }
}
