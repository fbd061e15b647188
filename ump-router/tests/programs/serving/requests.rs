//! Requests with options, from one server to the next.

mod states;

use std::{
    collections::BTreeMap,
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use proptest::{prelude::*, sample::Index};
use ump_router::{Answer, Answers, Error, Request, RequestError, RequestFuture, RequestMessage};

pub(super) use self::states::{Outcome, State};
use super::Serving;
use crate::{counting_waker::CountingWaker, name::Name};

/// The source file of all requests.
pub(super) const FILE: &str = file!();

#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(super) number: u32,
    /// Counts the live messages.
    _life: Arc<()>,
}

impl RequestMessage for Ask {
    type Reply = u32;
    type Error = ();
    const PREFIX: &'static str = "ask";
}

/// The options of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallOptions {
    waits: bool,
    timeout: Option<Duration>,
    is_urgent: bool,
    if_room: bool,
}

impl CallOptions {
    /// Sets only the lane.
    pub(crate) fn of_lane(is_urgent: bool) -> Self {
        Self {
            waits: false,
            timeout: None,
            is_urgent,
            if_room: false,
        }
    }
}

pub(crate) fn call_options() -> impl Strategy<Value = CallOptions> {
    let seconds = prop_oneof![1 => Just(0), 6 => 1..5_u64];
    let timeout = prop::option::of(seconds.prop_map(Duration::from_secs));
    let flags = (
        any::<bool>(),
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.2),
    );
    (flags, timeout).prop_map(|((waits, is_urgent, if_room), timeout)| CallOptions {
        waits,
        timeout,
        is_urgent,
        if_room,
    })
}

pub(super) struct Pending {
    pub(super) number: u32,
    pub(super) topic: Name,
    call_options: CallOptions,
    /// The only server that it may go to.
    pinned_to: Option<u32>,
    pub(super) deadline: Option<Duration>,
    /// The number in its message, which all requests of one to all servers have.
    pub(super) message_number: u32,
    real: Real,
    waker: Arc<CountingWaker>,
    /// How often its waker had been called when it was last polled. It was woken since if the count
    /// is higher.
    seen_wakes: usize,
    state: State,
}

enum Real {
    Alone(Box<RequestFuture<Ask>>),
    /// One of those to all servers of a pattern, with this number.
    OneOf(u32),
}

/// A request to all servers of a pattern.
pub(super) struct RequestToAll {
    number: u32,
    real: Answers<Ask>,
    waker: Arc<CountingWaker>,
}

impl Serving {
    pub(crate) fn ask(&mut self, topic: &Name, call_options: CallOptions, begins: bool) {
        let message = self.message();
        let request = self.router.request(topic.text(), message);
        self.make(request, topic, None, call_options, begins);
    }

    /// Returns a message with a new number.
    pub(super) fn message(&mut self) -> Ask {
        self.next += 1;
        Ask {
            number: self.next,
            _life: Arc::clone(&self.alive),
        }
    }

    /// Makes a request, whose message is the last one.
    pub(super) fn make(
        &mut self,
        mut request: Request<Ask>,
        topic: &Name,
        pinned_to: Option<u32>,
        call_options: CallOptions,
        begins: bool,
    ) {
        let number = self.next;
        if let Some(timeout) = call_options.timeout {
            // Both have the same effect here.
            request = if number % 2 == 0 {
                request.timeout(timeout)
            } else {
                request.deadline(self.clock.now() + timeout)
            };
        }
        if call_options.is_urgent {
            request = request.urgent();
        }
        if call_options.if_room {
            request = request.if_room();
        }
        if call_options.waits {
            request = request.wait_for_server();
        }
        let server = self.server_of(topic);
        let server = server.filter(|id| pinned_to.is_none_or(|only| only == *id));
        self.requests.push(Pending {
            number,
            topic: topic.clone(),
            call_options,
            pinned_to,
            deadline: call_options.timeout.map(|timeout| self.now + timeout),
            message_number: number,
            real: Real::Alone(Box::new(request.into_future())),
            waker: Arc::default(),
            seen_wakes: 0,
            state: State::Made(server),
        });
        if begins {
            self.poll_request_at(self.requests.len() - 1);
        }
    }

