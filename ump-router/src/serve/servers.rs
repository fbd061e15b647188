//! All who serve one type of requests.

use std::{
    any::type_name,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Wake, Waker},
};

use ump::Clock;

use super::{
    claim::{Claim, Desk, ServeOptions},
    server::Server,
    serving::{Client, Serving},
};
use crate::{
    claims::{ClaimId, Claims, Left, Rank},
    error::Error,
    notify::Signal,
    presence::{Change, ChangeKind, Changes},
    protocol::Request,
    publish::{Leftovers, Received},
    sync::{RwLock, Shared},
    topic::{
        Pattern, Topic,
        full_name::{check_full_name, full_name},
    },
    unwind::shielded,
};

pub(crate) struct Servers<P: Request> {
    state: RwLock<State<P>>,
    /// Told whenever a topic has another server, and when the router is closed.
    pub(super) came: Arc<Signal>,
    clock: Clock,
    changes: Changes,
}

struct State<P: Request> {
    claims: Claims<Shared<Serving<P>>>,
    next: ClaimId,
    is_closed: bool,
}

impl<P: Request> Servers<P> {
    pub(crate) fn new(clock: Clock, changes: Changes) -> Self {
        Self {
            state: RwLock::new(State {
                claims: Claims::new(),
                next: ClaimId(0),
                is_closed: false,
            }),
            came: Arc::new(Signal::new()),
            clock,
            changes,
        }
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn serve(
        self: &Arc<Self>,
        topic: Topic,
        options: ServeOptions,
    ) -> Result<Server<P>, Error> {
        let capacity = options.capacity.unwrap_or(usize::MAX);
        let channel = ump::Builder::new()
            .capacity(capacity)
            .clock(self.clock.clone());
        let (requests, client) = channel.build().map_err(|_| Error::ZeroCapacity)?;
        let claim = self.claim(topic, client, options)?;
        Ok(Server::new(claim, requests))
    }

    pub(crate) fn claim(
        self: &Arc<Self>,
        topic: Topic,
        client: Client<P>,
        options: ServeOptions,
    ) -> Result<Claim, Error> {
        // It has to be a name with its prefix, too.
        check_full_name(P::PREFIX, &Pattern::from(&topic))?;
        let mut gone = Vec::new();
        let mut news = Leftovers::default();
        let mut state = self.state.write();
        if state.is_closed {
            return Err(Error::Closed);
        }
        // Their bells have not rung yet.
        while let Some(id) = state.ended(&topic) {
            gone.extend(self.give_up(&mut state, &topic, id, &mut news));
        }
        let id = state.next_id();
        let bell = Waker::from(Arc::new(Bell(Arc::downgrade(self), topic.clone(), id)));
        let mut closed = client.closed();
        // No code of the user's runs in it.
        let has_ended = Pin::new(&mut closed).poll(&mut Context::from_waker(&bell));
        let serving = Serving::new(id, topic.clone(), client, closed, Arc::downgrade(self));
        let serving = Shared::new(serving);
        let rank = state.claims.claim(&topic, id, serving, options.stands_by);
        if let Ok(rank) = rank {
            let kind = match rank {
                Rank::Serving => ChangeKind::Served,
                Rank::StandingBy => ChangeKind::StandsBy,
            };
            self.announce(kind, &topic, &mut news);
            if has_ended.is_ready() {
                gone.extend(self.give_up(&mut state, &topic, id, &mut news));
            }
        }
        drop(state);
        news.clear();
        if matches!(rank, Ok(Rank::Serving)) || gone.iter().any(|left| left.is_followed) {
            self.call_all();
        }
        match rank {
            Ok(_) => Ok(Claim::new(self, topic, id)),
            Err(_) => Err(Error::Taken(topic)),
        }
    }

    /// Who serves a topic.
    pub(crate) fn find(&self, topic: &str) -> Option<Shared<Serving<P>>> {
        self.state.read().claims.server(topic).cloned()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state.read().is_closed
    }

    /// Takes the claim of a server that has ended, if its bell has not rung yet; the next in line serves.
    pub(super) fn retire(&self, serving: &Serving<P>) {
        if serving.client.is_closed() {
            self.leave(&serving.topic, serving.id);
        }
    }

    /// Ends all claims: servers learn it when they have served what is queued.
    pub(crate) fn close(&self) {
        let mut state = self.state.write();
        state.is_closed = true;
        let gone = state.claims.clear();
        for serving in &gone {
            serving.leave();
        }
        drop(state);
        drop(gone);
        self.call_all();
    }

    pub(crate) fn for_each(&self, mut f: impl FnMut(&Topic, &Client<P>, Rank)) {
        for (topic, serving, rank) in self.state.read().claims.iter() {
            f(topic, &serving.client, rank);
        }
    }

    /// Gives a claim up, and tells who follows. What comes back is to be dropped when the lock is released: it may wake a server.
    fn give_up(
        &self,
        state: &mut State<P>,
        topic: &Topic,
        id: ClaimId,
        news: &mut Leftovers<Change>,
    ) -> Option<Left<Shared<Serving<P>>>> {
        let left = state.claims.leave(topic.as_str(), id)?;
        left.who.leave();
        match left.rank {
            Rank::Serving => self.announce(ChangeKind::Unserved, topic, news),
            Rank::StandingBy => self.announce(ChangeKind::StandsDown, topic, news),
        }
        if left.is_followed {
            self.announce(ChangeKind::Served, topic, news);
        }
        Some(left)
    }

    /// Whoever waits for a server looks again: all of them, so not for nothing. Not under a lock.
    fn call_all(&self) {
        for waker in self.came.call_all() {
            shielded(|| waker.wake());
        }
    }

    fn announce(&self, kind: ChangeKind, topic: &Topic, news: &mut Leftovers<Change>) {
        self.changes.tell(news, || {
            let own = Pattern::from(topic);
            let name = full_name(P::PREFIX, &own).expect("checked when it was claimed");
            Received::new(name, Change::new(kind, type_name::<P>()))
        });
    }
}

impl<P: Request> Desk for Servers<P> {
    fn leave(&self, topic: &Topic, id: ClaimId) {
        let mut news = Leftovers::default();
        let mut state = self.state.write();
        let left = self.give_up(&mut state, topic, id, &mut news);
        drop(state);
        let is_followed = left.as_ref().is_some_and(|left| left.is_followed);
        drop(left);
        news.clear();
        if is_followed {
            self.call_all();
        }
    }

    fn rank(&self, topic: &Topic, id: ClaimId) -> Option<Rank> {
        self.state.read().claims.rank(topic.as_str(), id)
    }
}

/// Rings when a server ends: its claim is over.
struct Bell<P: Request>(Weak<Servers<P>>, Topic, ClaimId);

impl<P: Request> Wake for Bell<P> {
    fn wake(self: Arc<Self>) {
        let Self(servers, topic, id) = &*self;
        if let Some(servers) = servers.upgrade() {
            servers.leave(topic, *id);
        }
    }
}

impl<P: Request> State<P> {
    fn next_id(&mut self) -> ClaimId {
        let ClaimId(next) = self.next;
        std::mem::replace(&mut self.next, ClaimId(next + 1))
    }

    /// The server of a topic, if that has ended.
    fn ended(&self, topic: &Topic) -> Option<ClaimId> {
        let serving = self.claims.server(topic.as_str())?;
        serving.client.is_closed().then_some(serving.id)
    }
}

impl<P: Request> fmt::Debug for Servers<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Servers")
            .field("of", &type_name::<P>())
            .finish_non_exhaustive()
    }
}
