//! The component `statistics`: counts the records of the others, in total and by the minute.
//!
//! A periodic timer closes a minute. Records are posted, and a sender waits while the queue is
//! full, so none is lost: when all components are quiet, the counters are exact.

use std::{
    collections::VecDeque,
    ops::{AddAssign, ControlFlow},
    time::{Duration, Instant},
};

use ump_server::{Clock, service};

const MINUTE: Duration = Duration::from_secs(60);

/// The number of recent minutes that are kept.
const RECENT_MINUTES: usize = 10;

/// An event to count.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Record {
    Announced {
        best_changed: bool,
    },
    Withdrawn {
        best_changed: bool,
    },
    /// A withdrawal of a path that does not exist.
    SpuriousWithdrawal,
    /// Paths removed with the session of their neighbour.
    Lost {
        paths: u64,
        best_changed: u64,
    },
    LookedUp {
        found: bool,
    },
    /// The best paths were chosen anew, as the topology has changed.
    Rerouted {
        best_changed: u64,
    },
    SessionUp,
    SessionDown(DownReason),
    HelloSent,
    ConnectAttempt,
}

/// Why a session went down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DownReason {
    /// The neighbour closed it.
    Closed,
    /// The neighbour was silent for longer than the hold time.
    HoldTimer,
}

/// The number of records of each kind.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) announced: u64,
    pub(crate) withdrawn: u64,
    pub(crate) spurious_withdrawals: u64,
    pub(crate) lost: u64,
    pub(crate) best_changed: u64,
    pub(crate) found: u64,
    pub(crate) not_found: u64,
    pub(crate) up: u64,
    pub(crate) closed: u64,
    pub(crate) hold_expired: u64,
    pub(crate) hellos: u64,
    pub(crate) attempts: u64,
}

impl Counters {
    fn of(record: Record) -> Self {
        let mut counters = Self::default();
        match record {
            Record::Announced { best_changed } => {
                counters.announced = 1;
                counters.best_changed = best_changed.into();
            }
            Record::Withdrawn { best_changed } => {
                counters.withdrawn = 1;
                counters.best_changed = best_changed.into();
            }
            Record::SpuriousWithdrawal => counters.spurious_withdrawals = 1,
            Record::Lost {
                paths,
                best_changed,
            } => {
                counters.lost = paths;
                counters.best_changed = best_changed;
            }
            Record::Rerouted { best_changed } => counters.best_changed = best_changed,
            Record::LookedUp { found: true } => counters.found = 1,
            Record::LookedUp { found: false } => counters.not_found = 1,
            Record::SessionUp => counters.up = 1,
            Record::SessionDown(DownReason::Closed) => counters.closed = 1,
            Record::SessionDown(DownReason::HoldTimer) => counters.hold_expired = 1,
            Record::HelloSent => counters.hellos = 1,
            Record::ConnectAttempt => counters.attempts = 1,
        }
        counters
    }

    /// Returns the number of messages about routes.
    pub(crate) fn updates(&self) -> u64 {
        self.announced + self.withdrawn + self.spurious_withdrawals
    }
}

impl AddAssign for Counters {
    fn add_assign(&mut self, more: Self) {
        self.announced += more.announced;
        self.withdrawn += more.withdrawn;
        self.spurious_withdrawals += more.spurious_withdrawals;
        self.lost += more.lost;
        self.best_changed += more.best_changed;
        self.found += more.found;
        self.not_found += more.not_found;
        self.up += more.up;
        self.closed += more.closed;
        self.hold_expired += more.hold_expired;
        self.hellos += more.hellos;
        self.attempts += more.attempts;
    }
}

/// The counters of one minute.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Minute {
    /// The end of the minute, by the clock of the loops.
    pub(crate) end: Instant,
    pub(crate) counters: Counters,
}

#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) total: Counters,
    pub(crate) minutes: u64,
    /// The first minute with the most updates.
    pub(crate) busiest: Option<Minute>,
    /// The last minutes, the oldest first.
    pub(crate) recent: Vec<Minute>,
}

impl StatisticsClient {
    /// Posts a record; `Break` if the component has ended, so that the caller ends as well.
    pub(crate) fn count(&self, record: Record) -> ControlFlow<()> {
        match self.record(record).wait() {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Statistics {
    clock: Clock,
    minute: Duration,
    total: Counters,
    /// The counters of the current minute.
    current: Counters,
    minutes: u64,
    busiest: Option<Minute>,
    recent: VecDeque<Minute>,
}

impl Statistics {
    /// Counts by the minute of a time that is `speed` times as fast as the clock.
    pub(crate) fn new(clock: Clock, speed: u32) -> Self {
        Self {
            clock,
            minute: MINUTE / speed,
            total: Counters::default(),
            current: Counters::default(),
            minutes: 0,
            busiest: None,
            recent: VecDeque::new(),
        }
    }
}

#[service]
impl Statistics {
    #[post]
    pub(crate) fn record(&mut self, record: Record) {
        let counters = Counters::of(record);
        self.total += counters;
        self.current += counters;
    }

    pub(crate) fn report(&self) -> Report {
        Report {
            total: self.total,
            minutes: self.minutes,
            busiest: self.busiest,
            recent: self.recent.iter().copied().collect(),
        }
    }

    #[timer(every = self.minute)]
    fn close_minute(&mut self) {
        let minute = Minute {
            end: self.clock.now(),
            counters: std::mem::take(&mut self.current),
        };
        self.minutes += 1;
        let most = self.busiest.map_or(0, |busiest| busiest.counters.updates());
        if minute.counters.updates() > most {
            self.busiest = Some(minute);
        }
        if self.recent.len() == RECENT_MINUTES {
            self.recent.pop_front();
        }
        self.recent.push_back(minute);
    }
}
