//! Servers, those who stand by, and requests, each beside its model.

use std::{
    collections::{BTreeMap, VecDeque},
    future::IntoFuture,
    mem,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use proptest::{prelude::*, sample::Index};
use ump_router::{
    Call, ChangeKind, Claim, Error, Request, RequestError, RequestFuture, Router, ServeOptions,
    Server, ump,
};

use crate::{Changes, name::Name, one_of};

#[derive(Debug)]
struct Ask(u32);

impl Request for Ask {
    type Reply = u32;
    type Error = ();
    const PREFIX: &'static str = "ask";
}

/// How a topic is served.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    stands_by: bool,
    /// By a channel that there is already, with a claim apart.
    by_claim: bool,
}

pub(crate) fn hows() -> impl Strategy<Value = How> {
    any::<(bool, bool)>().prop_map(|(stands_by, by_claim)| How {
        stands_by,
        by_claim,
    })
}

pub(crate) struct Serving {
    router: Router,
    next: u32,
    servers: Vec<Member>,
    requests: Vec<Pending>,
    /// Who serves each topic, then those who stand by.
    lines: BTreeMap<Name, VecDeque<u32>>,
    is_closed: bool,
    changes: Changes,
}

struct Member {
    id: u32,
    topic: Name,
    real: Real,
    /// Numbers of requests.
    queue: VecDeque<u32>,
}

enum Real {
    Whole(Server<Ask>),
    Parts {
        claim: Option<Claim>,
        channel: Option<ump::Server<Call<Ask>, u32, ()>>,
    },
}

struct Pending {
    number: u32,
    topic: Name,
    waits: bool,
    real: RequestFuture<Ask>,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    LooksForServer,
    Asked(u32),
    AnsweredBy(u32),
}

#[derive(Debug, PartialEq)]
enum Outcome {
    Reply(u32),
    NoServer,
    Closed,
    /// The server went before it took the request.
    Lost,
}

impl Serving {
    pub(crate) fn new(router: &Router) -> Self {
        Self {
            router: router.clone(),
            next: 0,
            servers: Vec::new(),
            requests: Vec::new(),
            lines: BTreeMap::new(),
            is_closed: false,
            changes: Vec::new(),
        }
    }

    pub(crate) fn serve(&mut self, topic: &Name, how: How) {
        let mut options = ServeOptions::new();
        if how.stands_by {
            options = options.standby();
        }
        let real = if how.by_claim {
            let (server, client) = ump::channel();
            let claim = self.router.serve_by(topic.text(), client, options);
            claim.map(|claim| Real::Parts {
                claim: Some(claim),
                channel: Some(server),
            })
        } else {
            let server = self.router.serve_with(topic.text(), options);
            server.map(Real::Whole)
        };
        if self.is_closed {
            assert_eq!(real.err(), Some(Error::Closed));
            return;
        }
        let is_taken = self.lines.contains_key(topic);
        if is_taken && !how.stands_by {
            assert!(matches!(real.err(), Some(Error::Taken(of)) if of == *topic.text()));
            return;
        }
        self.next += 1;
        self.servers.push(Member {
            id: self.next,
            topic: topic.clone(),
            real: real.ok().unwrap(),
            queue: VecDeque::new(),
        });
        let line = self.lines.entry(topic.clone()).or_default();
        line.push_back(self.next);
        self.tell(
            if is_taken {
                ChangeKind::StandsBy
            } else {
                ChangeKind::Served
            },
            topic,
        );
    }

    /// Drops all that there is of a server.
    pub(crate) fn leave(&mut self, nth: Index) {
        if self.servers.is_empty() {
            return;
        }
        let member = self.servers.swap_remove(nth.index(self.servers.len()));
        let Member {
            id, topic, real, ..
        } = member;
        drop(real);
        self.take_out(&topic, id);
    }

