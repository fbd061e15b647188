//! What a link tells its peer of retained messages.

use std::collections::HashMap;

use super::{
    super::{LinkId, Shared, access::Access},
    Former, Source, Table, has_room,
    table::Entry,
};
use crate::{
    link::{
        session::{Publication, Rejected, Replica, Session},
        sockets::access::Permission,
        wire::{FEATURE_REPLICATE, Stamp},
    },
    publish::LinkRetention,
    topic::{Pattern, Topic},
};

/// How many changes that were sent at once are remembered. More of them may be sent twice, which
/// the peer ignores.
const MAX_SENT: usize = 4096;

/// How many changes are sent in a turn.
const TURN: usize = 128;

/// At how many entries the subscriptions of a link look in a turn.
const LOOKS: usize = 2048;

/// One end of a link: how far the peer knows the table.
#[derive(Default)]
pub(in super::super) struct Replication {
    /// The number of the peer's router, if it exchanges changes.
    router: Option<u128>,
    /// The peer knows the changes up to this one.
    place: u64,
    /// The last change before the link opened.
    opened_at: u64,
    /// What was sent before its turn.
    sent: HashMap<Topic, Stamp>,
    /// What subscriptions that ask for the retained messages are to receive still.
    backlogs: Vec<Backlog>,
    /// Some of these are to be looked at further.
    has_unread: bool,
    /// What the peer has told, if this router has connected the link. Without payloads.
    pub(in super::super) held: Table,
}

/// What there is to know of the peer.
#[derive(Clone, Copy)]
pub(in super::super) struct PeerView<'a> {
    pub(in super::super) link: LinkId,
    /// Messages of this process may wait to be sent that are on this topic.
    pub(in super::super) has_ready_for: &'a dyn Fn(&Topic) -> bool,
    pub(in super::super) access: &'a Access,
    /// This router has accepted the link.
    pub(in super::super) is_accepted: bool,
}

/// The retained messages for a subscription: those before `end` that match.
struct Backlog {
    id: u32,
    pattern: Pattern,
    place: u64,
    /// `None` until what this process has changed before is known.
    end: Option<u64>,
}

impl Replication {
    /// The session has opened.
    pub(in super::super) fn open(&mut self, shared: &Shared, features: u64, router: u128) {
        self.end();
        self.router = (features & FEATURE_REPLICATE != 0).then_some(router);
        self.opened_at = shared.replicas.table.borrow().last();
    }

    /// The session has ended.
    pub(in super::super) fn end(&mut self) {
        let held = std::mem::take(&mut self.held);
        *self = Self {
            held,
            ..Self::default()
        };
    }

    /// Tells all again, as the peer may subscribe to something else now.
    pub(in super::super) fn restart(&mut self, shared: &Shared) {
        self.place = 0;
        self.opened_at = shared.replicas.table.borrow().last();
    }

    /// Returns whether the peer exchanges changes.
    pub(in super::super) fn is_on(&self) -> bool {
        self.router.is_some()
    }

    /// Sends a change of this moment. Fails if it cannot be sent now.
    pub(in super::super) fn send_now(
        &mut self,
        session: &mut Session,
        replica: Replica,
    ) -> Result<(), Rejected> {
        let (topic, stamp) = (replica.topic.clone(), replica.stamp);
        session.replicate(replica)?;
        if self.sent.len() >= MAX_SENT {
            self.sent.clear();
        }
        self.sent.insert(topic, stamp);
        Ok(())
    }

    /// Returns the number of the peer's router, if it exchanges changes.
    pub(in super::super) fn router(&self) -> Option<u128> {
        self.router
    }

    /// Returns whether a message that is replaced was not sent.
    pub(in super::super) fn misses(&self, topic: &Topic, former: Former) -> bool {
        former.number > self.place && !self.sent.contains_key(topic)
    }

    /// Sends a message that this process has just published to be retained. Returns false if it
    /// cannot be sent.
    pub(in super::super) fn send_own(
        &mut self,
        (shared, nth, access): (&Shared, usize, &Access),
        session: &mut Session,
        publication: &Publication,
        retention: LinkRetention,
    ) -> bool {
        let Some(topic) = publication.topic.as_topic().cloned() else {
            return false;
        };
        // What was removed before made room for it.
        shared.feed_retained(nth, false);
        let table = shared.replicas.table.borrow();
        let is_earlier = |entry: &Entry| {
            let is_own = entry.source == Source::Own;
            is_own && entry.content.is_none() && entry.stamp < retention.stamp
        };
        for (topic, entry) in table.after(self.place).take(TURN) {
            if is_earlier(entry)
                && self.sent.get(topic) != Some(&entry.stamp)
                && may_be_told(access, topic)
            {
                let _ = self.send_now(session, entry.replica(topic, self.opened_at));
            }
        }
        let payload = publication.payload.clone();
        let replica = Replica {
            stamp: retention.stamp,
            expires_at: retention.expires_at,
            ..Replica::new(topic, publication.codec, payload)
        };
        self.send_now(session, replica).is_ok()
    }

    /// A subscription of the peer asks for the retained messages.
    pub(in super::super) fn begin_backlog(&mut self, id: u32, pattern: Pattern) {
        self.backlogs.push(Backlog {
            id,
            pattern,
            place: 0,
            end: None,
        });
    }

