//! Servers, standbys and their requests, each next to its model.

mod answers;
mod channel;
mod pinned;
mod requests;

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    sync::Arc,
    time::Duration,
};

use proptest::{prelude::*, sample::Index};
use ump_router::{
    Call, ChangeKind, Claim, CloseHandle, Error, Router, ServeOptions, Server,
    ump::{self, Clock, Stats},
};

use self::{
    answers::TakenRequest,
    channel::Channel,
    pinned::Pinned,
    requests::{Ask, Outcome, Pending, RequestToAll, State},
};
pub(crate) use self::{
    answers::{Answer, answers},
    requests::{CallOptions, call_options},
};
use crate::{Changes, name::Name, one_of};

/// How a topic is served.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerKind {
    stands_by: bool,
    /// Through an existing channel and a separate claim.
    by_claim: bool,
    /// The capacity of its channel.
    capacity: Option<usize>,
}

impl ServerKind {
    /// Claims a topic as its only server, with a channel of this capacity.
    pub(crate) fn alone(capacity: Option<usize>) -> Self {
        Self {
            stands_by: false,
            by_claim: false,
            capacity,
        }
    }
}

pub(crate) fn server_kinds() -> impl Strategy<Value = ServerKind> {
    let capacity = prop::option::weighted(0.4, 1..3_usize);
    (any::<(bool, bool)>(), capacity).prop_map(|((stands_by, by_claim), capacity)| ServerKind {
        stands_by,
        by_claim,
        capacity,
    })
}

pub(crate) struct Serving {
    router: Router,
    clock: Clock,
    now: Duration,
    next: u32,
    alive: Arc<()>,
    servers: Vec<TestServer>,
    requests: Vec<Pending>,
    to_all: Vec<RequestToAll>,
    pinned: Vec<Pinned>,
    taken: Vec<TakenRequest>,
    /// The server of each topic, then its standbys in order.
    claimants: BTreeMap<Name, VecDeque<u32>>,
    is_closed: bool,
    changes: Changes,
}

struct TestServer {
    id: u32,
    topic: Name,
    real: Real,
    channel: Channel,
}

enum Real {
    Whole(Server<Ask>),
    Parts {
        claim: Option<Claim>,
        channel: Option<ump::Server<Call<Ask>, u32, ()>>,
    },
}

impl Real {
    fn close_handle(&self) -> Option<CloseHandle> {
        match self {
            Self::Whole(server) => Some(server.close_handle()),
            Self::Parts { claim, .. } => claim.as_ref().map(Claim::close_handle),
        }
    }

    fn channel(&self) -> Option<&ump::Server<Call<Ask>, u32, ()>> {
        match self {
            Self::Whole(server) => Some(server),
            Self::Parts { channel, .. } => channel.as_ref(),
        }
    }
}

/// Whether a server stands by, its capacity and its statistics.
type Listed = (bool, Option<usize>, Stats);

impl Serving {
    pub(crate) fn new(router: &Router, clock: Clock) -> Self {
        Self {
            router: router.clone(),
            clock,
            now: Duration::ZERO,
            next: 0,
            alive: Arc::default(),
            servers: Vec::new(),
            requests: Vec::new(),
            to_all: Vec::new(),
            pinned: Vec::new(),
            taken: Vec::new(),
            claimants: BTreeMap::new(),
            is_closed: false,
            changes: Vec::new(),
        }
    }

    pub(crate) fn serve(&mut self, topic: &Name, kind: ServerKind) {
        let mut options = ServeOptions::new();
        if kind.stands_by {
            options = options.standby();
        }
        let real = if kind.by_claim {
            let channel = ump::Builder::new().clock(self.clock.clone());
            let channel = channel.capacity(kind.capacity.unwrap_or(usize::MAX));
            let (server, client) = channel.build().unwrap();
            let claim = self.router.serve_by(topic.text(), client, options);
            claim.map(|claim| Real::Parts {
                claim: Some(claim),
                channel: Some(server),
            })
        } else {
            if let Some(requests) = kind.capacity {
                options = options.capacity(requests);
            }
            let server = self.router.serve_with(topic.text(), options);
            server.map(Real::Whole)
        };
        if self.is_closed {
            assert_eq!(real.err(), Some(Error::Closed));
            return;
        }
        let is_taken = self.claimants.contains_key(topic);
        if is_taken && !kind.stands_by {
            assert!(matches!(real.err(), Some(Error::Taken(of)) if of == *topic.text()));
            return;
        }
        self.next += 1;
        self.servers.push(TestServer {
            id: self.next,
            topic: topic.clone(),
            real: real.ok().unwrap(),
            channel: Channel::new(kind.capacity),
        });
        let claimants = self.claimants.entry(topic.clone()).or_default();
        claimants.push_back(self.next);
        self.announce(
            if is_taken {
                ChangeKind::StandsBy
            } else {
                ChangeKind::Served
            },
            topic,
        );
    }

    /// Drops a server with its claim and its channel.
    pub(crate) fn leave(&mut self, nth: Index) {
        if self.servers.is_empty() {
            return;
        }
        let server = self.servers.swap_remove(nth.index(self.servers.len()));
        let TestServer {
            id,
            topic,
            real,
            mut channel,
        } = server;
        drop(real);
        self.lose(id, &channel.end());
        self.release_claim(&topic, id);
    }

