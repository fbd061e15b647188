//! The server: takes requests, and turns them down.

use std::{collections::VecDeque, task::Poll};

use super::{
    Completion, Deserted, Mismatch, Model, NORMAL, Registration, State, URGENT, URGENT_RUN,
    none_of_its_own,
    wait_queue::{Left, WaiterKey},
};
use crate::program::Deadline;

impl Model {
    /// Takes up to `max` requests. `seen` contains the messages that were really taken, and is used
    /// only where the model is not exact.
    pub(crate) fn take(
        &mut self,
        max: usize,
        key: Option<&mut WaiterKey>,
        seen: &[usize],
    ) -> Result<Vec<usize>, Deserted> {
        let mut taken = Vec::new();
        while taken.len() < max {
            let run = self.run;
            let Some(r) = self.pop(seen.get(taken.len()).copied()) else {
                break;
            };
            if self.is_late(r) {
                // The request does not count as a turn.
                self.run = run;
                self.stats.timeout_queued += 1;
                self.turn_down(r, Completion::Expired);
            } else {
                let request = &mut self.requests[r];
                request.state = State::Taken;
                let message = request.message;
                // The receiver drops the request.
                self.record_drop(message);
                taken.push(message);
            }
        }
        if taken.is_empty() && max > 0 && self.is_deserted() {
            return Err(Deserted);
        }
        if let (Some(key), false) = (key, taken.is_empty()) {
            // The receiver has its result, whether it was woken or not.
            self.receivers.leave(key);
        }
        Ok(taken)
    }

    pub(super) fn pop(&mut self, seen: Option<usize>) -> Option<usize> {
        let [normal, urgent] = &self.lanes;
        let lane = match (normal.front(), urgent.front()) {
            (None, None) => return None,
            (Some(_), None) => NORMAL,
            (None, _) => URGENT,
            (Some(_), Some(_)) => {
                let [least, most] = self.run;
                let normal_was_next = || {
                    normal
                        .iter()
                        .any(|r| seen == Some(self.requests[*r].message))
                };
                let normal_is_next =
                    least >= URGENT_RUN || (most >= URGENT_RUN && normal_was_next());
                usize::from(!normal_is_next)
            }
        };
        self.run = if lane == URGENT && !normal.is_empty() {
            self.run.map(|run| run + 1)
        } else if lane == NORMAL && urgent.is_empty() && self.may_pass_by(normal) {
            [0, self.run[1]]
        } else {
            [0, 0]
        };
        let r = self.lanes[lane].pop_front()?;
        let next = self.senders[lane].pop();
        self.wake(next);
        Some(r)
    }

    /// Returns whether the only request may have come to a thread without passing through the
    /// queue.
    fn may_pass_by(&self, normal: &VecDeque<usize>) -> bool {
        let request = |r: &usize| &self.requests[*r];
        normal.len() == 1 && self.capacity.is_none() && normal.iter().all(|r| !request(r).post)
    }

    /// Returns whether there is a request that does not become overdue. On a busy machine a request
    /// with a near deadline becomes overdue at any time, and a receiver that blocks for it would
    /// hang.
    pub(crate) fn has_some(&self) -> bool {
        let stays = |r: &usize| {
            let deadline = self.requests[*r].deadline;
            matches!(deadline, Deadline::None | Deadline::Far)
        };
        self.lanes.iter().flatten().any(stays)
    }

    /// Ends a request that was not taken.
    pub(super) fn turn_down(&mut self, r: usize, completion: Completion) {
        if self.requests[r].post {
            let message = self.requests[r].message;
            self.record_drop(message);
            self.end(r);
        } else {
            self.publish(r, completion);
        }
    }

    pub(super) fn publish(&mut self, r: usize, completion: Completion) {
        let request = &mut self.requests[r];
        request.state = State::Done(completion);
        request.watcher = None;
        match std::mem::replace(&mut request.registration, Registration::None) {
            Registration::None => {}
            Registration::Kept(counter) => self.wakes[counter] += 1,
            Registration::Unknown(counter) => self.spare[counter] += 1,
        }
    }

    /// Polls the server in place: takes a request, or registers as the latest poller.
    pub(crate) fn poll_server(
        &mut self,
        counter: usize,
        seen: &[usize],
    ) -> Poll<Result<Vec<usize>, Deserted>> {
        let taken = self.take(1, None, seen);
        if taken.as_ref().is_ok_and(Vec::is_empty) {
            self.poller = Some(counter);
            return Poll::Pending;
        }
        Poll::Ready(taken)
    }

    /// Polls a task that receives.
    pub(crate) fn poll_receiving(
        &mut self,
        max: usize,
        key: &mut WaiterKey,
        counter: usize,
        own: usize,
        seen: &[usize],
    ) -> Result<Poll<Result<Vec<usize>, Deserted>>, Mismatch> {
        let was_empty = self.len() == 0;
        let taken = self.take(max, Some(key), seen);
        if max > 0 && taken.as_ref().is_ok_and(Vec::is_empty) {
            if own == 0 {
                self.receivers.register(key, counter);
            } else {
                self.check_yield(0, own, was_empty)?;
            }
            self.waits[0] += 1;
            return Ok(Poll::Pending);
        }
        none_of_its_own(own)?;
        Ok(Poll::Ready(taken))
    }

    pub(crate) fn stop_receiving(&mut self, mut key: WaiterKey) {
        if let Left::Woken = self.receivers.leave(&mut key) {
            if self.len() > 0 {
                let next = self.receivers.pop();
                self.wake(next);
            }
        }
    }
}
