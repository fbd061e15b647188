//! What happens as time passes, and requests that end before their answer.

use std::time::Instant;

use ump::Executed;

use super::{Asked, Closed, Event, Outcome, Progress, Received, Session, State};
use crate::link::wire::{Failure, Message};

impl Session {
    /// Returns when to call [`tick`](Self::tick) next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let timeouts = &self.config.timeouts;
        let silence = if self.pinged {
            timeouts.silence
        } else {
            timeouts.ping.min(timeouts.silence)
        };
        match self.state {
            State::Hello { deadline } | State::Closing { deadline, .. } => Some(deadline),
            State::Closed => None,
            State::Open => [
                Some(self.heard + silence),
                self.frame_since.map(|since| since + timeouts.frame),
                self.blocked_since.map(|since| since + timeouts.write),
                self.unanswered_since.map(|since| since + timeouts.answer),
                self.asked.first_deadline(),
                self.received.first_deadline(),
                self.taken_since.map(|since| since + timeouts.taken),
            ]
            .into_iter()
            .flatten()
            .min(),
        }
    }

    /// Handles the passing of time. Pass what was read before, or a peer may seem silent.
    pub fn tick(&mut self, now: Instant) {
        let timeouts = self.config.timeouts;
        let has_passed =
            |since: Option<Instant>, timeout| since.is_some_and(|it| it + timeout <= now);
        match self.state {
            State::Hello { deadline } if deadline <= now => {
                self.end(now, Closed::TimedOut("the peer sent no hello in time"));
            }
            State::Closing { deadline, .. } if deadline <= now => {
                self.output.discard();
                self.state = State::Closed;
            }
            State::Open => {
                self.expire(now);
                if has_passed(self.taken_since, timeouts.taken) {
                    self.taken_since = None;
                }
                if has_passed(Some(self.heard), timeouts.silence) {
                    self.end(now, Closed::TimedOut("the peer is silent"));
                } else if has_passed(self.frame_since, timeouts.frame) {
                    self.end(
                        now,
                        Closed::TimedOut("the peer did not complete a frame in time"),
                    );
                } else if has_passed(self.blocked_since, timeouts.write) {
                    self.end(now, Closed::TimedOut("the peer does not read"));
                } else if has_passed(self.unanswered_since, timeouts.answer) {
                    let what = "the peer answers no subscribe and no serve";
                    self.end(now, Closed::TimedOut(what));
                } else if !self.pinged && has_passed(Some(self.heard), timeouts.ping) {
                    self.pinged = true;
                    self.output.control(Message::Ping { token: 0 });
                }
            }
            _ => {}
        }
        self.settle();
    }

    /// This end was stopped for a time, for example by SIGSTOP or with its virtual machine, and the
    /// peer perhaps, too. So the peer has the time for what it owes from now on, and is sent a ping
    /// at the next [`tick`](Self::tick). Deadlines of requests stay.
    pub fn resumed(&mut self, now: Instant) {
        let timeouts = &self.config.timeouts;
        if let State::Hello { deadline } = &mut self.state {
            *deadline = now + timeouts.hello;
        }
        self.heard = now.checked_sub(timeouts.ping).unwrap_or(now);
        self.pinged = false;
        let since = [
            &mut self.frame_since,
            &mut self.blocked_since,
            &mut self.unanswered_since,
        ];
        for since in since.into_iter().flatten() {
            *since = now;
        }
    }

    /// Ends the requests whose deadlines have passed.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some(id) = self.asked.first_expired(now) {
            self.abandon(id, true);
        }
        while let Some(id) = self.received.first_expired(now) {
            self.withdraw(id, Failure::TimedOut);
        }
    }

    /// Returns whether it is not yet the time to tell which requests were taken.
    pub(super) fn holds_taken(&self, now: Instant) -> bool {
        let taken = self.config.timeouts.taken;
        let since = self.taken_since.filter(|_| self.state == State::Open);
        since.is_some_and(|since| now < since + taken)
    }

    /// Does not tell that a request was taken, as its answer says it.
    pub(super) fn untold_taken(&mut self, request: u64) {
        self.output.taken.retain(|it| *it != request);
        if self.output.taken.is_empty() {
            self.taken_since = None;
        }
    }

    /// Ends a request of this end before its answer.
    pub(super) fn abandon(&mut self, request: u64, expired: bool) -> bool {
        let Some(Asked::Pending(progress)) = self.asked.get(request) else {
            return false;
        };
        if progress == Progress::NotSent {
            self.output.remove_request(request);
            self.asked.remove(request);
        } else {
            self.asked.clear_deadline(request);
            self.asked.set(request, Asked::Abandoned);
            self.output.control(Message::Cancel { request, expired });
        }
        let outcome = if expired {
            Outcome::TimedOut(progress)
        } else {
            Outcome::Cancelled(progress)
        };
        self.emit(Event::Ended { request, outcome });
        true
    }

    /// Ends a request of the peer before its answer, with an answer of the session.
    pub(super) fn withdraw(&mut self, request: u64, failure: Failure) {
        let executed = match self.received.remove(request) {
            Some(Received::Delivered) => Executed::No,
            Some(Received::Taken) => Executed::Perhaps,
            None => return,
        };
        self.untold_taken(request);
        self.output.control(Message::Outcome {
            request,
            failure,
            executed,
            text: String::new(),
        });
        self.emit(Event::Withdrawn { request });
    }
}