    /// Asks all servers of a pattern. The requests do not wait for room.
    pub(crate) fn ask_all(&mut self, pattern: &Name, call_options: CallOptions) {
        let call_options = CallOptions {
            waits: false,
            if_room: true,
            ..call_options
        };
        self.next += 1;
        let number = self.next;
        let message = Ask {
            number,
            _life: Arc::clone(&self.alive),
        };
        let mut request = self.router.request_all(pattern.text(), message).if_room();
        if let Some(timeout) = call_options.timeout {
            request = request.timeout(timeout);
        }
        if call_options.is_urgent {
            request = request.urgent();
        }
        let sent = request.send();
        if self.is_closed {
            let Err(RequestError::NotMade(message, Error::Closed)) = sent else {
                panic!("{sent:?}")
            };
            assert_eq!(message.number, number);
            return;
        }
        let waker = Arc::<CountingWaker>::default();
        let topics = self.claimants.keys();
        let asked: Vec<_> = topics
            .filter(|topic| topic.intersects(pattern))
            .cloned()
            .collect();
        self.to_all.push(RequestToAll {
            number,
            real: sent.unwrap(),
            waker: Arc::clone(&waker),
        });
        for topic in asked {
            self.next += 1;
            self.requests.push(Pending {
                number: self.next,
                call_options,
                pinned_to: None,
                deadline: call_options.timeout.map(|timeout| self.now + timeout),
                message_number: number,
                real: Real::OneOf(number),
                waker: Arc::clone(&waker),
                seen_wakes: 0,
                state: State::Made(self.server_of(&topic)),
                topic,
            });
        }
        self.poll_to_all(number);
    }

    /// Polls for all answers that have come to a request to all servers. Each is that of the model.
    fn poll_to_all(&mut self, number: u32) {
        let mut all = self.to_all.iter_mut();
        let place = all
            .position(|one| one.number == number)
            .expect("it is pending");
        let RequestToAll { real, waker, .. } = &mut self.to_all[place];
        let seen_wakes = waker.wakes();
        let waker = waker.waker();
        let mut answers = BTreeMap::new();
        let ended = loop {
            match real.poll_answer(&mut Context::from_waker(&waker)) {
                Poll::Pending => break false,
                Poll::Ready(None) => break true,
                Poll::Ready(Some(Answer { topic, outcome })) => {
                    let outcome = Outcome::of(outcome, number);
                    let is_new = answers.insert(topic.to_string(), outcome).is_none();
                    assert!(is_new, "{topic} answered twice");
                }
            }
        };
        let left = real.len();
        let is_one = |request: &Pending| matches!(request.real, Real::OneOf(of) if of == number);
        let mut at = 0;
        while at < self.requests.len() {
            if !is_one(&self.requests[at]) {
                at += 1;
                continue;
            }
            self.requests[at].seen_wakes = seen_wakes;
            let expected = self.advance(at);
            let topic = self.requests[at].topic.text();
            assert_eq!(answers.remove(&topic), expected, "{topic} of {number}");
            if expected.is_some() {
                self.requests.swap_remove(at);
            } else {
                at += 1;
            }
        }
        assert!(
            answers.is_empty(),
            "{answers:?} from servers that were not asked"
        );
        let pending = self
            .requests
            .iter()
            .filter(|request| is_one(request))
            .count();
        assert_eq!((left, ended), (pending, pending == 0));
        if ended {
            self.to_all.swap_remove(place);
        }
    }

    pub(crate) fn poll_request(&mut self, nth: Index) {
        if !self.requests.is_empty() {
            self.poll_request_at(nth.index(self.requests.len()));
        }
    }

