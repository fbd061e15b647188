//! The component `neighbours`: a session state machine for each neighbour, driven by messages and
//! timers.
//!
//! ```text
//!              retry timer; it connects                     it is established
//!        idle ──────────────────────────▶ connect ──────────────────────────▶ established
//!         ▲ ▲          connect timer         │                                     │ │ ▲
//!         │ └────────────────────────────────┘                                     │ └─┘ any message: hold timer anew
//!         └────────────────────────────────────────────────────────────────────────┘     hello timer: a hello is sent
//!                     it closes or reconnects, or the hold timer expires: its routes are removed
//! ```
//!
//! The first message of an unknown neighbour establishes its session, as a file may begin in the
//! middle of one. Invariants: only an established neighbour has routes; a state owns its timers,
//! which are cancelled when it ends.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    ops::ControlFlow,
    time::Duration,
};

use thiserror::Error;
use ump_server::{TimerId, Timers, service, service::ReplyTo};

use crate::{
    line::{Message, Peer, SessionState},
    path::Path,
    shards::Shards,
    statistics::{DownReason, Record, StatisticsClient},
};

/// Time to establish a session.
const CONNECT: Duration = Duration::from_secs(60);
/// Pause before the next attempt.
const RETRY: Duration = Duration::from_secs(120);

/// The status of a neighbour.
#[derive(Clone, Debug)]
pub(crate) struct NeighbourStatus {
    pub(crate) peer: Peer,
    pub(crate) state: SessionState,
    /// The number of times its session went down.
    pub(crate) flaps: u64,
    pub(crate) messages: u64,
}

/// Why a message is rejected.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum Rejection {
    #[error("{0} has no session")]
    NotEstablished(IpAddr),
    #[error("{0} is a real neighbour")]
    Real(IpAddr),
    #[error("{} is in AS {}, not {system}", known.address, known.system)]
    OtherSystem { known: Peer, system: u32 },
}

#[derive(Debug)]
struct Neighbour {
    system: u32,
    state: State,
    flaps: u64,
    messages: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Idle { retry: TimerId },
    Connect { give_up: TimerId },
    Established { hello: TimerId, hold: TimerId },
}

#[derive(Debug)]
pub(crate) struct Neighbours {
    /// The addresses of real neighbours, whose routes the `speaker` owns.
    real: BTreeSet<IpAddr>,
    known: BTreeMap<IpAddr, Neighbour>,
    timers: Timers<NeighboursTimer>,
    times: Times,
    routes: Shards,
    statistics: StatisticsClient,
}

/// The times of the state machine, by the clock of the loop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    hold: Duration,
    hello: Duration,
    connect: Duration,
    retry: Duration,
}

impl Times {
    /// Derives them from the hold time, in a time that is `speed` times as fast as the loop's
    /// clock.
    pub(crate) fn new(hold: Duration, speed: u32) -> Self {
        Self {
            hold: hold / speed,
            hello: hold / 3 / speed,
            connect: CONNECT / speed,
            retry: RETRY / speed,
        }
    }
}

impl Neighbours {
    pub(crate) fn new(
        real: BTreeSet<IpAddr>,
        timers: Timers<NeighboursTimer>,
        times: Times,
        routes: Shards,
        statistics: StatisticsClient,
    ) -> Self {
        Self {
            real,
            known: BTreeMap::new(),
            timers,
            times,
            routes,
            statistics,
        }
    }

    fn handle(&mut self, peer: Peer, message: Message) -> ControlFlow<(), Result<(), Rejection>> {
        if let Err(rejection) = self.accept(peer, &message)? {
            return ControlFlow::Continue(Err(rejection));
        }
        let address = peer.address;
        match message {
            Message::SessionState(state) => self.go_to(address, state)?,
            Message::Keepalive => {}
            Message::Announce(prefix, attributes) => {
                self.routes
                    .announce(prefix, Path::new(address, attributes))?;
            }
            Message::Withdraw(prefix) => self.routes.withdraw(prefix, address)?,
        }
        ControlFlow::Continue(Ok(()))
    }

    /// Checks that the neighbour may send the message, and restarts its hold timer.
    fn accept(&mut self, peer: Peer, message: &Message) -> ControlFlow<(), Result<(), Rejection>> {
        let Peer { address, system } = peer;
        if self.real.contains(&address) {
            return ControlFlow::Continue(Err(Rejection::Real(address)));
        }
        let needs_session = !matches!(message, Message::SessionState(_));
        let Some(neighbour) = self.known.get_mut(&address) else {
            let state = self.idle(address);
            let neighbour = Neighbour {
                system,
                state,
                flaps: 0,
                messages: 1,
            };
            self.known.insert(address, neighbour);
            if needs_session {
                self.go_to(address, SessionState::Established)?;
            }
            return ControlFlow::Continue(Ok(()));
        };
        if neighbour.system != system {
            let known = Peer {
                system: neighbour.system,
                address,
            };
            return ControlFlow::Continue(Err(Rejection::OtherSystem { known, system }));
        }
        if let State::Established { hold, .. } = neighbour.state {
            self.timers.reschedule_after(hold, self.times.hold);
        } else if needs_session {
            return ControlFlow::Continue(Err(Rejection::NotEstablished(address)));
        }
        neighbour.messages += 1;
        ControlFlow::Continue(Ok(()))
    }

