//! What the peer may do: it is authenticated, and its operations are checked.

use std::sync::Arc;

use ump::Executed;

use super::{Peer, new_session};
use crate::{
    link::{
        sockets::{
            access::{Permission, Quota, Rules},
            driver::{
                Shared,
                access::{Refusal, Usage},
                relay::FromLink,
            },
            error::LinkFailure,
            refusal::LinkRefusal,
        },
        wire::Status,
    },
    topic::{Pattern, Topic},
};

impl Peer {
    /// Begins the session of a connection that is made.
    pub(super) fn begin(&mut self, shared: &Shared) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        connection.session = Some(new_session(shared, self.timeouts, self.features));
        self.authenticate(shared);
    }

    /// Looks who the peer is, if it is not known. With TLS it is known after the handshake, and
    /// nothing of the session is sent or received before.
    pub(super) fn authenticate(&mut self, shared: &Shared) {
        if self.access.is_known() {
            return;
        }
        let connection = self.connection.as_ref();
        let Some(identity) = connection.and_then(|it| it.stream.identity()) else {
            return;
        };
        if let Err(refusal) = self.access.authenticate(identity, &shared.usages) {
            self.refuse(shared, &refusal);
        }
    }

    /// Ends the link with a peer that is not accepted, or not any more. If nothing was sent yet, it
    /// gets a goodbye instead of a hello.
    pub(in super::super) fn refuse(&mut self, shared: &Shared, refusal: &Refusal) {
        let now = shared.clock.now();
        self.last_failure = Some(LinkFailure::Denied(refusal.text().to_owned()));
        if let Some(session) = self.session() {
            session.refuse(now, refusal.reason(), refusal.text());
        }
    }

    pub(in super::super) fn last_failure(&self) -> Option<LinkFailure> {
        self.last_failure.clone()
    }

    /// Sets the rules, and ends what they do not allow any more.
    pub(in super::super) fn set_rules(&mut self, shared: &Shared, rules: Arc<Rules>) {
        if let Err(refusal) = self.access.set_rules(rules) {
            return self.refuse(shared, &refusal);
        }
        self.look_at_interest();
        let session = self.connection.as_mut().and_then(|it| it.session.as_mut());
        let Some(session) = session else {
            return;
        };
        for (id, pattern) in self.interest.their_patterns() {
            if let Err(refusal) = self.access.check(Permission::Subscribe, &pattern) {
                self.interest.on_unsubscribe(shared, id);
                self.replication.end_backlog(id);
                self.for_others.push(FromLink::Unsubscribe(id));
                let _ = session.answer_subscribe(id, refusal.status(), refusal.text());
            }
        }
        for (id, topic) in self.requests.their_topics() {
            let topic = Pattern::from(&topic);
            if let Err(refusal) = self.access.check(Permission::Serve, &topic) {
                self.requests.on_leave(id);
                self.for_others.push(FromLink::Leave(id));
                let _ = session.answer_serve(id, refusal.status(), refusal.text());
            }
        }
        self.count();
    }

    /// Counts what the peer has, except its requests.
    pub(super) fn count(&mut self) {
        let Some(connection) = &self.connection else {
            return self.access.disconnected();
        };
        self.access.count(Usage {
            connections: 1,
            subscriptions: self.interest.their_count(),
            served_topics: self.requests.their_count(),
            queued_bytes: match &connection.session {
                Some(session) if self.access.limits(Quota::QueuedBytes) => session.unsent(),
                _ => 0, // not needed
            },
            ..self.access.usage()
        });
    }

    /// Returns whether more bytes may wait for the peer, over all its links.
    pub(in super::super) fn has_queue_room(&mut self) -> bool {
        if !self.access.limits(Quota::QueuedBytes) {
            return true;
        }
        self.count();
        self.access.has_room(Quota::QueuedBytes).is_ok()
    }

    /// Counts the requests of the peer before the one whose event is being handled.
    fn count_requests(&mut self) {
        let connection = self.connection.as_ref();
        let session = connection.and_then(|connection| connection.session.as_ref());
        if let Some(session) = session.filter(|_| self.access.limits(Quota::PendingRequests)) {
            let pending_requests = session.in_service().saturating_sub(1);
            self.access.count(Usage {
                pending_requests,
                ..self.access.usage()
            });
        }
    }

    /// Counts what the peer has, after all events were handled.
    pub(super) fn count_all(&mut self) {
        self.count();
        let connection = self.connection.as_ref();
        let session = connection.and_then(|connection| connection.session.as_ref());
        if let Some(session) = session.filter(|_| self.access.limits(Quota::PendingRequests)) {
            self.access.count(Usage {
                pending_requests: session.unanswered(),
                ..self.access.usage()
            });
        }
    }

    /// An operation of the socket failed.
    pub(in super::super) fn failed(&mut self, shared: &Shared, error: &ump_server::net::Error) {
        if !self.is_connected() {
            self.last_failure = Some(LinkFailure::Connect(error.to_string()));
        }
        self.disconnected(shared);
    }

    /// No connection was made.
    pub(in super::super) fn not_connected(&mut self, shared: &Shared, failure: LinkFailure) {
        self.last_failure = Some(failure);
        self.retry(shared);
    }

    fn is_connected(&self) -> bool {
        let connection = self.connection.as_ref();
        connection.is_some_and(|connection| connection.session.is_some())
    }

    /// The peer subscribes.
    pub(super) fn on_subscribe(
        &mut self,
        shared: &Shared,
        id: u32,
        pattern: Pattern,
        retained: bool,
    ) {
        let (permission, quota) = (Permission::Subscribe, Quota::Subscriptions);
        let admitted = self.access.admit(permission, &pattern, quota);
        let (status, text) = match &admitted {
            Ok(()) => {
                self.interest.on_subscribe(shared, id, &pattern);
                (Status::Accepted, "")
            }
            Err(refusal) => (refusal.status(), refusal.text()),
        };
        if let Some(session) = self.session() {
            // It is sent after the outboxes have it.
            let _ = session.answer_subscribe(id, status, text);
        }
        if admitted.is_ok() {
            if retained {
                self.replication.begin_backlog(id, pattern.clone());
            }
            self.for_others.push(FromLink::Subscribe { id, pattern });
            self.count();
        }
    }

    /// Checks a claim of the peer, and answers one that is not admitted.
    pub(super) fn admits_claim(&mut self, id: u32, topic: &Topic) -> bool {
        let (permission, quota) = (Permission::Serve, Quota::ServedTopics);
        let admitted = self.access.admit(permission, &Pattern::from(topic), quota);
        let Err(refusal) = admitted else {
            return true;
        };
        if let Some(session) = self.session() {
            let _ = session.answer_serve(id, refusal.status(), refusal.text());
        }
        false
    }

    /// Checks a request of the peer, and answers one that is not admitted.
    pub(super) fn admits_request(&mut self, request: u64, topic: &Topic) -> bool {
        self.count_requests();
        let (permission, quota) = (Permission::Request, Quota::PendingRequests);
        let admitted = self.access.admit(permission, &Pattern::from(topic), quota);
        let admitted = admitted.and_then(|()| self.access.has_room(Quota::QueuedBytes));
        let Err(refusal) = admitted else {
            return true;
        };
        if let Some(session) = self.session() {
            let (failure, text) = (refusal.failure(), refusal.text());
            let _ = session.fail(request, failure, Executed::No, text);
        }
        false
    }

    /// A message of the peer that it may not publish is dropped. It has used credit. The peer is
    /// told once for each topic.
    pub(super) fn deny_message(
        &mut self,
        (to, topic): (&[u32], &Pattern),
        length: usize,
        refusal: &Refusal,
    ) {
        let is_new = self.access.is_new_denial(topic);
        if let Some(session) = self.session() {
            for id in to {
                let _ = session.consumed(*id, 1, length as u64); // an error if it has ended
            }
            if is_new {
                let _ = session.refuse_publications(topic, refusal.status(), refusal.text());
            }
        }
    }

    /// The peer refuses a subscription, a topic or messages of this process, or ends the former.
    pub(super) fn refused(
        &self,
        shared: &Shared,
        permission: Permission,
        name: &Pattern,
        (status, text): (Status, String),
    ) {
        let refusal = LinkRefusal {
            link: Arc::clone(&self.name),
            permission,
            status,
            text,
        };
        shared.refusals.publish_from_link(name, refusal, &|_| true);
    }
}
