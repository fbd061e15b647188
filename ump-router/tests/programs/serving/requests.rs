//! Requests with options, from one server to the next.

use std::{
    future::IntoFuture,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use proptest::{prelude::*, sample::Index};
use ump_router::{Error, RequestError, RequestFuture, RequestMessage, ump};

use super::Serving;
use crate::{counting_waker::CountingWaker, name::Name};

/// The source file of all requests.
pub(super) const FILE: &str = file!();

#[derive(Debug)]
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
    pub(super) deadline: Option<Duration>,
    real: RequestFuture<Ask>,
    waker: Arc<CountingWaker>,
    /// How often its waker had been called when it was last polled. It was woken since if the count
    /// is higher.
    seen_wakes: usize,
    state: State,
}

/// Where a request is. The number is that of its server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum State {
    /// Not sent yet. It keeps the server that was found for it.
    Made(Option<u32>),
    LooksForServer,
    WaitsForRoom(u32),
    Queued(u32),
    Taken(u32),
    /// Ended at this server, in this outcome.
    Done(u32, Outcome),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Outcome {
    Reply(u32),
    Failed,
    NoReply,
    NoServer,
    Closed,
    /// The server left before it took the request.
    Lost,
    Full,
    TimeoutQueued,
    TimeoutTaken,
}

impl Serving {
    pub(crate) fn ask(&mut self, topic: &Name, call_options: CallOptions, begins: bool) {
        self.next += 1;
        let number = self.next;
        let message = Ask {
            number,
            _life: Arc::clone(&self.alive),
        };
        let mut request = self.router.request(topic.text(), message);
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
        self.requests.push(Pending {
            number,
            topic: topic.clone(),
            call_options,
            deadline: call_options.timeout.map(|timeout| self.now + timeout),
            real: request.into_future(),
            waker: Arc::default(),
            seen_wakes: 0,
            state: State::Made(self.server_of(topic)),
        });
        if begins {
            self.poll_request_at(self.requests.len() - 1);
        }
    }

    pub(crate) fn poll_request(&mut self, nth: Index) {
        if !self.requests.is_empty() {
            self.poll_request_at(nth.index(self.requests.len()));
        }
    }

    fn poll_request_at(&mut self, place: usize) {
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

    /// Advances the request as far as it gets by itself.
    fn advance(&mut self, place: usize) -> Option<Outcome> {
        loop {
            let request = &self.requests[place];
            let Pending {
                number,
                call_options,
                ..
            } = *request;
            let topic = request.topic.clone();
            let is_late = request.is_late(self.now);
            let next = match request.state {
                State::Made(_) | State::LooksForServer => match self.server_of(&topic) {
                    Some(server) => State::WaitsForRoom(server),
                    None if self.is_closed => return Some(Outcome::Closed),
                    None if !call_options.waits || is_late => return Some(Outcome::NoServer),
                    None => {
                        self.requests[place].state = State::LooksForServer;
                        return None;
                    }
                },
                State::WaitsForRoom(server) => self.enter(server, number, call_options, is_late)?,
                State::Queued(server) if is_late => {
                    self.revoke(server, number);
                    self.count(server, |counts| &mut counts.timeout_queued);
                    return Some(Outcome::TimeoutQueued);
                }
                State::Taken(server) if is_late => {
                    self.count(server, |counts| &mut counts.timeout_taken);
                    return Some(Outcome::TimeoutTaken);
                }
                State::Queued(_) | State::Taken(_) => return None,
                State::Done(_, Outcome::Lost)
                    if call_options.waits || self.server_of(&topic).is_some() =>
                {
                    State::LooksForServer
                }
                State::Done(_, outcome) => return Some(outcome),
            };
            self.requests[place].state = next;
        }
    }

    /// Puts the request into the channel, refuses it, or lets it wait for room.
    fn enter(
        &mut self,
        id: u32,
        number: u32,
        call_options: CallOptions,
        is_late: bool,
    ) -> Option<State> {
        let refused = if is_late {
            Outcome::TimeoutQueued
        } else if self.has_ended(id) {
            Outcome::Lost
        } else if self.try_enter(id, number, call_options) {
            return Some(State::Queued(id));
        } else if call_options.if_room {
            Outcome::Full
        } else {
            self.channel_of(id)?
                .await_room(number, call_options.is_urgent);
            return None;
        };
        self.stop_awaiting_room(id, number, call_options);
        self.count(id, |counts| &mut counts.refused);
        Some(State::Done(id, refused))
    }

    /// Returns whether the request enters the channel. Late requests may have to make room.
    fn try_enter(&mut self, id: u32, number: u32, call_options: CallOptions) -> bool {
        let late = self.requests.iter();
        let late = late.filter(|request| request.is_late(self.now));
        let late: Vec<_> = late.map(|request| request.number).collect();
        let Some(channel) = self.channel_of(id) else {
            return false;
        };
        let is_late = |number| late.contains(&number);
        let (enters, rejected) = channel.enter(number, call_options.is_urgent, is_late);
        for number in rejected {
            self.set_state(number, State::Done(id, Outcome::TimeoutQueued));
        }
        enters
    }

    fn stop_awaiting_room(&mut self, server: u32, number: u32, call_options: CallOptions) {
        if let Some(channel) = self.channel_of(server) {
            channel.stop_awaiting_room(number, call_options.is_urgent);
        }
    }

    fn revoke(&mut self, server: u32, number: u32) {
        if let Some(channel) = self.channel_of(server) {
            channel.revoke(number);
        }
    }

    /// Records what happened to a request at its server.
    pub(super) fn set_state(&mut self, number: u32, state: State) {
        let mut requests = self.requests.iter_mut();
        let request = requests.find(|request| request.number == number);
        request.expect("the request is pending").state = state;
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
        let polled = Pin::new(&mut self.real).poll(&mut Context::from_waker(&waker));
        let error = match polled {
            Poll::Pending => return None,
            Poll::Ready(Ok(reply)) => return Some(Outcome::Reply(reply)),
            Poll::Ready(Err(error)) => error,
        };
        let (message, outcome) = match error {
            RequestError::NoServer(message) => (Some(message), Outcome::NoServer),
            RequestError::NotMade(message, Error::Closed) => (Some(message), Outcome::Closed),
            RequestError::Ended(error) => match error {
                ump::RequestError::ServerDisappeared(message) => (Some(message), Outcome::Lost),
                ump::RequestError::Full(message) => (Some(message), Outcome::Full),
                ump::RequestError::TimeoutQueued(message) => {
                    (Some(message), Outcome::TimeoutQueued)
                }
                ump::RequestError::TimeoutTaken => (None, Outcome::TimeoutTaken),
                ump::RequestError::NoReply(ump::NoReply::Dropped) => (None, Outcome::NoReply),
                ump::RequestError::App(()) => (None, Outcome::Failed),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        };
        if let Some(message) = message {
            assert_eq!(message.number, self.number);
        }
        Some(outcome)
    }
}
