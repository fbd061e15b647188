//! The component `neighbours`: a state machine for each neighbour, driven by its messages and by timers.
//!
//! ```text
//!              retry timer; it connects                     it is established
//!        idle ──────────────────────────▶ connect ──────────────────────────▶ established
//!         ▲ ▲          connect timer         │                                     │ │ ▲
//!         │ └────────────────────────────────┘                                     │ └─┘ any message: hold timer anew
//!         └────────────────────────────────────────────────────────────────────────┘     hello timer: a hello is sent
//!                     it closes, or connects anew; hold timer: its routes are forgotten
//! ```
//!
//! One of whom nothing was known is established by whatever it says, as a file may begin in the middle of a session. Invariants: only an established neighbour has
//! routes; a state owns its timers, and they end with it.

use std::{collections::BTreeMap, fmt, net::IpAddr, ops::ControlFlow, time::Duration};

use ump_server::{Client, ReplyContext, TimerId, Timers, thread::Handler};

use crate::{
    line::{Message, Peer, Stage},
    path::Path,
    shards::Shards,
    statistics::{Note, Notes, Reason},
    table,
};

/// How long a neighbour may take to be established, and how long it is left alone if it does not get there.
const CONNECT: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_secs(120);

#[derive(Debug)]
pub(crate) enum Op {
    Message(Peer, Message),
    Show,
}

#[derive(Debug)]
pub(crate) enum Reply {
    Done,
    /// In the order of their addresses.
    Neighbours(Vec<Standing>),
}

/// How a neighbour is.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) peer: Peer,
    pub(crate) stage: Stage,
    /// How often its session went down.
    pub(crate) flaps: u64,
    pub(crate) messages: u64,
}

/// Why a message is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    NotEstablished(IpAddr),
    OtherSystem { known: Peer, system: u32 },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotEstablished(address) => write!(f, "{address} has no session"),
            Self::OtherSystem { known, system } => {
                write!(
                    f,
                    "{} is in AS {}, not {system}",
                    known.address, known.system
                )
            }
        }
    }
}

pub(crate) type NeighboursClient = Client<Op, Reply, Refusal>;

/// What a timer is for, and whose it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token(IpAddr, Timer);

#[derive(Clone, Copy, Debug)]
enum Timer {
    Hello,
    Hold,
    Connect,
    Retry,
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
    known: BTreeMap<IpAddr, Neighbour>,
    timers: Timers<Token>,
    times: Times,
    routes: Shards,
    notes: Notes,
}

/// By the clock of the loop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    hold: Duration,
    hello: Duration,
    connect: Duration,
    retry: Duration,
}

impl Times {
    /// With this hold time, of a time that goes so many times as quick as the clock of the loop.
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
    pub(crate) fn new(timers: Timers<Token>, times: Times, routes: Shards, notes: Notes) -> Self {
        Self {
            known: BTreeMap::new(),
            timers,
            times,
            routes,
            notes,
        }
    }

    fn hear(&mut self, peer: Peer, message: Message) -> ControlFlow<(), Result<(), Refusal>> {
        if let Err(refusal) = self.meet(peer, &message)? {
            return ControlFlow::Continue(Err(refusal));
        }
        let address = peer.address;
        match message {
            Message::Stage(stage) => self.go_to(address, stage)?,
            Message::Keepalive => {}
            Message::Announce(prefix, attributes) => {
                let from = address;
                let path = Path { from, attributes };
                self.routes
                    .post(prefix, table::Op::Announce(prefix, path))?;
            }
            Message::Withdraw(prefix) => {
                self.routes
                    .post(prefix, table::Op::Withdraw(prefix, address))?;
            }
        }
        ControlFlow::Continue(Ok(()))
    }

