//! Servers, standbys and their requests, each next to its model.

mod asking;
mod channel;
mod handling;

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    sync::Arc,
    time::Duration,
};

use proptest::{prelude::*, sample::Index};
use ump_router::{
    Call, ChangeKind, Claim, Error, Router, ServeOptions, Server,
    ump::{self, Clock, Stats},
};

use self::{
    asking::{Ask, Outcome, Pending, State},
    channel::Channel,
    handling::Duty,
};
pub(crate) use self::{
    asking::{CallOptions, call_options},
    handling::{Answer, answers},
};
use crate::{Changes, name::Name, one_of};

/// How a topic is served.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    stands_by: bool,
    /// Through an existing channel and a separate claim.
    by_claim: bool,
    /// The capacity of its channel.
    capacity: Option<usize>,
}

impl How {
    /// Claims a topic as its only server, with a channel of this capacity.
    pub(crate) fn alone(capacity: Option<usize>) -> Self {
        Self {
            stands_by: false,
            by_claim: false,
            capacity,
        }
    }
}

pub(crate) fn hows() -> impl Strategy<Value = How> {
    let capacity = prop::option::weighted(0.4, 1..3_usize);
    (any::<(bool, bool)>(), capacity).prop_map(|((stands_by, by_claim), capacity)| How {
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
    servers: Vec<Member>,
    requests: Vec<Pending>,
    duties: Vec<Duty>,
    /// The server of each topic, then its standbys in order.
    lines: BTreeMap<Name, VecDeque<u32>>,
    is_closed: bool,
    changes: Changes,
}

struct Member {
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
            duties: Vec::new(),
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
            let channel = ump::Builder::new().clock(self.clock.clone());
            let channel = channel.capacity(how.capacity.unwrap_or(usize::MAX));
            let (server, client) = channel.build().unwrap();
            let claim = self.router.serve_by(topic.text(), client, options);
            claim.map(|claim| Real::Parts {
                claim: Some(claim),
                channel: Some(server),
            })
        } else {
            if let Some(requests) = how.capacity {
                options = options.capacity(requests);
            }
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
            channel: Channel::new(how.capacity),
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

    /// Drops a server with its claim and its channel.
    pub(crate) fn leave(&mut self, nth: Index) {
        if self.servers.is_empty() {
            return;
        }
        let member = self.servers.swap_remove(nth.index(self.servers.len()));
        let Member {
            id,
            topic,
            real,
            mut channel,
        } = member;
        drop(real);
        self.lose(id, &channel.end());
        self.take_out(&topic, id);
    }

    pub(crate) fn end(&mut self, nth: Index) {
        if let Some(member) = one_of(&mut self.servers, nth) {
            if let Real::Parts { channel, .. } = &mut member.real {
                *channel = None;
                let (id, topic) = (member.id, member.topic.clone());
                let lost = member.channel.end();
                self.lose(id, &lost);
                self.take_out(&topic, id);
            }
        }
    }

    pub(crate) fn shut(&mut self, nth: Index) {
        if let Some(member) = one_of(&mut self.servers, nth) {
            if let Some(server) = member.real.channel() {
                server.close();
                member.channel.close();
                let (id, topic) = (member.id, member.topic.clone());
                self.take_out(&topic, id);
            }
        }
    }

    /// Ends the requests that were queued at a lost server.
    fn lose(&mut self, server: u32, lost: &[u32]) {
        for number in lost {
            self.tell_request(*number, State::Done(server, Outcome::Lost));
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

    pub(crate) fn close(&mut self) {
        self.is_closed = true;
        self.lines.clear();
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    pub(crate) fn check(&self) {
        self.check_ranks();
        self.check_books();
        self.check_list();
        self.check_duties();
        self.check_wakes();
        self.check_alive();
    }

    fn check_ranks(&self) {
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
    }

    fn check_books(&self) {
        for member in &self.servers {
            if let Some(server) = member.real.channel() {
                assert_eq!(server.stats(), member.channel.books());
            }
        }
    }

    fn check_list(&self) {
        let mut listed: BTreeMap<String, Vec<Listed>> = BTreeMap::new();
        for status in self.router.servers() {
            let line = listed.entry(status.topic.to_string()).or_default();
            line.push((status.is_standby, status.capacity, status.requests));
        }
        let model = |id: &u32| {
            let mut members = self.servers.iter();
            let member = members.find(|member| member.id == *id);
            &member.expect("it has a claim").channel
        };
        let expected = self.lines.iter().map(|(topic, line)| {
            let line = line.iter().map(model).enumerate();
            let line = line.map(|(place, model)| (place > 0, model.capacity, model.books()));
            (topic.full("ask"), line.collect())
        });
        assert_eq!(listed, expected.collect());
    }

    pub(crate) fn take_changes(&mut self) -> Changes {
        mem::take(&mut self.changes)
    }

    fn server_of(&self, topic: &Name) -> Option<u32> {
        self.lines.get(topic)?.front().copied()
    }

    /// Returns the channel of a live server.
    fn channel_of(&mut self, id: u32) -> Option<&mut Channel> {
        let mut members = self.servers.iter_mut();
        let member = members.find(|member| member.id == id);
        member.map(|member| &mut member.channel)
    }

    /// Counts an event in the statistics of a server.
    fn count(&mut self, id: u32, column: impl FnOnce(&mut Stats) -> &mut u64) {
        if let Some(channel) = self.channel_of(id) {
            *column(&mut channel.counts) += 1;
        }
    }

    /// Returns whether the server accepts no new requests.
    fn has_ended(&self, id: u32) -> bool {
        let member = self.servers.iter().find(|member| member.id == id);
        member.is_none_or(|member| !member.channel.is_open)
    }

    /// Ends a claim, unless it has ended before.
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
