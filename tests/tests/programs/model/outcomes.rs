//! Accepted requests, until their callers have an outcome.

use std::task::Poll;

use tests::ends::{Failure, Reason};
use ump::{Executed, NoReply, PanicMessage};

use super::{
    Completion, FIRST, Mismatch, Model, Outcome, Registration, Request, State, none_of_its_own,
    wait_queue::WaiterKey,
};
use crate::program::Deadline;

impl Model {
    /// Polls a future that waits for an outcome.
    pub(crate) fn poll_waiting(
        &mut self,
        r: usize,
        counter: usize,
        own: usize,
    ) -> Result<Poll<Outcome>, Mismatch> {
        if let Some(outcome) = self.look(r) {
            none_of_its_own(own)?;
            return Ok(Poll::Ready(outcome));
        }
        let timed = self.requests[r].deadline != Deadline::None;
        if own == 0 {
            self.requests[r].registration = Registration::Kept(counter);
        } else {
            self.check_yield(1, own, !timed)?;
        }
        self.waits[1] += 1;
        if timed {
            self.requests[r].timer = Some(counter);
        }
        Ok(Poll::Pending)
    }

    pub(super) fn check_yield(&self, end: usize, own: usize, fits: bool) -> Result<(), Mismatch> {
        let may = self.may_yield && fits && self.waits[end] >= FIRST;
        // A receiver that finds only overdue requests checks again. On a busy machine a near
        // deadline passes at any time.
        let overdue = end == 0 && self.requests.iter().any(|r| r.deadline == Deadline::Near);
        if (may || overdue) && own == 1 {
            Ok(())
        } else {
            Err(format!(
                "it woke itself {own} times, at the {}th wait",
                self.waits[end] + 1
            ))
        }
    }

    /// Returns the outcome if it is ready or the deadline has passed.
    pub(crate) fn look(&mut self, r: usize) -> Option<Outcome> {
        if let State::Done(completion) = self.requests[r].state {
            let outcome = self.settle(r, completion);
            return Some(outcome);
        }
        if !self.is_late(r) {
            return None;
        }
        let why = if self.withdraw(r) {
            self.stats.timeout_queued += 1;
            let message = self.requests[r].message;
            self.record_drop(message);
            Reason::TimeoutQueued
        } else {
            self.stats.timeout_taken += 1;
            self.abandon(r);
            Reason::TimeoutTaken
        };
        self.end(r);
        Some(Err(self.failure(r, why)))
    }

    pub(crate) fn is_ready(&self, r: usize) -> bool {
        matches!(self.requests[r].state, State::Done(_))
    }

    /// Returns whether the deadline, if there is one, has not passed.
    pub(crate) fn is_not_due(&self, r: usize) -> bool {
        !self.is_late(r)
    }

    /// Gives up a wait without a task.
    pub(crate) fn forget_waker(&mut self, r: usize) {
        self.requests[r].registration = Registration::None;
    }

    pub(crate) fn drop_reply(&mut self, r: usize) {
        if let State::Done(completion) = self.requests[r].state {
            let _ = self.settle(r, completion);
            return;
        }
        if self.withdraw(r) {
            self.stats.cancelled_queued += 1;
            let message = self.requests[r].message;
            self.record_drop(message);
        } else {
            self.stats.cancelled_taken += 1;
            self.abandon(r);
        }
        self.end(r);
    }

    /// The caller has its outcome.
    pub(super) fn end(&mut self, r: usize) {
        let request = &mut self.requests[r];
        if request.state != State::Taken {
            request.state = State::Over;
        }
        request.timer = None;
        request.registration = Registration::None;
        request.key = WaiterKey::default();
    }

    fn settle(&mut self, r: usize, completion: Completion) -> Outcome {
        let Request {
            detailed, message, ..
        } = self.requests[r];
        self.end(r);
        let why = match completion {
            Completion::Reply(reply) => {
                self.record_drop(reply);
                return Ok(reply);
            }
            Completion::App(error) => {
                self.record_drop(error);
                Reason::App(error)
            }
            Completion::Dropped => Reason::NoReply(detailed.then_some(NoReply::Dropped)),
            // No outcome is reported: it was dropped while its thread unwound.
            Completion::Panicked => {
                Reason::NoReply(detailed.then(|| NoReply::Panicked(PanicMessage::default())))
            }
            Completion::Overdue => Reason::TimeoutTaken,
            Completion::ServerDisappeared | Completion::Expired => {
                self.record_drop(message);
                if completion == Completion::Expired {
                    Reason::TimeoutQueued
                } else {
                    Reason::ServerDisappeared
                }
            }
        };
        Err(self.failure(r, why))
    }

    pub(super) fn failure(&self, r: usize, why: Reason<usize>) -> Failure<usize, usize> {
        let executed = match why {
            Reason::App(_) => Executed::Yes,
            Reason::NoReply(_) | Reason::TimeoutTaken => Executed::Perhaps,
            _ => Executed::No,
        };
        let Request {
            detailed, message, ..
        } = self.requests[r];
        let comes_back = detailed && executed == Executed::No;
        Failure {
            why,
            executed,
            message: comes_back.then_some(message),
        }
    }

    /// Removes a request from the queue, if it is there.
    fn withdraw(&mut self, r: usize) -> bool {
        let lane = self.requests[r].lane;
        let Some(at) = self.lanes[lane].iter().position(|queued| *queued == r) else {
            return false;
        };
        self.lanes[lane].remove(at);
        let next = self.senders[lane].pop();
        self.wake(next);
        true
    }

    fn abandon(&mut self, r: usize) {
        self.requests[r].abandoned = true;
        let watcher = self.requests[r].watcher.take();
        self.wake(watcher);
    }
}
