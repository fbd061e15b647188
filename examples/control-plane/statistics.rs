//! The component `statistics`: counts what the others note, in all and by the minute.
//!
//! A periodic timer closes a minute. Notes are posted, and whoever posts one waits if the queue is full, so none is lost: when all has come to rest, what was counted is
//! what happened.

use std::{
    collections::VecDeque,
    ops::{AddAssign, ControlFlow},
    time::{Duration, Instant},
};

use ump_server::{Client, Clock, Refused, ReplyContext, Timers, thread::Handler, timer::Periodic};

const MINUTE: Duration = Duration::from_secs(60);

/// How many minutes are remembered one by one.
const KEPT: usize = 10;

/// What happened.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Note {
    Announced {
        best_changed: bool,
    },
    Withdrawn {
        best_changed: bool,
    },
    /// There was no such path.
    WithdrawnInVain,
    /// Paths are gone with their neighbour.
    Lost {
        paths: u64,
        best_changed: u64,
    },
    LookedUp {
        found: bool,
    },
    /// A session has come up.
    Up,
    /// A session has gone down.
    Down(Reason),
    SaidHello,
    TriedToConnect,
}

/// Why a session has gone down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The neighbour said so.
    Closed,
    /// Nothing was heard of it for too long.
    HoldTimer,
}

/// How often it happened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) announced: u64,
    pub(crate) withdrawn: u64,
    pub(crate) withdrawn_in_vain: u64,
    pub(crate) lost: u64,
    pub(crate) best_changed: u64,
    pub(crate) found: u64,
    pub(crate) not_found: u64,
    pub(crate) up: u64,
    pub(crate) closed: u64,
    pub(crate) held: u64,
    pub(crate) hellos: u64,
    pub(crate) attempts: u64,
}

impl Tally {
    fn of(note: Note) -> Self {
        let mut tally = Self::default();
        match note {
            Note::Announced { best_changed } => {
                tally.announced = 1;
                tally.best_changed = best_changed.into();
            }
            Note::Withdrawn { best_changed } => {
                tally.withdrawn = 1;
                tally.best_changed = best_changed.into();
            }
            Note::WithdrawnInVain => tally.withdrawn_in_vain = 1,
            Note::Lost {
                paths,
                best_changed,
            } => {
                tally.lost = paths;
                tally.best_changed = best_changed;
            }
            Note::LookedUp { found: true } => tally.found = 1,
            Note::LookedUp { found: false } => tally.not_found = 1,
            Note::Up => tally.up = 1,
            Note::Down(Reason::Closed) => tally.closed = 1,
            Note::Down(Reason::HoldTimer) => tally.held = 1,
            Note::SaidHello => tally.hellos = 1,
            Note::TriedToConnect => tally.attempts = 1,
        }
        tally
    }

    /// Messages about routes.
    pub(crate) fn updates(&self) -> u64 {
        self.announced + self.withdrawn + self.withdrawn_in_vain
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, more: Self) {
        self.announced += more.announced;
        self.withdrawn += more.withdrawn;
        self.withdrawn_in_vain += more.withdrawn_in_vain;
        self.lost += more.lost;
        self.best_changed += more.best_changed;
        self.found += more.found;
        self.not_found += more.not_found;
        self.up += more.up;
        self.closed += more.closed;
        self.held += more.held;
        self.hellos += more.hellos;
        self.attempts += more.attempts;
    }
}

/// A minute, and what happened in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Minute {
    /// When it ended, by the clock of the loops.
    pub(crate) end: Instant,
    pub(crate) tally: Tally,
}

#[derive(Debug)]
pub(crate) enum Op {
    Note(Note),
    Report,
}

#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Noted,
    Report(Box<Report>),
}

#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) total: Tally,
    pub(crate) minutes: u64,
    /// The first one with the most updates.
    pub(crate) busiest: Option<Minute>,
    /// The last ones, the oldest first.
    pub(crate) recent: Vec<Minute>,
}

pub(crate) type StatisticsClient = Client<Op, Reply, Refused>;

/// Where notes go.
#[derive(Clone, Debug)]
pub(crate) struct Notes(pub(crate) StatisticsClient);

impl Notes {
    /// `Break` if they are gone: then there is no point in going on either.
    pub(crate) fn note(&self, note: Note) -> ControlFlow<()> {
        match self.0.post(Op::Note(note)).wait() {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Statistics {
    clock: Clock,
    total: Tally,
    /// In the minute that is not over.
    current: Tally,
    minutes: u64,
    busiest: Option<Minute>,
    recent: VecDeque<Minute>,
}

/// A minute is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MinuteIsOver;

impl Statistics {
    /// Counts by the minute of a time that goes so many times as quick as its clock.
    pub(crate) fn new(clock: Clock, timers: &Timers<MinuteIsOver>, speed: u32) -> Self {
        timers.every(Periodic::new(MINUTE / speed), MinuteIsOver);
        Self {
            clock,
            total: Tally::default(),
            current: Tally::default(),
            minutes: 0,
            busiest: None,
            recent: VecDeque::new(),
        }
    }

    fn report(&self) -> Report {
        Report {
            total: self.total,
            minutes: self.minutes,
            busiest: self.busiest,
            recent: self.recent.iter().copied().collect(),
        }
    }
}

impl Handler<Op, Reply, Refused, (), MinuteIsOver> for Statistics {
    fn proc_req(&mut self, op: Op, rctx: ReplyContext<'_, Reply, Refused>) -> ControlFlow<()> {
        let reply = match op {
            Op::Note(note) => {
                let tally = Tally::of(note);
                self.total += tally;
                self.current += tally;
                Reply::Noted
            }
            Op::Report => Reply::Report(Box::new(self.report())),
        };
        let _ = rctx.reply(reply);
        ControlFlow::Continue(())
    }

    fn on_timer(&mut self, MinuteIsOver: MinuteIsOver) -> ControlFlow<()> {
        let minute = Minute {
            end: self.clock.now(),
            tally: std::mem::take(&mut self.current),
        };
        self.minutes += 1;
        let most = self.busiest.map_or(0, |busiest| busiest.tally.updates());
        if minute.tally.updates() > most {
            self.busiest = Some(minute);
        }
        if self.recent.len() == KEPT {
            self.recent.pop_front();
        }
        self.recent.push_back(minute);
        ControlFlow::Continue(())
    }
}
