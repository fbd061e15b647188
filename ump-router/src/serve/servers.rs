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
    claim::{Claim, ClaimTable, ServeOptions},
    server::Server,
    serving::{Client, Serving},
};
use crate::{
    claims::{ClaimId, Claims, Released, Role},
    error::Error,
    notify::Notify,
    presence::{Change, ChangeAnnouncer, ChangeKind},
    protocol::RequestMessage,
    publish::{Deferred, Received},
    sync::{RwLock, Shared},
    topic::{
        Pattern, Topic,
        full_name::{check_full_name, full_name},
    },
    unwind::catch_user_panic,
};

pub(crate) struct Servers<P: RequestMessage> {
    state: RwLock<State<P>>,
    /// Told whenever a topic has another server, and when the router is closed.
    pub(super) server_arrived: Arc<Notify>,
    clock: Clock,
    changes: ChangeAnnouncer,
}

struct State<P: RequestMessage> {
    claims: Claims<Shared<Serving<P>>>,
    next: ClaimId,
    is_closed: bool,
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
        let mut wakes = Deferred::default();
        let mut state = self.state.write();
        if state.is_closed {
            return Err(Error::Closed);
        }
        // Their bells have not rung yet.
        while let Some(id) = state.ended(&topic) {
            gone.extend(self.give_up(&mut state, &topic, id, &mut wakes));
        }
        let id = state.next_id();
        let waker = Waker::from(Arc::new(ClosedWaker(
            Arc::downgrade(self),
            topic.clone(),
            id,
        )));
        let mut closed = client.closed();
        // No code of the user's runs in it.
        let has_ended = Pin::new(&mut closed).poll(&mut Context::from_waker(&waker));
        let serving = Serving::new(id, topic.clone(), client, closed, Arc::downgrade(self));
        let serving = Shared::new(serving);
        let role = state.claims.claim(&topic, id, serving, options.is_standby);
        if let Ok(role) = role {
            let kind = match role {
                Role::Serving => ChangeKind::Served,
                Role::Standby => ChangeKind::StandsBy,
            };
            self.announce(kind, &topic, &mut wakes);
            if has_ended.is_ready() {
                gone.extend(self.give_up(&mut state, &topic, id, &mut wakes));
            }
        }
        drop(state);
        wakes.clear();
        if matches!(role, Ok(Role::Serving)) || gone.iter().any(|left| left.has_successor) {
            self.notify_waiters();
        }
        match role {
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

    /// Takes the claim of a server that has ended, if its waker has not rung yet; the next in line serves.
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
        self.notify_waiters();
    }

    pub(crate) fn for_each(&self, mut f: impl FnMut(&Topic, &Client<P>, Role)) {
        for (topic, serving, role) in self.state.read().claims.iter() {
            f(topic, &serving.client, role);
        }
    }

    /// Gives a claim up, and tells who follows. What comes back is to be dropped when the lock is released: it may wake a server.
    fn give_up(
        &self,
        state: &mut State<P>,
        topic: &Topic,
        id: ClaimId,
        wakes: &mut Deferred<Change>,
    ) -> Option<Released<Shared<Serving<P>>>> {
        let left = state.claims.leave(topic.as_str(), id)?;
        left.who.leave();
        match left.role {
            Role::Serving => self.announce(ChangeKind::Unserved, topic, wakes),
            Role::Standby => self.announce(ChangeKind::StandsDown, topic, wakes),
        }
        if left.has_successor {
            self.announce(ChangeKind::Served, topic, wakes);
        }
        Some(left)
    }

    /// Whoever waits for a server looks again: all of them, so not for nothing. Not under a lock.
    fn notify_waiters(&self) {
        for waker in self.server_arrived.notify_waiters() {
            catch_user_panic(|| waker.wake());
        }
    }

    fn announce(&self, kind: ChangeKind, topic: &Topic, wakes: &mut Deferred<Change>) {
        self.changes.tell(wakes, || {
            let own = Pattern::from(topic);
            let name = full_name(P::PREFIX, &own).expect("checked when it was claimed");
            Received::new(name, Change::new(kind, type_name::<P>()))
        });
    }
}

impl<P: RequestMessage> ClaimTable for Servers<P> {
    fn leave(&self, topic: &Topic, id: ClaimId) {
        let mut wakes = Deferred::default();
        let mut state = self.state.write();
        let left = self.give_up(&mut state, topic, id, &mut wakes);
        drop(state);
        let has_successor = left.as_ref().is_some_and(|left| left.has_successor);
        drop(left);
        wakes.clear();
        if has_successor {
            self.notify_waiters();
        }
    }

    fn role(&self, topic: &Topic, id: ClaimId) -> Option<Role> {
        self.state.read().claims.role(topic.as_str(), id)
    }
}

/// Rings when a server ends: its claim is over.
struct ClosedWaker<P: RequestMessage>(Weak<Servers<P>>, Topic, ClaimId);

impl<P: RequestMessage> Wake for ClosedWaker<P> {
    fn wake(self: Arc<Self>) {
        let Self(servers, topic, id) = &*self;
        if let Some(servers) = servers.upgrade() {
            servers.leave(topic, *id);
        }
    }
}

impl<P: RequestMessage> State<P> {
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

impl<P: RequestMessage> fmt::Debug for Servers<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Servers")
            .field("of", &type_name::<P>())
            .finish_non_exhaustive()
    }
}
