//! Requests until they are accepted or refused.

use std::task::Poll;

use tests::ends::Reason;

use super::{
    Completion, Made, Mismatch, Model, Registration, Request, State, none_of_its_own,
    wait_queue::{Left, WaiterKey},
};
use crate::program::{Deadline, Options, RequestKind};

impl Model {
    pub(crate) fn new_request(&mut self, kind: RequestKind, options: Options) -> usize {
        let message = self.new_payload();
        self.requests.push(Request {
            lane: usize::from(options.urgent),
            deadline: options.deadline,
            if_room: options.if_room,
            asks: matches!(kind, RequestKind::Areq | RequestKind::Await),
            post: matches!(kind, RequestKind::Post | RequestKind::PostNow),
            detailed: !matches!(kind, RequestKind::Areq | RequestKind::ReqAsync),
            message,
            state: State::Unsent,
            abandoned: false,
            key: WaiterKey::default(),
            registration: Registration::None,
            timer: None,
            watcher: None,
            watch_timer: None,
        });
        self.requests.len() - 1
    }

    /// Returns the request with this message.
    pub(crate) fn request_of(&self, message: usize) -> Option<usize> {
        self.requests.iter().position(|r| r.message == message)
    }

    pub(super) fn is_late(&self, r: usize) -> bool {
        match self.requests[r].deadline {
            Deadline::None | Deadline::Far => false,
            Deadline::Past => true,
            Deadline::Near => self.passed,
        }
    }

    fn has_room(&self, lane: usize) -> bool {
        self.capacity
            .is_none_or(|most| self.lanes[lane].len() < most)
    }

    /// Returns whether a call that waits for room would block.
    pub(crate) fn would_block(&self, r: usize) -> bool {
        let request = &self.requests[r];
        self.open
            && !request.if_room
            && !self.is_late(r)
            && !self.has_room(request.lane)
            && !self.has_share(r)
    }

    /// Returns the number of overdue requests at the head of a lane.
    fn late_at_head(&self, lane: usize) -> usize {
        let lane = self.lanes[lane].iter();
        lane.take_while(|r| self.is_late(**r)).count()
    }

    /// Returns whether there would be room for a request, behind the senders that wait before it,
    /// without the overdue requests at the head.
    fn has_share(&self, r: usize) -> bool {
        let Request { lane, key, .. } = &self.requests[r];
        self.senders[*lane].ahead_of(key) < self.late_at_head(*lane)
    }

    /// Returns whether there is room for a request. In a full lane the request turns down the
    /// overdue requests at the head. Their room is for the waiting senders and for the request
    /// itself, in their order. The request has its own room without being woken.
    fn finds_room(&mut self, r: usize) -> bool {
        let lane = self.requests[r].lane;
        if self.has_room(lane) {
            return true;
        }
        let has_share = self.has_share(r);
        let late = self.late_at_head(lane);
        for _ in 0..late {
            let r = self.lanes[lane].pop_front().expect("counted");
            self.stats.timeout_queued += 1;
            self.turn_down(r, Completion::Expired);
        }
        if has_share {
            let mut key = std::mem::take(&mut self.requests[r].key);
            self.senders[lane].leave(&mut key);
        }
        for _ in usize::from(has_share)..late {
            let next = self.senders[lane].pop();
            self.wake(next);
        }
        has_share
    }

    pub(crate) fn send_now(&mut self, r: usize) -> Made<()> {
        if self.is_late(r) {
            return self.refuse(r, Reason::TimeoutQueued);
        }
        if !self.open {
            return self.refuse(r, Reason::ServerDisappeared);
        }
        if !self.finds_room(r) {
            return self.refuse(r, Reason::Full);
        }
        self.accept(r);
        self.accepted(r)
    }

    fn accepted(&self, r: usize) -> Made<()> {
        if self.requests[r].post {
            Made::Posted
        } else {
            Made::Accepted(())
        }
    }

    fn refuse(&mut self, r: usize, why: Reason<usize>) -> Made<()> {
        self.stats.refused += 1;
        let message = self.requests[r].message;
        self.record_drop(message);
        self.end(r);
        Made::Ended(Err(self.failure(r, why)))
    }

    fn accept(&mut self, r: usize) {
        let request = &mut self.requests[r];
        request.state = State::Queued;
        let lane = request.lane;
        let mut key = std::mem::take(&mut request.key);
        self.senders[lane].leave(&mut key);
        self.lanes[lane].push_back(r);
        self.stats.accepted += 1;
        let next = self.receivers.pop();
        self.wake(next);
        let poller = self.poller.take();
        self.wake(poller);
    }

    /// Polls a requesting task; `own` is the number of times it woke itself.
    pub(crate) fn poll_asking(
        &mut self,
        r: usize,
        counter: usize,
        own: usize,
    ) -> Result<Poll<Made<()>>, Mismatch> {
        if self.requests[r].state != State::Unsent {
            return Ok(self.poll_waiting(r, counter, own)?.map(Made::Ended));
        }
        if self.is_late(r) {
            // The request leaves the wait queue, and is counted once.
            self.stop_sending(r);
            return Ok(Poll::Ready(self.refuse(r, Reason::TimeoutQueued)));
        }
        if !self.open {
            return Ok(Poll::Ready(self.refuse(r, Reason::ServerDisappeared)));
        }
        if !self.finds_room(r) {
            let request = &mut self.requests[r];
            let lane = request.lane;
            if request.if_room {
                return Ok(Poll::Ready(self.refuse(r, Reason::Full)));
            }
            if request.deadline != Deadline::None {
                request.timer = Some(counter);
            }
            if request.asks {
                request.registration = Registration::Unknown(counter);
            }
            self.senders[lane].register(&mut request.key, counter);
            return none_of_its_own(own).map(|()| Poll::Pending);
        }
        self.accept(r);
        if !self.requests[r].asks {
            // The reply of a submitted request has a timer of its own, once the reply is awaited.
            self.requests[r].timer = None;
            none_of_its_own(own)?;
            return Ok(Poll::Ready(self.accepted(r)));
        }
        Ok(self.poll_waiting(r, counter, own)?.map(Made::Ended))
    }

    /// Drops a requesting task.
    pub(crate) fn drop_asking(&mut self, r: usize) {
        if self.requests[r].state == State::Unsent {
            if self.requests[r].key.0.is_some() {
                self.stop_sending(r);
                self.stats.refused += 1;
            }
            let message = self.requests[r].message;
            self.record_drop(message);
            self.end(r);
        } else {
            self.drop_reply(r);
        }
    }

    fn stop_sending(&mut self, r: usize) {
        let lane = self.requests[r].lane;
        let mut key = std::mem::take(&mut self.requests[r].key);
        if let Left::Woken = self.senders[lane].leave(&mut key) {
            if self.open && self.has_room(lane) {
                let next = self.senders[lane].pop();
                self.wake(next);
            }
        }
    }
}
