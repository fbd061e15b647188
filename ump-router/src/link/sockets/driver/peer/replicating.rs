//! Changes of retained messages of this process and of other links, for the peer.

use super::Peer;
use crate::{
    link::{
        session::{Publication, Replica},
        sockets::{
            access::Permission,
            driver::{
                Shared,
                retained::{OwnChange, PeerView},
            },
        },
    },
    topic::{Pattern, Topic},
};

impl Peer {
    /// Sends all that this process has for the peer, before the link is closed.
    pub(super) fn send_all(&mut self, shared: &Shared) {
        let connection = self.connection.as_mut();
        let Some(session) = connection.and_then(|it| it.session.as_mut()) else {
            return;
        };
        let replication = &mut self.replication;
        self.interest.refresh_outboxes(shared);
        self.interest
            .send_all(shared, session, replication, (self.id, &self.access));
        let peer = PeerView {
            link: self.id,
            has_ready_for: &|topic: &Topic| self.interest.has_ready_for(topic),
            has_more_of: &|nth| self.interest.has_more_of(nth),
            access: &self.access,
            is_accepted: self.for_others.is_accepted(),
        };
        replication.send_all(shared, session, peer);
    }

    /// This process has changed retained messages of a type.
    pub(in super::super) fn retained_changed(&mut self, nth: usize, changed: &[OwnChange]) {
        self.interest.outbox_woken(nth);
        for change in changed {
            // What the peer had told of it needs no room any more.
            self.replication
                .held
                .forget_older(&change.topic, change.stamp);
        }
        if self.replication.is_on() {
            return;
        }
        for change in changed.iter().filter(|change| change.is_removal) {
            self.unretain(Some(nth), &change.topic);
        }
    }

    /// Tells a peer that does not exchange changes, and has a subscription for it, of a removal: by
    /// this process if the number of its type is given.
    fn unretain(&mut self, nth: Option<usize>, topic: &Topic) {
        let to = self.interest.matching(&Pattern::from(topic));
        if to.is_empty() || self.replication.unretain(nth, topic) {
            return;
        }
        if let Some(session) = self.session() {
            session.missed(&to, 1);
        }
    }

    /// Sends a change that another link has just brought.
    pub(in super::super) fn replicate_now(&mut self, shared: &Shared, replica: &Replica) {
        let name = Pattern::from(&replica.topic);
        if self.access.check(Permission::Subscribe, &name).is_err() {
            return;
        }
        if !self.replication.is_on() {
            let (topic, stamp) = (&replica.topic, replica.stamp);
            if !self.interest.overtake(shared, topic, stamp) {
                let to = self.interest.matching(&name);
                if let Some(session) = self.session() {
                    session.missed(&to, 1);
                }
            } else if replica.removed {
                self.unretain(None, topic);
            } else {
                self.publish_now(&Publication {
                    retained: replica.retained,
                    ..Publication::new(name, replica.codec, replica.payload.clone())
                });
            }
            return;
        }
        let has_room = self.has_queue_room();
        let to = self.interest.matching(&name);
        let Self {
            connection,
            replication,
            ..
        } = self;
        let Some(session) = connection.as_mut().and_then(|it| it.session.as_mut()) else {
            return;
        };
        if !has_room || replication.send_now(session, replica.clone()).is_err() {
            if !replica.removed {
                session.missed(&to, 1);
            }
            replication.send_later(shared);
        }
    }

    /// Sends a message that another link has just brought to the subscriptions that match.
    pub(in super::super) fn publish_now(&mut self, publication: &Publication) {
        let to = self.interest.matching(&publication.topic);
        let has_room = self.has_queue_room();
        if let Some(session) = self.session() {
            if has_room {
                // An error if it is too long for the peer: then it is a gap.
                let _ = session.publish(publication, &to);
            } else {
                session.missed(&to, 1);
            }
        }
    }
}