    fn poll_request_at(&mut self, place: usize) {
        if let Real::OneOf(number) = self.requests[place].real {
            return self.poll_to_all(number);
        }
        let real = self.requests[place].poll();
        let expected = self.advance(place);
        let request = &self.requests[place];
        assert_eq!(
            real, expected,
            "{} on {:?}",
            request.number, request.call_options
        );
        if expected.is_some() {
            self.requests.swap_remove(place);
        }
    }

    pub(crate) fn cancel_request(&mut self, nth: Index) {
        if self.requests.is_empty() {
            return;
        }
        let place = nth.index(self.requests.len());
        let Real::OneOf(to_all) = self.requests[place].real else {
            return self.cancel_request_at(place);
        };
        self.to_all.retain(|one| one.number != to_all);
        let is_one = |request: &Pending| matches!(request.real, Real::OneOf(of) if of == to_all);
        while let Some(place) = self.requests.iter().position(is_one) {
            self.cancel_request_at(place);
        }
    }

    /// Notes that a request was dropped, and drops it if it is alone.
    fn cancel_request_at(&mut self, place: usize) {
        let Pending {
            number,
            state,
            call_options,
            ..
        } = self.requests.swap_remove(place);
        match state {
            State::Made(_) | State::LooksForServer | State::Done(..) => {}
            State::WaitsForRoom(server) => {
                self.stop_awaiting_room(server, number, call_options);
                self.count(server, |counts| &mut counts.refused);
            }
            State::Queued(server) => {
                self.revoke(server, number);
                self.count(server, |counts| &mut counts.cancelled_queued);
            }
            State::Taken(server) => self.count(server, |counts| &mut counts.cancelled_taken),
        }
    }

    /// Asserts that each request that can advance was woken.
    pub(super) fn check_wakes(&self) {
        for request in &self.requests {
            let is_late = request.is_late(self.now);
            let gets_on = match request.state {
                State::Made(_) => false,
                State::LooksForServer => {
                    is_late || self.is_closed || self.server_of(&request.topic).is_some()
                }
                State::WaitsForRoom(server) => is_late || self.has_ended(server),
                State::Queued(_) | State::Taken(_) => is_late,
                State::Done(..) => true,
            };
            assert!(!gets_on || request.is_woken(), "{} sleeps", request.number);
        }
        // Requests that wait for room are woken in order, and no others.
        for request in &self.requests {
            let State::WaitsForRoom(id) = request.state else {
                continue;
            };
            let mut servers = self.servers.iter();
            let server = servers.find(|server| server.id == id);
            let is_waiting = server.is_some_and(|server| server.channel.is_waiting(request.number));
            if !request.is_late(self.now) {
                assert_eq!(request.is_woken(), !is_waiting, "{}", request.number);
            }
        }
    }

    pub(super) fn check_alive(&self) {
        let is_alive = |request: &&Pending| match request.state {
            State::Taken(_) => false,
            State::Done(_, outcome) => matches!(outcome, Outcome::Lost | Outcome::TimeoutQueued),
            _ => true,
        };
        let alive = self.requests.iter().filter(is_alive).count();
        assert_eq!(Arc::strong_count(&self.alive) - 1, alive, "messages alive");
    }
}

impl Pending {
    /// Returns whether the request keeps this server's channel from ending.
    pub(super) fn is_with(&self, id: u32) -> bool {
        match self.state {
            State::Made(server) => server == Some(id),
            State::LooksForServer => false,
            State::WaitsForRoom(server)
            | State::Queued(server)
            | State::Taken(server)
            | State::Done(server, _) => server == id,
        }
    }

    pub(super) fn is_late(&self, now: Duration) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    fn is_woken(&self) -> bool {
        self.waker.wakes() > self.seen_wakes
    }

    fn poll(&mut self) -> Option<Outcome> {
        self.seen_wakes = self.waker.wakes();
        let waker = self.waker.waker();
        let Real::Alone(real) = &mut self.real else {
            unreachable!("the others are polled together");
        };
        match Pin::new(&mut **real).poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => None,
            Poll::Ready(outcome) => Some(Outcome::of(outcome, self.message_number)),
        }
    }
}