    /// Moves the session to the state that the neighbour reports.
    fn go_to(&mut self, address: IpAddr, target: SessionState) -> ControlFlow<()> {
        let Some(state) = self.known.get(&address).map(|neighbour| neighbour.state) else {
            return ControlFlow::Continue(());
        };
        match (target, state) {
            (SessionState::Idle, State::Idle { .. })
            | (SessionState::Connecting, State::Connect { .. })
            | (SessionState::Established, State::Established { .. }) => {}
            (_, State::Established { .. }) => {
                self.close(address, DownReason::Closed)?;
                return self.go_to(address, target);
            }
            (SessionState::Idle, State::Connect { .. }) => {
                let idle = self.idle(address);
                self.enter(address, idle);
            }
            (SessionState::Connecting, State::Idle { .. }) => self.connect(address)?,
            (SessionState::Established, State::Idle { .. } | State::Connect { .. }) => {
                let established = State::Established {
                    hello: self
                        .timers
                        .every(self.times.hello, NeighboursTimer::SendHello),
                    hold: self
                        .timers
                        .once(self.times.hold, NeighboursTimer::Expire { address }),
                };
                self.enter(address, established);
                self.statistics.count(Record::SessionUp)?;
            }
        }
        ControlFlow::Continue(())
    }

    fn connect(&mut self, address: IpAddr) -> ControlFlow<()> {
        let timer = NeighboursTimer::GiveUp { address };
        let give_up = self.timers.once(self.times.connect, timer);
        self.enter(address, State::Connect { give_up });
        self.statistics.count(Record::ConnectAttempt)
    }

    /// Closes an established session and removes its routes.
    fn close(&mut self, address: IpAddr, reason: DownReason) -> ControlFlow<()> {
        let idle = self.idle(address);
        self.enter(address, idle);
        if let Some(neighbour) = self.known.get_mut(&address) {
            neighbour.flaps += 1;
        }
        self.statistics.count(Record::SessionDown(reason))?;
        self.routes.forget(address)
    }

    fn idle(&self, address: IpAddr) -> State {
        let timer = NeighboursTimer::Retry { address };
        let retry = self.timers.once(self.times.retry, timer);
        State::Idle { retry }
    }

    /// Enters a state and cancels the timers of the state before.
    fn enter(&mut self, address: IpAddr, next: State) {
        let Some(neighbour) = self.known.get_mut(&address) else {
            return;
        };
        match std::mem::replace(&mut neighbour.state, next) {
            State::Idle { retry: timer } | State::Connect { give_up: timer } => {
                self.timers.cancel(timer);
            }
            State::Established { hello, hold } => {
                self.timers.cancel(hello);
                self.timers.cancel(hold);
            }
        }
    }
}

#[service]
impl Neighbours {
    /// Handles a message of a neighbour.
    pub(crate) fn receive(
        &mut self,
        peer: Peer,
        message: Message,
        reply: ReplyTo<'_, Self, (), Rejection>,
    ) -> ControlFlow<()> {
        let handled = self.handle(peer, message)?;
        let _ = reply.answer(handled);
        ControlFlow::Continue(())
    }

    /// Returns the neighbours, ordered by address.
    pub(crate) fn show(&self) -> Vec<NeighbourStatus> {
        let status = |(&address, neighbour): (&IpAddr, &Neighbour)| NeighbourStatus {
            peer: Peer {
                address,
                system: neighbour.system,
            },
            state: match neighbour.state {
                State::Idle { .. } => SessionState::Idle,
                State::Connect { .. } => SessionState::Connecting,
                State::Established { .. } => SessionState::Established,
            },
            flaps: neighbour.flaps,
            messages: neighbour.messages,
        };
        self.known.iter().map(status).collect()
    }

    // No timer fires for a state that has ended: they are cancelled on the loop's own thread.

    #[timer]
    fn send_hello(&mut self) -> ControlFlow<()> {
        self.statistics.count(Record::HelloSent)
    }

    #[timer]
    fn expire(&mut self, address: IpAddr) -> ControlFlow<()> {
        self.close(address, DownReason::HoldTimer)
    }

    #[timer]
    fn give_up(&mut self, address: IpAddr) {
        let idle = self.idle(address);
        self.enter(address, idle);
    }

    #[timer]
    fn retry(&mut self, address: IpAddr) -> ControlFlow<()> {
        self.connect(address)
    }
}