    pub(crate) fn end(&mut self, nth: Index) {
        if let Some(server) = one_of(&mut self.servers, nth) {
            if let Real::Parts { channel, .. } = &mut server.real {
                *channel = None;
                let (id, topic) = (server.id, server.topic.clone());
                let lost = server.channel.end();
                self.lose(id, &lost);
                self.release_claim(&topic, id);
            }
        }
    }

    pub(crate) fn close_server(&mut self, nth: Index) {
        if let Some(server) = one_of(&mut self.servers, nth) {
            if let Some(channel) = server.real.channel() {
                channel.close();
                server.channel.close();
                let (id, topic) = (server.id, server.topic.clone());
                self.release_claim(&topic, id);
            }
        }
    }

    /// Ends the requests that were queued at a lost server.
    fn lose(&mut self, server: u32, lost: &[u32]) {
        for number in lost {
            self.set_state(*number, State::Done(server, Outcome::Lost));
        }
    }

    pub(crate) fn unclaim(&mut self, nth: Index) {
        let Some(server) = one_of(&mut self.servers, nth) else {
            return;
        };
        if let Real::Parts { claim, .. } = &mut server.real {
            *claim = None;
            let (topic, id) = (server.topic.clone(), server.id);
            self.release_claim(&topic, id);
        }
    }

    pub(crate) fn close_claim(&mut self, nth: Index) {
        let Some(server) = one_of(&mut self.servers, nth) else {
            return;
        };
        if let Some(handle) = server.real.close_handle() {
            handle.close();
            assert!(handle.is_closed());
            let (topic, id) = (server.topic.clone(), server.id);
            self.release_claim(&topic, id);
        }
    }

    pub(crate) fn close(&mut self) {
        self.is_closed = true;
        self.claimants.clear();
    }

    pub(crate) fn advance_clock(&mut self, time: Duration) {
        self.now += time;
    }

    pub(crate) fn check(&self) {
        self.check_roles();
        self.check_stats();
        self.check_list();
        self.check_taken();
        self.check_wakes();
        self.check_alive();
        self.check_pinned();
    }

    fn check_roles(&self) {
        for TestServer {
            id, topic, real, ..
        } in &self.servers
        {
            let claimants = self.claimants.get(topic).into_iter().flatten();
            let place = claimants.into_iter().position(|other| other == id);
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
    }

    fn check_stats(&self) {
        for server in &self.servers {
            if let Some(channel) = server.real.channel() {
                assert_eq!(channel.stats(), server.channel.stats());
            }
        }
    }

    fn check_list(&self) {
        let mut listed: BTreeMap<String, Vec<Listed>> = BTreeMap::new();
        for status in self.router.servers() {
            let claimants = listed.entry(status.topic.to_string()).or_default();
            claimants.push((status.is_standby, status.capacity, status.requests));
        }
        let model = |id: &u32| {
            let mut servers = self.servers.iter();
            let server = servers.find(|server| server.id == *id);
            &server.expect("a claimant is a live server").channel
        };
        let expected = self.claimants.iter().map(|(topic, claimants)| {
            let claimants = claimants.iter().map(model).enumerate();
            let claimants =
                claimants.map(|(place, model)| (place > 0, model.capacity, model.stats()));
            (topic.full("ask"), claimants.collect())
        });
        assert_eq!(listed, expected.collect());
    }

    pub(crate) fn take_changes(&mut self) -> Changes {
        mem::take(&mut self.changes)
    }

    fn server_of(&self, topic: &Name) -> Option<u32> {
        self.claimants.get(topic)?.front().copied()
    }

    /// Returns the channel of a live server.
    fn channel_of(&mut self, id: u32) -> Option<&mut Channel> {
        let mut servers = self.servers.iter_mut();
        let server = servers.find(|server| server.id == id);
        server.map(|server| &mut server.channel)
    }

    /// Counts an event in the statistics of a server.
    fn count(&mut self, id: u32, column: impl FnOnce(&mut Stats) -> &mut u64) {
        if let Some(channel) = self.channel_of(id) {
            *column(&mut channel.counts) += 1;
        }
    }

    /// Returns whether the server accepts no new requests.
    fn has_ended(&self, id: u32) -> bool {
        let server = self.servers.iter().find(|server| server.id == id);
        server.is_none_or(|server| !server.channel.is_open)
    }

    /// Ends a claim, unless it has ended before.
    fn release_claim(&mut self, topic: &Name, id: u32) {
        let Some(claimants) = self.claimants.get_mut(topic) else {
            return;
        };
        let Some(place) = claimants.iter().position(|other| *other == id) else {
            return;
        };
        claimants.remove(place);
        let is_followed = !claimants.is_empty();
        if !is_followed {
            self.claimants.remove(topic);
        }
        if place > 0 {
            self.announce(ChangeKind::StandsDown, topic);
            return;
        }
        self.announce(ChangeKind::Unserved, topic);
        if is_followed {
            self.announce(ChangeKind::Served, topic);
        }
    }

    fn announce(&mut self, kind: ChangeKind, topic: &Name) {
        self.changes.push((kind, topic.full("ask")));
    }
}