    /// Returns whether subscriptions ask for what is retained now.
    pub(in super::super) fn awaits_feed(&self) -> bool {
        self.backlogs.iter().any(|backlog| backlog.end.is_none())
    }

    /// The table has all that this process has changed.
    pub(in super::super) fn fed(&mut self, shared: &Shared) {
        let last = shared.replicas.table.borrow().last();
        for backlog in &mut self.backlogs {
            backlog.end.get_or_insert(last);
        }
    }

    pub(in super::super) fn end_backlog(&mut self, id: u32) {
        self.backlogs.retain(|backlog| backlog.id != id);
    }

    /// Returns whether there is more to tell.
    pub(in super::super) fn has_more_for(&self, shared: &Shared, session: &Session) -> bool {
        let last = shared.replicas.table.borrow().last();
        ((self.is_on() && self.place < last) || self.has_unread) && has_room(session)
    }

    /// Tells the peer what it does not know, as far as the session has room, and a limited number.
    pub(in super::super) fn send(
        &mut self,
        shared: &Shared,
        session: &mut Session,
        peer: PeerView<'_>,
    ) {
        self.send_some(shared, session, peer, TURN);
    }

    /// Tells the peer all that it does not know, before the link is closed.
    pub(in super::super) fn send_all(
        &mut self,
        shared: &Shared,
        session: &mut Session,
        peer: PeerView<'_>,
    ) {
        self.send_some(shared, session, peer, usize::MAX);
    }

    fn send_some(
        &mut self,
        shared: &Shared,
        session: &mut Session,
        peer: PeerView<'_>,
        turn: usize,
    ) {
        let PeerView {
            link,
            has_ready_for,
            access,
            is_accepted,
        } = peer;
        let mut table = shared.replicas.table.borrow_mut();
        let now = shared.clock.now();
        table.expire(now);
        let is_told = |topic: &Topic, entry: &Entry| {
            (is_accepted || entry.source == Source::Own) && may_be_told(access, topic)
        };
        let mut looks = LOOKS;
        self.backlogs
            .retain_mut(|backlog| !backlog.send(session, &table, &is_told, &mut looks));
        self.has_unread = looks == 0;
        let Some(router) = self.router else {
            return;
        };
        let is_last = turn == usize::MAX;
        let owner = access.owner();
        for (topic, entry) in table.after(self.place).take(turn) {
            if !is_last && !has_room(session) {
                break;
            }
            let is_own = entry.source == Source::Own;
            if is_own && has_ready_for(topic) {
                break; // after those that are received one by one
            }
            let sent = self.sent.get(topic).copied();
            if sent.is_some_and(|sent| sent <= entry.stamp) {
                self.sent.remove(topic);
            }
            let is_known = sent.is_some_and(|sent| sent >= entry.stamp)
                || match &entry.source {
                    Source::Own => false,
                    Source::Link(from, _) if *from == link => true,
                    // The number of a router is no secret: another peer may have used it.
                    Source::Link(_, by) => {
                        router != 0 && entry.stamp.router == router && *by == owner
                    }
                };
            if !is_known && is_told(topic, entry) {
                let sent = session.replicate(entry.replica(topic, self.opened_at));
                // Another error is that it is too long for the peer, which does not retain it.
                if let Err(Rejected::Full | Rejected::NotOpen) = sent {
                    break;
                }
            }
            self.place = entry.number;
        }
    }
}

/// Returns whether the rules let the peer be told of a topic.
fn may_be_told(access: &Access, topic: &Topic) -> bool {
    let name = Pattern::from(topic);
    access.check(Permission::Subscribe, &name).is_ok()
}

impl Backlog {
    /// Sends what there is credit for. Returns whether that is all.
    fn send(
        &mut self,
        session: &mut Session,
        table: &Table,
        is_told: &impl Fn(&Topic, &Entry) -> bool,
        looks: &mut usize,
    ) -> bool {
        let Some(end) = self.end else {
            return false;
        };
        for (topic, entry) in table.after(self.place) {
            if entry.number > end {
                return true;
            }
            if *looks == 0 {
                return false;
            }
            *looks -= 1;
            let name = Pattern::from(topic);
            let Some(content) = entry
                .content
                .as_ref()
                .filter(|_| self.pattern.intersects(&name) && is_told(topic, entry))
            else {
                self.place = entry.number;
                continue;
            };
            let length = content.payload.len() as u64;
            if !has_room(session) || !session.has_credit(self.id, length) {
                return false;
            }
            let publication = Publication {
                retained: true,
                ..Publication::new(name, content.codec, content.payload.clone())
            };
            // An error if it is too long for the peer: then it is a gap.
            let _ = session.publish(&publication, &[self.id]);
            self.place = entry.number;
        }
        true
    }
}

impl Entry {
    fn replica(&self, topic: &Topic, opened_at: u64) -> Replica {
        let mut replica = match &self.content {
            Some(content) => Replica {
                expires_at: content.expires_at,
                ..Replica::new(topic.clone(), content.codec, content.payload.clone())
            },
            None => Replica::removal(topic.clone()),
        };
        replica.stamp = self.stamp;
        replica.retained = self.is_old || self.number <= opened_at;
        replica
    }
}
