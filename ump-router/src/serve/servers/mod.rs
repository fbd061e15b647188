//! All servers of one type of requests, with their standbys.

mod serving;

use std::{
    any::type_name,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Wake, Waker},
};

use ump::{Clock, coop};

pub(crate) use self::serving::Serving;
use super::{
    channel::{CallClient, Channel},
    claim::{Claim, ClaimTable, ServeOptions},
    server::Server,
};
use crate::{
    claims::{ClaimId, Claims, Released, Role},
    deferred::DeferredWakes,
    error::Error,
    notify::Notify,
    presence::{ChangeAnnouncer, ChangeKind},
    protocol::RequestMessage,
    sync::{RwLock, Shared},
    topic::{Pattern, Topic, full_name::check_written},
};

pub(crate) struct Servers<P: RequestMessage> {
    state: RwLock<State<P>>,
    /// Notified when a topic has a new server, and when the router is closed.
    pub(super) server_arrived: Arc<Notify>,
    clock: Clock,
    changes: ChangeAnnouncer,
}

struct State<P: RequestMessage> {
    claims: Claims<Shared<Serving<P>>>,
    next: ClaimId,
    is_closed: bool,
}

/// Where a claim comes among those of its topic.
#[derive(Clone, Copy)]
enum Rank {
    Last(ServeOptions),
    #[cfg(all(feature = "bridge", unix, not(any(loom, shuttle))))]
    First,
}