    /// Whether somebody may say this; and if so, it is heard.
    fn meet(&mut self, peer: Peer, message: &Message) -> ControlFlow<(), Result<(), Refusal>> {
        let Peer { address, system } = peer;
        let needs_session = !matches!(message, Message::Stage(_));
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
                self.go_to(address, Stage::Established)?;
            }
            return ControlFlow::Continue(Ok(()));
        };
        if neighbour.system != system {
            let known = Peer {
                system: neighbour.system,
                address,
            };
            return ControlFlow::Continue(Err(Refusal::OtherSystem { known, system }));
        }
        if let State::Established { hold, .. } = neighbour.state {
            self.timers.reschedule_after(hold, self.times.hold);
        } else if needs_session {
            return ControlFlow::Continue(Err(Refusal::NotEstablished(address)));
        }
        neighbour.messages += 1;
        ControlFlow::Continue(Ok(()))
    }

    /// A neighbour says how far its session has got.
    fn go_to(&mut self, address: IpAddr, stage: Stage) -> ControlFlow<()> {
        let Some(state) = self.known.get(&address).map(|neighbour| neighbour.state) else {
            return ControlFlow::Continue(());
        };
        match (stage, state) {
            (Stage::Idle, State::Idle { .. })
            | (Stage::Connecting, State::Connect { .. })
            | (Stage::Established, State::Established { .. }) => {}
            (_, State::Established { .. }) => {
                self.lose(address, Reason::Closed)?;
                return self.go_to(address, stage);
            }
            (Stage::Idle, State::Connect { .. }) => {
                let idle = self.idle(address);
                self.enter(address, idle);
            }
            (Stage::Connecting, State::Idle { .. }) => self.connect(address)?,
            (Stage::Established, State::Idle { .. } | State::Connect { .. }) => {
                let established = State::Established {
                    hello: self
                        .timers
                        .every(self.times.hello, Token(address, Timer::Hello)),
                    hold: self
                        .timers
                        .once(self.times.hold, Token(address, Timer::Hold)),
                };
                self.enter(address, established);
                self.notes.note(Note::Up)?;
            }
        }
        ControlFlow::Continue(())
    }

    fn connect(&mut self, address: IpAddr) -> ControlFlow<()> {
        let token = Token(address, Timer::Connect);
        let give_up = self.timers.once(self.times.connect, token);
        self.enter(address, State::Connect { give_up });
        self.notes.note(Note::TriedToConnect)
    }

    /// An established neighbour is no more, and its routes with it.
    fn lose(&mut self, address: IpAddr, reason: Reason) -> ControlFlow<()> {
        let idle = self.idle(address);
        self.enter(address, idle);
        if let Some(neighbour) = self.known.get_mut(&address) {
            neighbour.flaps += 1;
        }
        self.notes.note(Note::Down(reason))?;
        self.routes.forget(address)
    }

    fn idle(&self, address: IpAddr) -> State {
        let token = Token(address, Timer::Retry);
        let retry = self.timers.once(self.times.retry, token);
        State::Idle { retry }
    }

    /// The timers of the state before end with it.
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

    fn standings(&self) -> Vec<Standing> {
        let standing = |(&address, neighbour): (&IpAddr, &Neighbour)| Standing {
            peer: Peer {
                address,
                system: neighbour.system,
            },
            stage: match neighbour.state {
                State::Idle { .. } => Stage::Idle,
                State::Connect { .. } => Stage::Connecting,
                State::Established { .. } => Stage::Established,
            },
            flaps: neighbour.flaps,
            messages: neighbour.messages,
        };
        self.known.iter().map(standing).collect()
    }
}

impl Handler<Op, Reply, Refusal, (), Token> for Neighbours {
    fn proc_req(&mut self, op: Op, rctx: ReplyContext<'_, Reply, Refusal>) -> ControlFlow<()> {
        let answer = match op {
            Op::Message(peer, message) => self.hear(peer, message)?.map(|()| Reply::Done),
            Op::Show => Ok(Reply::Neighbours(self.standings())),
        };
        let _ = rctx.answer(answer);
        ControlFlow::Continue(())
    }

    /// Of a state that has ended none comes: they are cancelled here, on the loop's own thread.
    fn on_timer(&mut self, Token(address, timer): Token) -> ControlFlow<()> {
        match timer {
            Timer::Hello => self.notes.note(Note::SaidHello),
            Timer::Hold => self.lose(address, Reason::HoldTimer),
            Timer::Connect => {
                let idle = self.idle(address);
                self.enter(address, idle);
                ControlFlow::Continue(())
            }
            Timer::Retry => self.connect(address),
        }
    }
}