    pub(crate) fn end(&mut self, nth: Index) {
        if let Some(member) = one_of(&mut self.servers, nth) {
            if let Real::Parts { channel, .. } = &mut member.real {
                *channel = None;
                member.queue.clear();
                let (topic, id) = (member.topic.clone(), member.id);
                self.take_out(&topic, id);
            }
        }
    }

    pub(crate) fn unclaim(&mut self, nth: Index) {
        let Some(member) = one_of(&mut self.servers, nth) else {
            return;
        };
        if let Real::Parts { claim, .. } = &mut member.real {
            *claim = None;
            let (topic, id) = (member.topic.clone(), member.id);
            self.take_out(&topic, id);
        }
    }

    pub(crate) fn answer(&mut self, nth: Index) {
        let Some(member) = one_of(&mut self.servers, nth) else {
            return;
        };
        let server = match &member.real {
            Real::Whole(server) => server,
            Real::Parts { channel: None, .. } => return,
            Real::Parts {
                channel: Some(server),
                ..
            } => server,
        };
        let id = member.id;
        let has_clients = self.lines.values().any(|line| line.contains(&id))
            || self.requests.iter().any(|request| request.is_with(id));
        match (server.try_pop(), member.queue.pop_front()) {
            (Ok(Some((call, rctx))), Some(number)) => {
                assert_eq!(call.message.0, number);
                let mut requests = self.requests.iter_mut();
                let request = requests.find(|request| request.number == number);
                let request = request.expect("it waits");
                assert_eq!(call.topic.as_str(), request.topic.text());
                rctx.reply(number + 1).unwrap();
                request.state = State::AnsweredBy(id);
            }
            (Ok(None), None) => assert!(has_clients),
            (Err(_), None) => assert!(!has_clients),
            (real, expected) => panic!("{} is not {expected:?}", real.is_ok()),
        }
    }

    pub(crate) fn ask(&mut self, topic: &Name, waits: bool) {
        self.next += 1;
        let mut request = self.router.request(topic.text(), Ask(self.next));
        if waits {
            request = request.wait_for_server();
        }
        self.requests.push(Pending {
            number: self.next,
            topic: topic.clone(),
            waits,
            real: request.into_future(),
            state: State::LooksForServer,
        });
        self.look_at(self.requests.len() - 1);
    }

    pub(crate) fn look(&mut self, nth: Index) {
        if !self.requests.is_empty() {
            self.look_at(nth.index(self.requests.len()));
        }
    }

    fn look_at(&mut self, place: usize) {
        let real = self.requests[place].poll();
        let expected = self.advance(place);
        assert_eq!(real, expected);
        if expected.is_some() {
            self.requests.swap_remove(place);
        }
    }

    pub(crate) fn forgo(&mut self, nth: Index) {
        if self.requests.is_empty() {
            return;
        }
        let request = self.requests.swap_remove(nth.index(self.requests.len()));
        for member in &mut self.servers {
            member.queue.retain(|queued| *queued != request.number);
        }
    }

    pub(crate) fn close(&mut self) {
        self.is_closed = true;
        self.lines.clear();
    }

    pub(crate) fn check(&self) {
        for Member {
            id, topic, real, ..
        } in &self.servers
        {
            let line = self.lines.get(topic).into_iter().flatten();
            let place = line.into_iter().position(|other| other == id);
            let (is_serving, stands_by) = match real {
                Real::Whole(server) => (server.is_serving(), server.is_standing_by()),
                Real::Parts {
                    claim: Some(claim), ..
                } => (claim.is_serving(), claim.is_standing_by()),
                Real::Parts { claim: None, .. } => (false, false),
            };
            assert_eq!(is_serving, place == Some(0));
            assert_eq!(stands_by, place.is_some_and(|place| place > 0));
        }
        let mut listed: BTreeMap<String, Vec<(bool, u64)>> = BTreeMap::new();
        for status in self.router.servers() {
            let line = listed.entry(status.topic.to_string()).or_default();
            line.push((status.is_standby, status.requests.queued));
        }
        let expected = self.lines.iter().map(|(topic, line)| {
            let queued = line.iter().map(|id| self.queue_of(*id).len() as u64);
            let line = queued
                .enumerate()
                .map(|(place, queued)| (place > 0, queued));
            (topic.full("ask"), line.collect())
        });
        assert_eq!(listed, expected.collect());
    }

