//! A model of the documented channel on one thread: two lanes, three wait queues, and the counters.
//!
//! It predicts the result of each operation, the wakers that it wakes, and the values that it
//! drops.
//!
//! The model is one file, because the operations share nearly all of the state.

use std::{
    collections::{BTreeMap, VecDeque},
    task::Poll,
};

use tests::ends::{Failure, Reason};
use ump::{Executed, NoReply, PanicMessage, Stats};

use crate::program::{Deadline, Options, RequestKind};

/// The most urgent requests taken in a row while a normal one waits.
const URGENT_RUN: u32 = 16;
/// The number of waits at each end that register at once.
const FIRST: u32 = 16;

const NORMAL: usize = 0;
const URGENT: usize = 1;

/// A reply or another outcome, with the numbers of the values.
pub(crate) type Outcome = Result<usize, Failure<usize, usize>>;

/// The state of a requesting task.
#[derive(Debug, PartialEq)]
pub(crate) enum Made<W> {
    Ended(Outcome),
    Accepted(W),
    Posted,
}

/// The error of a receiver when no client is left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Deserted;

/// A description of a difference.
pub(crate) type Mismatch = String;

/// An entry in a wait queue.
#[derive(Debug, Default)]
pub(crate) struct WaiterKey(Option<u64>);

/// A wait queue, which wakes the waiters in the order in which they came.
#[derive(Debug, Default)]
struct WaitQueue {
    wakers: BTreeMap<u64, usize>,
    last: u64,
}

enum Left {
    /// It was not woken, or not registered.
    Quietly,
    /// It was woken.
    Woken,
}

impl WaitQueue {
    fn enrol(&mut self, key: &mut WaiterKey, counter: usize) {
        let key = *key.0.get_or_insert_with(|| {
            self.last += 1;
            self.last
        });
        self.wakers.insert(key, counter);
    }

    fn leave(&mut self, key: &mut WaiterKey) -> Left {
        match key.0.take() {
            Some(key) if self.wakers.remove(&key).is_none() => Left::Woken,
            _ => Left::Quietly,
        }
    }

    /// The number of waiters before an entry.
    fn ahead_of(&self, key: &WaiterKey) -> usize {
        match key.0 {
            Some(key) => self.wakers.range(..key).count(),
            None => self.wakers.len(),
        }
    }

    fn pop(&mut self) -> Option<usize> {
        self.wakers.pop_first().map(|(_, counter)| counter)
    }

    fn take_all(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.wakers).into_values().collect()
    }
}

/// The counter that the outcome wakes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Word {
    Nobody,
    Left(usize),
    /// Registered or not, depending on whether the task yielded.
    Perhaps(usize),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Unsent,
    Queued,
    Taken,
    Done(Completion),
    /// The caller has its outcome.
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Completion {
    Reply(usize),
    App(usize),
    Dropped,
    Panicked,
    Overdue,
    ServerDisappeared,
    Expired,
}

#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are independent of each other"
)]
struct Request {
    lane: usize,
    deadline: Deadline,
    if_room: bool,
    /// Whether the task waits for the outcome, not only for acceptance.
    asks: bool,
    post: bool,
    /// Whether its errors return the message.
    detailed: bool,
    message: usize,
    state: State,
    abandoned: bool,
    key: WaiterKey,
    word: Word,
    /// The counter that the deadline wakes.
    alarm: Option<usize>,
    /// The counter that the caller's leaving wakes.
    watcher: Option<usize>,
    /// The counter that the deadline wakes for the handler.
    watch_alarm: Option<usize>,
}

#[derive(Debug, Default)]
pub(crate) struct Model {
    capacity: Option<usize>,
    may_defer: bool,
    lanes: [VecDeque<usize>; 2],
    /// The number of urgent requests taken since the last normal one, while a normal one waited: at
    /// least and at most. (A request that a thread takes from a client that it has just served is
    /// not counted.)
    run: [u32; 2],
    open: bool,
    /// Whether the near deadline has passed.
    passed: bool,
    /// The references of each client; the channel lives while one has any.
    clients: Vec<usize>,
    /// The references of the server.
    servers: usize,
    receivers: WaitQueue,
    poller: Option<usize>,
    senders: [WaitQueue; 2],
    requests: Vec<Request>,
    /// The largest numbers of waits that have begun at the server's and the client's end.
    waits: [u32; 2],
    pub(crate) stats: Stats,
    /// The wake-ups of each counter.
    pub(crate) wakes: Vec<usize>,
    /// The possible additional wake-ups.
    pub(crate) spare: Vec<usize>,
    /// The number of drops of each payload.
    pub(crate) dropped: Vec<u8>,
}

impl Model {
    /// Creates a model with one client and the server.
    pub(crate) fn new(capacity: Option<usize>, may_defer: bool) -> Self {
        Self {
            capacity,
            may_defer,
            open: true,
            clients: vec![1],
            servers: 1,
            ..Self::default()
        }
    }

