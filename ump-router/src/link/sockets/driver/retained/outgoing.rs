//! What a link tells its peer of retained messages.

use std::collections::HashMap;

use super::{
    super::{LinkId, Shared, access::Access},
    Source, Table,
    backlog::Backlogs,
    has_room,
    table::Entry,
    unretained::Unretained,
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

/// One end of a link: how far the peer knows the table.
#[derive(Default)]
pub(in super::super) struct Replication {
    /// The number of the peer's router, if it exchanges changes.
    router: Option<u128>,
    /// The peer knows the changes up to this one.
    place: u64,
    /// Changes up to this one are told as older than the link: it has opened after them, or had no
    /// room when they came, and subscriptions were told of a gap.
    old_until: u64,
    /// What was sent before its turn.
    sent: HashMap<Topic, Stamp>,
    /// What subscriptions that ask for the retained messages are to receive still.
    backlogs: Backlogs,
    /// Removals for a peer that does not exchange changes.
    unretained: Unretained,
    /// What the peer has told, if this router has connected the link. Without payloads.
    pub(in super::super) held: Table,
}

/// What there is to know of the peer.
#[derive(Clone, Copy)]
pub(in super::super) struct PeerView<'a> {
    pub(in super::super) link: LinkId,
    /// Messages of this process may wait to be sent that are on this topic.
    pub(in super::super) has_ready_for: &'a dyn Fn(&Topic) -> bool,
    /// The same, of a type.
    pub(in super::super) has_more_of: &'a dyn Fn(usize) -> bool,
    pub(in super::super) access: &'a Access,
    /// This router has accepted the link.
    pub(in super::super) is_accepted: bool,
}

impl Replication {
    /// The session has opened.
    pub(in super::super) fn open(&mut self, shared: &Shared, features: u64, router: u128) {
        self.end();
        self.router = (features & FEATURE_REPLICATE != 0).then_some(router);
        self.old_until = shared.replicas.table.borrow().last();
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
        self.old_until = shared.replicas.table.borrow().last();
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

    /// A change of this moment could not be sent. It is sent in its turn, as an older one.
    pub(in super::super) fn send_later(&mut self, shared: &Shared) {
        self.old_until = shared.replicas.table.borrow().last();
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
                let _ = self.send_now(session, entry.replica(topic, self.old_until));
            }
        }
        let payload = publication.payload.clone();
        let replica = Replica {
            stamp: retention.stamp,
            expires_at: retention.expires_at,
            ..Replica::new(topic, publication.codec, payload)
        };
        drop(table);
        let is_sent = self.send_now(session, replica).is_ok();
        if !is_sent {
            self.send_later(shared);
        }
        is_sent
    }

    /// A subscription of the peer asks for the retained messages.
    pub(in super::super) fn begin_backlog(&mut self, id: u32, pattern: Pattern) {
        self.backlogs.begin(id, pattern);
    }

    /// Returns whether subscriptions ask for what is retained now.
    pub(in super::super) fn awaits_feed(&self) -> bool {
        self.backlogs.awaits_feed()
    }

    /// The table has all that this process has changed up to this time of stamps.
    pub(in super::super) fn fed(&mut self, shared: &Shared, time: u64) {
        let last = shared.replicas.table.borrow().last();
        self.backlogs.fed(time, last);
    }

    pub(in super::super) fn end_backlog(&mut self, id: u32) {
        self.backlogs.end(id);
    }

    /// Removes the subscriptions that receive a message of this process, or a newer one, from their
    /// backlog.
    pub(in super::super) fn skip_told(&self, stamp: Stamp, to: &mut Vec<u32>) {
        self.backlogs.skip(stamp, to);
    }

    /// A message was removed, by this process if the number of its type is given. Returns false if
    /// too many removals wait.
    pub(in super::super) fn unretain(&mut self, nth: Option<usize>, topic: &Topic) -> bool {
        self.unretained.push(nth, topic)
    }

    /// Returns whether there is more to tell.
    pub(in super::super) fn has_more_for(&self, shared: &Shared, session: &Session) -> bool {
        let has_more = self.has_new(shared) || self.backlogs.has_unread();
        (has_more || !self.unretained.is_empty()) && has_room(session)
    }

    /// Returns whether there are changes that a peer does not know that exchanges them.
    fn has_new(&self, shared: &Shared) -> bool {
        self.is_on() && self.place < shared.replicas.table.borrow().last()
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
            has_more_of,
            access,
            is_accepted,
        } = peer;
        if !self.backlogs.is_empty() || !self.unretained.is_empty() {
            // What they are to receive may have been replaced, and the later message sent.
            for nth in 0..shared.messages.len() {
                shared.feed_retained(nth, false);
            }
        } else if !self.has_new(shared) {
            return;
        }
        let mut table = shared.replicas.table.borrow_mut();
        let now = shared.clock.now();
        table.expire(now);
        let is_told = |topic: &Topic, entry: &Entry| {
            (is_accepted || entry.source == Source::Own) && may_be_told(access, topic)
        };
        self.backlogs.send(session, &table, &is_told);
        self.unretained.send(session, &table, has_more_of);
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
                let sent = session.replicate(entry.replica(topic, self.old_until));
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

impl Entry {
    fn replica(&self, topic: &Topic, old_until: u64) -> Replica {
        let mut replica = match &self.content {
            Some(content) => Replica {
                expires_at: content.expires_at,
                ..Replica::new(topic.clone(), content.codec, content.payload.clone())
            },
            None => Replica::removal(topic.clone()),
        };
        replica.stamp = self.stamp;
        replica.retained = self.is_old || self.number <= old_until;
        replica
    }
}
