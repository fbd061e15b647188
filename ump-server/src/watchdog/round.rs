//! What the monitor knows about one desk from its last look.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Waker},
    time::{Duration, Instant},
};

use super::{Stage, Stall, Watched};
use crate::{
    desk::{Sight, Turn},
    sync::Arc,
};

pub(super) struct Round {
    watched: Arc<Watched>,
    /// The last turn that it knows of.
    seen: Turn,
    /// There was something in hand, or there has been since the look before.
    is_restless: bool,
    /// When there may be something to report.
    due: Option<Instant>,
    /// What was reported and goes on.
    open: Option<Open>,
    /// By a manual clock, until that is due.
    sleep: Option<ump::Sleep>,
}

struct Open {
    turn: Turn,
    since: Instant,
    stall: Stall,
    /// So long it has to go on to be reported again.
    next: Duration,
}

impl Round {
    pub(super) fn new(watched: Arc<Watched>) -> Self {
        Self {
            watched,
            seen: Turn::NONE,
            is_restless: false,
            due: None,
            open: None,
            sleep: None,
        }
    }

    pub(super) fn watched(&self) -> &Watched {
        &self.watched
    }

    pub(super) fn is_of(&self, watched: &Arc<Watched>) -> bool {
        Arc::ptr_eq(&self.watched, watched)
    }

    pub(super) fn is_restless(&self) -> bool {
        self.is_restless
    }

    /// Whether a turn has begun since the last look.
    pub(super) fn has_begun(&self) -> bool {
        match self.watched.desk.sight() {
            Sight::Away(turn) => self.seen != turn,
            Sight::Running(..) | Sight::Reported(_) => true,
        }
    }

    /// Looks at the desk; says what there is to report.
    pub(super) fn look(&mut self) -> Option<(Turn, Stall)> {
        let Watched { desk, orders } = &*self.watched;
        // Before the look: what is seen then was still going on at this instant.
        let now = desk.clock.now();
        let sight = desk.sight();
        let (turn, told) = match sight {
            Sight::Away(turn) => {
                self.is_restless = self.seen != turn;
                // Should it begin at once.
                self.due = now.checked_add(orders.threshold);
                self.open = None;
                (turn, None)
            }
            Sight::Running(turn, since) => {
                self.is_restless = true;
                self.due = since.checked_add(orders.threshold);
                let is_due = self.due.is_some_and(|due| due <= now);
                (
                    turn,
                    is_due.then(|| self.notice(turn, since, now)).flatten(),
                )
            }
            Sight::Reported(turn) => {
                self.is_restless = true;
                (turn, self.remind(turn, now))
            }
        };
        self.seen = turn;
        told.map(|stall| (turn, stall))
    }

    fn notice(&mut self, turn: Turn, since: Instant, now: Instant) -> Option<Stall> {
        let Watched { desk, orders } = &*self.watched;
        let Some(what) = desk.claim(turn) else {
            // It has just ended.
            self.due = now.checked_add(orders.threshold);
            return None;
        };
        let stall = self
            .watched
            .stall(Stage::Noticed, what, now.saturating_duration_since(since));
        self.open = Some(Open {
            turn,
            since,
            next: orders.threshold,
            stall: stall.clone(),
        });
        self.postpone(now);
        Some(stall)
    }

    /// Reports a turn again, if it is time.
    fn remind(&mut self, turn: Turn, now: Instant) -> Option<Stall> {
        let open = self.open.as_mut().filter(|open| open.turn == turn)?;
        if self.due.is_none_or(|due| now < due) {
            return None;
        }
        open.stall.stage = Stage::Persists;
        open.stall.elapsed = now.saturating_duration_since(open.since);
        let stall = open.stall.clone();
        self.postpone(now);
        Some(stall)
    }

    /// The next report is due when the elapsed time has doubled.
    fn postpone(&mut self, now: Instant) {
        let Some(open) = &mut self.open else {
            return;
        };
        let elapsed = now.saturating_duration_since(open.since);
        while open.next <= elapsed {
            open.next = open.next.saturating_mul(2);
        }
        self.due = open.since.checked_add(open.next);
    }

    /// When to look again by the system's clock. By a manual one the waker is called when it is time; an error if it is already.
    pub(super) fn sleep(&mut self, waker: &Waker) -> Result<Option<Instant>, ()> {
        let clock = &self.watched.desk.clock;
        let Some(due) = self.due.filter(|_| clock.is_manual()) else {
            self.sleep = None;
            return Ok(self.due);
        };
        let sleep = match &mut self.sleep {
            Some(sleep) if sleep.deadline() == due => sleep,
            other => other.insert(clock.sleep_until(due)),
        };
        if Pin::new(sleep)
            .poll(&mut Context::from_waker(waker))
            .is_ready()
        {
            self.sleep = None;
            return Err(());
        }
        Ok(None)
    }
}