    /// Sets the waits that have begun at each end.
    pub(crate) fn practised(&mut self, waits: u32) {
        self.waits = [waits; 2];
    }

    pub(crate) fn new_counter(&mut self) -> usize {
        self.wakes.push(0);
        self.spare.push(0);
        self.wakes.len() - 1
    }

    pub(crate) fn new_parcel(&mut self) -> usize {
        self.dropped.push(0);
        self.dropped.len() - 1
    }

    fn ring(&mut self, counter: impl IntoIterator<Item = usize>) {
        for counter in counter {
            self.wakes[counter] += 1;
        }
    }

    fn bury(&mut self, payload: usize) {
        self.dropped[payload] += 1;
    }

    // ---- the ends

    pub(crate) fn new_client(&mut self) -> usize {
        self.clients.push(1);
        self.clients.len() - 1
    }

    pub(crate) fn use_client(&mut self, client: usize) {
        self.clients[client] += 1;
    }

    pub(crate) fn leave_client(&mut self, client: usize) {
        self.clients[client] -= 1;
        if self.is_deserted() {
            let woken = self.receivers.take_all();
            self.ring(woken);
            let poller = self.poller.take();
            self.ring(poller);
        }
    }

    pub(crate) fn is_deserted(&self) -> bool {
        self.clients.iter().all(|uses| *uses == 0)
    }

    pub(crate) fn use_server(&mut self) {
        self.servers += 1;
    }

    pub(crate) fn leave_server(&mut self) {
        self.servers -= 1;
        if self.servers > 0 {
            return;
        }
        self.open = false;
        self.poller = None;
        for lane in [NORMAL, URGENT] {
            let woken = self.senders[lane].take_all();
            self.ring(woken);
        }
        while let Some(r) = self.lanes.iter_mut().find_map(VecDeque::pop_front) {
            self.stats.server_disappeared += 1;
            self.turn_down(r, Completion::ServerDisappeared);
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    pub(crate) fn len(&self) -> usize {
        self.lanes.iter().map(VecDeque::len).sum()
    }

    /// Returns the expected counters.
    pub(crate) fn stats(&self) -> Stats {
        let mut stats = self.stats;
        stats.queued = self.len() as u64;
        stats.taken = stats.accepted - stats.queued - stats.ended();
        stats
    }

    // ---- requests

    pub(crate) fn new_request(&mut self, kind: RequestKind, options: Options) -> usize {
        let message = self.new_parcel();
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
            word: Word::Nobody,
            alarm: None,
            watcher: None,
            watch_alarm: None,
        });
        self.requests.len() - 1
    }

    /// Returns the request with this message.
    pub(crate) fn request_of(&self, message: usize) -> Option<usize> {
        self.requests.iter().position(|r| r.message == message)
    }