impl<P: RequestMessage> Servers<P> {
    pub(crate) fn new(clock: Clock, changes: ChangeAnnouncer) -> Self {
        Self {
            state: RwLock::new(State {
                claims: Claims::new(),
                next: ClaimId(0),
                is_closed: false,
            }),
            server_arrived: Arc::new(Notify::new()),
            clock,
            changes,
        }
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Makes a channel whose server serves a topic.
    pub(crate) fn serve(
        self: &Arc<Self>,
        topic: Topic,
        options: ServeOptions,
    ) -> Result<Server<P>, Error> {
        let capacity = options.capacity.unwrap_or(usize::MAX);
        let channel = ump::Builder::new()
            .capacity(capacity)
            .clock(self.clock.clone());
        let (requests, client): (_, CallClient<P>) =
            channel.build().map_err(|_| Error::ZeroCapacity)?;
        let claim = self.claim(topic, client, options)?;
        Ok(Server::new(claim, requests))
    }

    /// Claims a topic for the server of a channel.
    pub(crate) fn claim(
        self: &Arc<Self>,
        topic: Topic,
        channel: impl Into<Channel<P>>,
        options: ServeOptions,
    ) -> Result<Claim, Error> {
        self.claim_as(topic, channel.into(), Rank::Last(options))
    }

    /// Claims a topic before all that have it: its server becomes a standby.
    #[cfg(all(feature = "bridge", unix, not(any(loom, shuttle))))]
    pub(super) fn claim_first(
        self: &Arc<Self>,
        topic: Topic,
        channel: Channel<P>,
    ) -> Result<Claim, Error> {
        self.claim_as(topic, channel, Rank::First)
    }

    fn claim_as(
        self: &Arc<Self>,
        topic: Topic,
        channel: Channel<P>,
        rank: Rank,
    ) -> Result<Claim, Error> {
        check_written(P::PREFIX, &Pattern::from(&topic))?;
        let mut released = Vec::new();
        let mut refused = None;
        let mut wakes = DeferredWakes::default();
        let mut state = self.state.write();
        if state.is_closed {
            return Err(Error::Closed);
        }
        // Servers that have ended, but whose wakers were not woken yet.
        while let Some(id) = state.ended(&topic) {
            released.extend(self.release_in(&mut state, &topic, id, &mut wakes));
        }
        let id = state.next_id();
        let waker = Waker::from(Arc::new(ClosedWaker {
            servers: Arc::downgrade(self),
            topic: topic.clone(),
            id,
        }));
        let mut closed = channel.closed();
        // This runs no user code: the waker is our own. It has a budget of its own: a future that
        // yields wakes its waker, which would wait here for the lock, and end the claim.
        let has_ended = coop::with_budget(coop::BUDGET, || {
            Pin::new(&mut closed).poll(&mut Context::from_waker(&waker))
        });
        let serving = Serving::new(id, topic.clone(), channel, closed, Arc::downgrade(self));
        let serving = Shared::new(serving);
        let role = match rank {
            Rank::Last(options) => {
                let stand_by = options.is_standby;
                let claimed = state.claims.claim(&topic, id, serving, stand_by);
                claimed.map_err(|serving| refused = Some(serving)).ok()
            }
            #[cfg(all(feature = "bridge", unix, not(any(loom, shuttle))))]
            Rank::First => {
                if state.claims.claim_first(&topic, id, serving) {
                    self.announce(ChangeKind::Unserved, &topic, &mut wakes);
                    self.announce(ChangeKind::StandsBy, &topic, &mut wakes);
                }
                Some(Role::Serving)
            }
        };
        if let Some(role) = role {
            let kind = match role {
                Role::Serving => ChangeKind::Served,
                Role::Standby => ChangeKind::StandsBy,
            };
            self.announce(kind, &topic, &mut wakes);
            if has_ended.is_ready() {
                released.extend(self.release_in(&mut state, &topic, id, &mut wakes));
            }
        }
        drop(state);
        drop(refused); // perhaps the last client, whose server is woken
        wakes.wake_all();
        if role == Some(Role::Serving) || released.iter().any(|one| one.has_successor) {
            self.notify_server_arrived();
        }
        match role {
            Some(_) => Ok(Claim::new(self, topic, id)),
            None => Err(Error::Taken(topic)),
        }
    }

    /// Returns the server of a topic.
    pub(crate) fn find(&self, topic: &str) -> Option<Shared<Serving<P>>> {
        self.state.read().claims.server(topic).cloned()
    }

    /// Returns the server of a topic, if it has this claim.
    pub(super) fn find_claim(&self, topic: &str, id: ClaimId) -> Option<Shared<Serving<P>>> {
        let state = self.state.read();
        let server = state.claims.server(topic);
        server.filter(|serving| serving.id == id).cloned()
    }

    /// Returns the servers of all topics that match a pattern. Without a wildcard it takes one
    /// look-up, otherwise a walk through an index of the topics.
    pub(super) fn matching(&self, pattern: &Pattern) -> Vec<Shared<Serving<P>>> {
        if let Some(topic) = pattern.as_topic() {
            return self.find(topic.as_str()).into_iter().collect();
        }
        if let Some(matching) = self.state.read().claims.matching(pattern) {
            return matching.into_iter().cloned().collect();
        }
        let mut state = self.state.write();
        state.claims.make_index();
        let matching = state.claims.matching(pattern).into_iter().flatten();
        matching.cloned().collect()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state.read().is_closed
    }

    /// Releases the claim of a server that has ended, if its waker was not woken yet. Then the
    /// first standby serves.
    pub(super) fn release_if_ended(&self, serving: &Serving<P>) {
        if serving.channel.is_closed() {
            self.release(&serving.topic, serving.id);
        }
    }

    /// Ends all claims. A server learns of it when its queue is empty.
    pub(crate) fn close(&self) {
        let mut state = self.state.write();
        state.is_closed = true;
        let released = state.claims.clear();
        for serving in &released {
            serving.mark_left();
        }
        drop(state);
        drop(released);
        self.notify_server_arrived();
    }

    pub(super) fn for_each(&self, mut f: impl FnMut(&Topic, &Channel<P>, Role)) {
        for (topic, serving, role) in self.state.read().claims.iter() {
            f(topic, &serving.channel, role);
        }
    }

    /// Releases a claim, and announces that and its successor. The result is to be dropped after
    /// the lock is released: its drop may wake a server.
    fn release_in(
        &self,
        state: &mut State<P>,
        topic: &Topic,
        id: ClaimId,
        wakes: &mut DeferredWakes,
    ) -> Option<Released<Shared<Serving<P>>>> {
        let released = state.claims.release(topic.as_str(), id)?;
        released.claimant.mark_left();
        match released.role {
            Role::Serving => self.announce(ChangeKind::Unserved, topic, wakes),
            Role::Standby => self.announce(ChangeKind::StandsDown, topic, wakes),
        }
        if released.has_successor {
            self.announce(ChangeKind::Served, topic, wakes);
        }
        Some(released)
    }

    /// Wakes all requests that wait for a server. Each looks its topic up again. No lock may be
    /// held.
    fn notify_server_arrived(&self) {
        self.server_arrived.notify_waiters().wake_all();
    }

    fn announce(&self, kind: ChangeKind, topic: &Topic, wakes: &mut DeferredWakes) {
        let topic = Pattern::from(topic);
        self.changes
            .announce(kind, type_name::<P>(), P::PREFIX, &topic, wakes);
    }
}

impl<P: RequestMessage> ClaimTable for Servers<P> {
    fn release(&self, topic: &Topic, id: ClaimId) {
        let mut wakes = DeferredWakes::default();
        let mut state = self.state.write();
        let released = self.release_in(&mut state, topic, id, &mut wakes);
        drop(state);
        let has_successor = released.as_ref().is_some_and(|one| one.has_successor);
        drop(released);
        wakes.wake_all();
        if has_successor {
            self.notify_server_arrived();
        }
    }

    fn role(&self, topic: &Topic, id: ClaimId) -> Option<Role> {
        self.state.read().claims.role(topic.as_str(), id)
    }
}

/// Releases a claim when its server ends: registered with the channel of the server.
struct ClosedWaker<P: RequestMessage> {
    servers: Weak<Servers<P>>,
    topic: Topic,
    id: ClaimId,
}

impl<P: RequestMessage> Wake for ClosedWaker<P> {
    fn wake(self: Arc<Self>) {
        if let Some(servers) = self.servers.upgrade() {
            servers.release(&self.topic, self.id);
        }
    }
}

impl<P: RequestMessage> State<P> {
    fn next_id(&mut self) -> ClaimId {
        let ClaimId(next) = self.next;
        std::mem::replace(&mut self.next, ClaimId(next + 1))
    }

    /// Returns the claim of the server of a topic, if that server has ended.
    fn ended(&self, topic: &Topic) -> Option<ClaimId> {
        let serving = self.claims.server(topic.as_str())?;
        serving.channel.is_closed().then_some(serving.id)
    }
}

impl<P: RequestMessage> fmt::Debug for Servers<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Servers")
            .field("type_name", &type_name::<P>())
            .finish_non_exhaustive()
    }
}
