//! The changes of retained messages that a link brings.

use super::Peer;
use crate::{
    link::{
        session::{Publication, Replica},
        sockets::{
            access::{Permission, Quota},
            driver::{
                Shared,
                access::Refusal,
                relay::FromLink,
                retained::{Change, Content, Put, Room},
            },
            names::without_prefix,
        },
    },
    publish::StampClock,
    topic::Pattern,
};

/// A stamp of a link that was accepted may be so far ahead of the clock of this system, in
/// microseconds: what this router tells then is no farther ahead.
const MAX_AHEAD: u64 = 60 * 1_000_000;

/// The same for a link that this router has connected. The other router has looked at its own
/// clock, which may be ahead of this one.
const MAX_AHEAD_OF_HUB: u64 = 24 * 3600 * 1_000_000;

impl Peer {
    /// The peer has changed a retained message, or tells of a change.
    pub(super) fn on_replicate(&mut self, shared: &Shared, mut replica: Replica) {
        let name = Pattern::from(&replica.topic);
        if let Err(refusal) = self.access.check(Permission::Publish, &name) {
            return self.deny_retained(&name, &refusal);
        }
        let clock = &shared.replicas.clock;
        let router = self.replication.router();
        let (max_ahead, what) = if self.for_others.is_accepted() {
            (MAX_AHEAD, "a minute")
        } else {
            (MAX_AHEAD_OF_HUB, "a day")
        };
        if replica.stamp.time == 0 {
            replica.stamp = clock.next();
        } else if replica.stamp.time > StampClock::now().saturating_add(max_ahead) {
            let text = format!("the clock of the publisher is more than {what} ahead");
            return self.refuse_retained(shared, &replica, &Refusal::Denied(text));
        } else if let Some(router) = router.filter(|_| self.for_others.is_accepted()) {
            // A router that has connected a link tells of its own changes there.
            replica.stamp.router = router;
        }
        clock.observe(replica.stamp);
        if self.for_others.is_accepted() {
            // A newer one of this process may have been sent to a peer that knows no stamps.
            for (nth, messages) in shared.messages.iter().enumerate() {
                if without_prefix(messages.prefix(), &name).is_some() {
                    shared.feed_retained(nth, false);
                }
            }
        }
        if self.put_retained(shared, &replica) == Put::Newest {
            apply_retained(shared, &name, &replica);
            if self.for_others.is_accepted() {
                self.for_others.push(FromLink::Retained(replica));
            }
        }
    }

    /// Notes a change.
    fn put_retained(&mut self, shared: &Shared, replica: &Replica) -> Put {
        let is_accepted = self.for_others.is_accepted();
        // What stays in this process has the payload in its bus.
        let payload = if is_accepted {
            replica.payload.clone()
        } else {
            [].into()
        };
        let change = Change {
            topic: replica.topic.clone(),
            stamp: replica.stamp,
            is_old: replica.retained,
            content: (!replica.removed).then_some(Content {
                codec: replica.codec,
                payload,
                expires_at: replica.expires_at,
            }),
        };
        let room = Room {
            all: self.retained_limits,
            // A hub tells what all its links have brought.
            of_peer: if is_accepted {
                self.access.limit(Quota::RetainedMessages)
            } else {
                usize::MAX
            },
        };
        let from = (self.id, self.access.owner());
        let now = shared.clock.now();
        let mut table = shared.replicas.table.borrow_mut();
        let put = if !is_accepted && table.is_stale(&change) {
            Put::Stale // this process has a newer one
        } else if is_accepted {
            table.put(now, change, from, replica.payload.len(), room)
        } else {
            let held = &mut self.replication.held;
            held.put(now, change, from, replica.payload.len(), room)
        };
        match put {
            Put::Newest if !is_accepted => table.forget_own(&replica.topic, replica.stamp),
            Put::Newest | Put::Stale => {}
            Put::Full(what, limit) => {
                drop(table);
                let text = format!("there is no room for more {what}: {limit}");
                self.refuse_retained(shared, replica, &Refusal::Quota(text));
            }
        }
        put
    }

    /// A message is not retained here. Subscriptions receive it all the same.
    fn refuse_retained(&mut self, shared: &Shared, replica: &Replica, refusal: &Refusal) {
        let name = Pattern::from(&replica.topic);
        self.deny_retained(&name, refusal);
        if replica.retained || replica.removed {
            return; // it is not published now
        }
        for messages in &shared.messages {
            let Some(own) = without_prefix(messages.prefix(), &name) else {
                continue;
            };
            let is_meant = |pattern: &Pattern| pattern.intersects(&own);
            let payload = (replica.codec, &replica.payload[..]);
            if !messages.publish(&own, payload, &is_meant) {
                messages.miss(1, false, &is_meant);
            }
        }
        let publication = Publication::new(name, replica.codec, replica.payload.clone());
        self.for_others.push(FromLink::NotRetained(publication));
    }

    /// Tells the peer, once for each topic, that a change of a retained message is refused.
    fn deny_retained(&mut self, topic: &Pattern, refusal: &Refusal) {
        let is_new = self.access.is_new_denial(topic);
        if let Some(session) = self.session().filter(|_| is_new) {
            let _ = session.refuse_publications(topic, refusal.status(), refusal.text());
        }
    }
}

/// Retains a message in this process, or removes it, if its type travels.
fn apply_retained(shared: &Shared, name: &Pattern, replica: &Replica) {
    for messages in &shared.messages {
        let own = without_prefix(messages.prefix(), name);
        let Some(topic) = own.as_ref().and_then(Pattern::as_topic) else {
            continue;
        };
        if !messages.apply(topic, replica) {
            let is_meant =
                |pattern: &Pattern| own.as_ref().is_some_and(|own| pattern.intersects(own));
            messages.miss(1, false, &is_meant);
        }
    }
}