    fn is_late(&self, r: usize) -> bool {
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
            self.ring(next);
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
        self.bury(message);
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
        self.ring(next);
        let poller = self.poller.take();
        self.ring(poller);
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
                request.alarm = Some(counter);
            }
            if request.asks {
                request.word = Word::Perhaps(counter);
            }
            self.senders[lane].enrol(&mut request.key, counter);
            return none_of_its_own(own).map(|()| Poll::Pending);
        }
        self.accept(r);
        if !self.requests[r].asks {
            // The reply of a submitted request has a timer of its own, once the reply is awaited.
            self.requests[r].alarm = None;
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
            self.bury(message);
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
                self.ring(next);
            }
        }
    }

    // ---- waiting for the outcome

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
            self.requests[r].word = Word::Left(counter);
        } else {
            self.check_deferral(1, own, !timed)?;
        }
        self.waits[1] += 1;
        if timed {
            self.requests[r].alarm = Some(counter);
        }
        Ok(Poll::Pending)
    }

    fn check_deferral(&self, end: usize, own: usize, fits: bool) -> Result<(), Mismatch> {
        let may = self.may_defer && fits && self.waits[end] >= FIRST;
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
            self.bury(message);
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
        self.requests[r].word = Word::Nobody;
    }

    pub(crate) fn drop_reply(&mut self, r: usize) {
        if let State::Done(completion) = self.requests[r].state {
            let _ = self.settle(r, completion);
            return;
        }
        if self.withdraw(r) {
            self.stats.cancelled_queued += 1;
            let message = self.requests[r].message;
            self.bury(message);
        } else {
            self.stats.cancelled_taken += 1;
            self.abandon(r);
        }
        self.end(r);
    }

    /// The caller has its outcome.
    fn end(&mut self, r: usize) {
        let request = &mut self.requests[r];
        if request.state != State::Taken {
            request.state = State::Over;
        }
        request.alarm = None;
        request.word = Word::Nobody;
        request.key = WaiterKey::default();
    }

    fn settle(&mut self, r: usize, completion: Completion) -> Outcome {
        let Request {
            detailed, message, ..
        } = self.requests[r];
        self.end(r);
        let why = match completion {
            Completion::Reply(reply) => {
                self.bury(reply);
                return Ok(reply);
            }
            Completion::App(error) => {
                self.bury(error);
                Reason::App(error)
            }
            Completion::Dropped => Reason::NoReply(detailed.then_some(NoReply::Dropped)),
            // No outcome is reported: it was dropped while its thread unwound.
            Completion::Panicked => {
                Reason::NoReply(detailed.then(|| NoReply::Panicked(PanicMessage::default())))
            }
            Completion::Overdue => Reason::TimeoutTaken,
            Completion::ServerDisappeared | Completion::Expired => {
                self.bury(message);
                if completion == Completion::Expired {
                    Reason::TimeoutQueued
                } else {
                    Reason::ServerDisappeared
                }
            }
        };
        Err(self.failure(r, why))
    }

    fn failure(&self, r: usize, why: Reason<usize>) -> Failure<usize, usize> {
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
        self.ring(next);
        true
    }

    fn abandon(&mut self, r: usize) {
        self.requests[r].abandoned = true;
        let watcher = self.requests[r].watcher.take();
        self.ring(watcher);
    }

    // ---- the server

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
                self.bury(message);
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

    fn pop(&mut self, seen: Option<usize>) -> Option<usize> {
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
        self.ring(next);
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
    fn turn_down(&mut self, r: usize, completion: Completion) {
        if self.requests[r].post {
            let message = self.requests[r].message;
            self.bury(message);
            self.end(r);
        } else {
            self.publish(r, completion);
        }
    }

    fn publish(&mut self, r: usize, completion: Completion) {
        let request = &mut self.requests[r];
        request.state = State::Done(completion);
        request.watcher = None;
        match std::mem::replace(&mut request.word, Word::Nobody) {
            Word::Nobody => {}
            Word::Left(counter) => self.wakes[counter] += 1,
            Word::Perhaps(counter) => self.spare[counter] += 1,
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
                self.receivers.enrol(key, counter);
            } else {
                self.check_deferral(0, own, was_empty)?;
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
                self.ring(next);
            }
        }
    }

    // ---- contexts

    pub(crate) fn is_cancelled(&self, r: usize) -> bool {
        let request = &self.requests[r];
        !request.post && (request.abandoned || self.is_late(r))
    }

    /// Replies by a handler. Returns whether the reply is accepted.
    pub(crate) fn answer(&mut self, r: usize, value: usize, ok: bool) -> bool {
        let (completion, column) = if ok {
            (Completion::Reply(value), &mut self.stats.replied)
        } else {
            (Completion::App(value), &mut self.stats.failed)
        };
        let request = &mut self.requests[r];
        if request.post || !request.abandoned {
            *column += 1;
        }
        if request.post || request.abandoned {
            let post = request.post;
            request.state = State::Over;
            self.bury(value);
            return post;
        }
        self.publish(r, completion);
        true
    }

    /// Drops the context of a handler.
    pub(crate) fn let_go(&mut self, r: usize, panics: bool) {
        let late = self.is_late(r);
        let Request {
            post, abandoned, ..
        } = self.requests[r];
        if abandoned {
            self.requests[r].state = State::Over;
            return;
        }
        let (completion, column) = if panics {
            (Completion::Panicked, &mut self.stats.panicked)
        } else if post {
            (Completion::Dropped, &mut self.stats.replied)
        } else if late {
            (Completion::Overdue, &mut self.stats.timeout_taken)
        } else {
            (Completion::Dropped, &mut self.stats.no_reply)
        };
        *column += 1;
        if post {
            self.requests[r].state = State::Over;
        } else {
            self.publish(r, completion);
        }
    }

    /// Polls a future that waits for the caller to leave.
    pub(crate) fn poll_watching(&mut self, r: usize, counter: usize) -> Poll<()> {
        let gone = self.is_cancelled(r);
        let request = &mut self.requests[r];
        if gone {
            self.stop_watching(r);
            return Poll::Ready(());
        }
        request.watcher = Some(counter);
        if !request.post && request.deadline != Deadline::None {
            request.watch_alarm = Some(counter);
        }
        Poll::Pending
    }

    pub(crate) fn stop_watching(&mut self, r: usize) {
        self.requests[r].watcher = None;
        self.requests[r].watch_alarm = None;
    }

    /// Lets the near deadline pass.
    pub(crate) fn pass(&mut self) {
        self.passed = true;
        let near = |r: &&mut Request| r.deadline == Deadline::Near;
        let woken: Vec<_> = self
            .requests
            .iter_mut()
            .filter(near)
            .flat_map(|r| [r.alarm.take(), r.watch_alarm.take()])
            .flatten()
            .collect();
        self.ring(woken);
    }
}

fn none_of_its_own(own: usize) -> Result<(), Mismatch> {
    match own {
        0 => Ok(()),
        n => Err(format!("it woke itself {n} times")),
    }
}