    pub(crate) fn take_changes(&mut self) -> Changes {
        mem::take(&mut self.changes)
    }

    fn queue_of(&self, id: u32) -> VecDeque<u32> {
        let member = self.servers.iter().find(|member| member.id == id);
        member
            .map(|member| member.queue.clone())
            .unwrap_or_default()
    }

    /// How far the request gets by itself.
    fn advance(&mut self, place: usize) -> Option<Outcome> {
        let Pending {
            number,
            topic,
            waits,
            state,
            ..
        } = &self.requests[place];
        let (number, topic, waits) = (*number, topic.clone(), *waits);
        let mut state = *state;
        loop {
            match state {
                State::AnsweredBy(_) => return Some(Outcome::Reply(number + 1)),
                State::Asked(server) if !self.has_ended(server) => return None,
                State::Asked(_) if self.server_of(&topic).is_none() && !waits => {
                    return Some(Outcome::Lost);
                }
                State::Asked(_) => state = State::LooksForServer,
                State::LooksForServer => match self.server_of(&topic) {
                    None if self.is_closed => return Some(Outcome::Closed),
                    None if !waits => return Some(Outcome::NoServer),
                    None => {
                        self.requests[place].state = state;
                        return None;
                    }
                    Some(server) => {
                        let member = self.servers.iter_mut().find(|member| member.id == server);
                        member.unwrap().queue.push_back(number);
                        self.requests[place].state = State::Asked(server);
                        return None;
                    }
                },
            }
        }
    }

    fn server_of(&self, topic: &Name) -> Option<u32> {
        self.lines.get(topic)?.front().copied()
    }

    fn has_ended(&self, id: u32) -> bool {
        let member = self.servers.iter().find(|member| member.id == id);
        member.is_none_or(|member| matches!(member.real, Real::Parts { channel: None, .. }))
    }

    /// A claim is over, unless it was before.
    fn take_out(&mut self, topic: &Name, id: u32) {
        let Some(line) = self.lines.get_mut(topic) else {
            return;
        };
        let Some(place) = line.iter().position(|other| *other == id) else {
            return;
        };
        line.remove(place);
        let is_followed = !line.is_empty();
        if !is_followed {
            self.lines.remove(topic);
        }
        if place > 0 {
            self.tell(ChangeKind::StandsDown, topic);
            return;
        }
        self.tell(ChangeKind::Unserved, topic);
        if is_followed {
            self.tell(ChangeKind::Served, topic);
        }
    }

    fn tell(&mut self, kind: ChangeKind, topic: &Name) {
        self.changes.push((kind, topic.full("ask")));
    }
}

impl Pending {
    fn is_with(&self, server: u32) -> bool {
        self.state == State::Asked(server) || self.state == State::AnsweredBy(server)
    }

    fn poll(&mut self) -> Option<Outcome> {
        let polled = Pin::new(&mut self.real).poll(&mut Context::from_waker(Waker::noop()));
        let error = match polled {
            Poll::Pending => return None,
            Poll::Ready(Ok(reply)) => return Some(Outcome::Reply(reply)),
            Poll::Ready(Err(error)) => error,
        };
        let (message, outcome) = match error {
            RequestError::NoServer(message) => (message, Outcome::NoServer),
            RequestError::NotMade(message, Error::Closed) => (message, Outcome::Closed),
            RequestError::Ended(ump::RequestError::ServerDisappeared(message)) => {
                (message, Outcome::Lost)
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(message.0, self.number);
        Some(outcome)
    }
}
