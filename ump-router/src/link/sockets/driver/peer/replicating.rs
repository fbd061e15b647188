//! Changes of retained messages of this process and of other links, for the peer.

use super::Peer;
use crate::{
    link::{
        session::{Publication, Replica},
        sockets::{
            access::Permission,
            driver::{
                Shared,
                retained::{Former, OwnChange, PeerView},
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
            self.unretain(&change.topic);
        }
    }

    /// Tells a peer that does not exchange changes, and has a subscription for it, of a removal.
    fn unretain(&mut self, topic: &Topic) {
        let is_wanted = !self.interest.matching(&Pattern::from(topic)).is_empty();
        if let Some(session) = self.session().filter(|_| is_wanted) {
            let _ = session.unretain(topic); // an error if too much waits, or the link is not open
        }
    }

    /// Sends a change that another link has just brought. It may replace another one.
    pub(in super::super) fn replicate_now(&mut self, replica: &Replica, former: Option<Former>) {
        let name = Pattern::from(&replica.topic);
        if self.access.check(Permission::Subscribe, &name).is_err() {
            return;
        }
        let to = self.interest.matching(&name);
        let has_room = self.has_queue_room();
        if self.replication.is_on() {
            let misses_former = former.is_some_and(|former| {
                former.from != Some(self.id) && self.replication.misses(&replica.topic, former)
            });
            let Self {
                connection,
                replication,
                ..
            } = self;
            let Some(session) = connection.as_mut().and_then(|it| it.session.as_mut()) else {
                return;
            };
            if misses_former {
                session.missed(&to, 1);
            }
            if has_room {
                // If it has no room, it is sent in its turn.
                let _ = replication.send_now(session, replica.clone());
            }
        } else if replica.removed {
            self.unretain(&replica.topic);
        } else {
            self.publish_now(&Publication {
                retained: replica.retained,
                ..Publication::new(name, replica.codec, replica.payload.clone())
            });
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
