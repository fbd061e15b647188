//! Who wants which messages: subscriptions of this process that the peer was told, and those of the
//! peer.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use super::{
    LinkId, Shared,
    access::Access,
    retained::{Overtakers, Replication},
    wake::Key,
};
use crate::{
    index::{TopicIndex, TopicKey},
    link::{
        session::{Credit, Publication, Rejected, Session},
        sockets::{
            access::Permission,
            carried::{Outbox, Outgoing},
            names::{of_type, without_prefix},
        },
        wire::{Codec, Stamp, Status},
    },
    protocol::Bytes,
    topic::{Pattern, Topic, full_name::full_name},
};

/// What a subscription of this process may have on its way.
pub(super) const CREDIT: Credit = Credit {
    messages: 1024,
    bytes: 1 << 20,
};

/// How many bytes wait in the session before the outboxes have to.
const MAX_BUFFERED: usize = 256 << 10;

/// How many messages of an outbox are sent in a turn.
const TURN: usize = 128;

/// How many are sent before a link is closed: more than wait, and not all that an eager publisher
/// still makes.
const LAST_TURN: usize = 2 * crate::publish::MAX_IN_OUTBOX;

pub(super) struct Interest {
    /// The name of the link.
    link: Arc<str>,
    /// The subscriptions that the peer was told, by their full names.
    told: HashMap<Pattern, u32>,
    /// Those that the peer had no room for.
    rejected: HashSet<Pattern>,
    /// The same subscriptions by their numbers: each has its type and its name without the prefix.
    by_id: HashMap<u32, (usize, Pattern)>,
    /// The subscriptions of the peer.
    their: HashMap<u32, TopicKey>,
    index: TopicIndex<u32>,
    /// One for each type.
    outboxes: Vec<OutboxState>,
}

#[derive(Default)]
struct OutboxState {
    outbox: Option<Box<dyn Outbox>>,
    /// The peer's subscriptions have changed.
    is_stale: bool,
    /// There may be a message.
    is_ready: bool,
    waker: Option<Waker>,
    overtakers: Overtakers,
}

impl Interest {
    pub(super) fn new(link: &Arc<str>) -> Self {
        Self {
            link: Arc::clone(link),
            told: HashMap::new(),
            rejected: HashSet::new(),
            by_id: HashMap::new(),
            their: HashMap::new(),
            index: TopicIndex::default(),
            outboxes: Vec::new(),
        }
    }

    /// Tells the peer what has changed in this process, as far as it may publish there. Adds those
    /// that it has no room for, each once. Returns whether no more is to be told.
    pub(super) fn tell(
        &mut self,
        shared: &Shared,
        session: &mut Session,
        access: &Access,
        rejected: &mut Vec<Pattern>,
    ) -> bool {
        let may_tell = |full: &Pattern| access.may_within(Permission::Publish, full);
        let names = shared.local.names();
        let patterns = &names.patterns;
        let is_wanted = |full: &Pattern| patterns.contains_key(full) && may_tell(full);
        let by_id = &mut self.by_id;
        self.told.retain(|full, id| {
            let stays = is_wanted(full);
            if !stays {
                by_id.remove(id);
                let _ = session.unsubscribe(*id); // an error if it was refused
            }
            stays
        });
        self.rejected.retain(is_wanted);
        for (full, own) in patterns {
            if self.told.contains_key(full) || !may_tell(full) {
                continue;
            }
            match session.subscribe(full, CREDIT, false) {
                Ok(id) => {
                    self.rejected.remove(full);
                    self.told.insert(full.clone(), id);
                    self.by_id.insert(id, own.clone());
                }
                Err(Rejected::Full) => return false,
                Err(Rejected::Quota(_)) => {
                    if self.rejected.insert(full.clone()) {
                        rejected.push(full.clone());
                    }
                }
                Err(_) => {}
            }
        }
        true
    }

    /// Returns whether the peer has room for what it had none for.
    pub(super) fn may_tell_more(&self, session: &Session) -> bool {
        !self.rejected.is_empty() && session.subscription_room() > 0
    }

    /// Returns whether a subscription that the peer was told is one of this process.
    pub(super) fn is_own(&self, id: u32) -> bool {
        self.by_id.contains_key(&id)
    }

    /// Publishes a message of the peer in this process. Its payload is decoded only if it is for
    /// subscriptions of this process.
    pub(super) fn on_message(
        &self,
        shared: &Shared,
        session: &mut Session,
        (to, topic): (&[u32], &Pattern),
        (codec, payload): (Codec, &Bytes),
    ) {
        for (nth, messages) in shared.messages.iter().enumerate() {
            let Some(own) = without_prefix(messages.prefix(), topic) else {
                continue;
            };
            let told = to.iter().filter_map(|id| self.by_id.get(id));
            let own_patterns = told.filter(|(of, _)| *of == nth).map(|(_, own)| own);
            if own_patterns.clone().next().is_none() {
                continue;
            }
            let is_meant = |pattern: &Pattern| own_patterns.clone().any(|own| own == pattern);
            if !messages.publish(&own, (codec, payload), &is_meant) {
                messages.miss(1, false, &is_meant);
            }
        }
        for id in to {
            let _ = session.consumed(*id, 1, payload.len() as u64); // an error if it has ended
        }
    }

    /// Tells the subscriptions of this process that the peer had no room for messages.
    pub(super) fn on_gap(&self, shared: &Shared, id: u32, missed: u64) {
        if let Some((nth, own)) = self.by_id.get(&id) {
            // An unknown number is 0.
            shared.messages[*nth].miss(missed, missed == 0, &|pattern| pattern == own);
        }
    }

    /// Adds a subscription of the peer.
    pub(super) fn on_subscribe(&mut self, shared: &Shared, id: u32, pattern: &Pattern) {
        let key = self.index.insert(pattern, id);
        self.their.insert(id, key);
        self.mark_stale(shared, pattern);
    }

    /// Removes a subscription of the peer.
    pub(super) fn on_unsubscribe(&mut self, shared: &Shared, id: u32) {
        let Some(key) = self.their.remove(&id) else {
            return;
        };
        let pattern = self.index.pattern(key).cloned();
        self.index.remove(key);
        if let Some(pattern) = pattern {
            self.mark_stale(shared, &pattern);
        }
    }

    /// The peer has answered a subscription of this process, or has ended it. Returns its full name
    /// if it does not exist any more.
    pub(super) fn on_subscribed(
        &mut self,
        shared: &Shared,
        id: u32,
        status: Status,
    ) -> Option<Pattern> {
        if status == Status::Accepted {
            return None;
        }
        // It stays in `told`: it is not told again before the link is made again.
        let (nth, own) = self.by_id.remove(&id)?;
        let messages = &shared.messages[nth];
        messages.miss(0, true, &|pattern| *pattern == own);
        Some(full_name(messages.prefix(), &own))
    }

    /// Returns the number of subscriptions of the peer.
    pub(super) fn their_count(&self) -> usize {
        self.their.len()
    }

    /// Returns the subscriptions of the peer.
    pub(super) fn their_patterns(&self) -> Vec<(u32, Pattern)> {
        let all = self.their.iter();
        let all = all.filter_map(|(id, key)| Some((*id, self.index.pattern(*key)?.clone())));
        all.collect()
    }

    fn mark_stale(&mut self, shared: &Shared, pattern: &Pattern) {
        self.outboxes
            .resize_with(shared.messages.len(), OutboxState::default);
        for (messages, state) in shared.messages.iter().zip(&mut self.outboxes) {
            state.is_stale |= of_type(messages.prefix(), pattern).is_some();
        }
    }

    /// A type more may travel: subscriptions of the peer may be for it.
    pub(super) fn carried_more(&mut self, shared: &Shared) {
        self.outboxes
            .resize_with(shared.messages.len(), OutboxState::default);
        if let Some(last) = self.outboxes.last_mut() {
            last.is_stale = true;
        }
    }

    /// Subscribes in this process to what the peer wants.
    pub(super) fn refresh_outboxes(&mut self, shared: &Shared) {
        for (messages, state) in shared.messages.iter().zip(&mut self.outboxes) {
            if !std::mem::take(&mut state.is_stale) {
                continue;
            }
            let patterns = self.index.iter();
            let own = patterns.filter_map(|(full, _)| of_type(messages.prefix(), full));
            let mut own: Vec<_> = own.collect();
            own.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
            own.dedup();
            let new = || messages.outbox(&self.link);
            let outbox = state.outbox.get_or_insert_with(new);
            // An error if the router was closed.
            let _ = outbox.set_patterns(own);
            state.is_ready = true;
        }
    }

    pub(super) fn outbox_woken(&mut self, nth: usize) {
        if let Some(state) = self.outboxes.get_mut(nth) {
            state.is_ready = true;
        }
    }

    /// A change that another link has brought is about to be sent to a peer that knows no stamps:
    /// older messages of this process that wait are not sent after it. Returns false if too many
    /// have overtaken others.
    pub(super) fn overtake(&mut self, shared: &Shared, topic: &Topic, stamp: Stamp) -> bool {
        let name = Pattern::from(topic);
        let mut outboxes = shared.messages.iter().zip(&mut self.outboxes);
        outboxes.all(|(messages, state)| {
            if state.outbox.is_none() || without_prefix(messages.prefix(), &name).is_none() {
                return true;
            }
            state.is_ready = true; // until it is known that none waits
            state.overtakers.push(topic, stamp)
        })
    }

    /// Returns the subscriptions of the peer that match a topic or pattern.
    pub(super) fn matching(&self, topic: &Pattern) -> Vec<u32> {
        matching(&self.index, topic)
    }

    /// Returns whether messages of a type may wait.
    pub(super) fn has_more_of(&self, nth: usize) -> bool {
        let state = self.outboxes.get(nth);
        state.is_some_and(|state| state.is_ready && state.outbox.is_some())
    }

    /// Returns whether messages of this process may wait, and the peer has a subscription for this
    /// topic.
    pub(super) fn has_ready_for(&self, topic: &Topic) -> bool {
        let mut outboxes = self.outboxes.iter();
        outboxes.any(|state| state.is_ready && state.outbox.is_some())
            && !self.matching(&Pattern::from(topic)).is_empty()
    }

    /// Sends messages of this process to the peer, a limited number, as long as there is room.
    /// Returns whether there was one: then there may be more.
    pub(super) fn send(
        &mut self,
        shared: &Shared,
        session: &mut Session,
        replication: &mut Replication,
        to: (LinkId, &Access),
    ) -> bool {
        self.send_some(shared, session, replication, to, (TURN, MAX_BUFFERED))
    }

    /// Sends all messages that wait, before the link is closed. What the session has no room for is
    /// a gap.
    pub(super) fn send_all(
        &mut self,
        shared: &Shared,
        session: &mut Session,
        replication: &mut Replication,
        to: (LinkId, &Access),
    ) {
        for state in &mut self.outboxes {
            state.is_ready = true; // its wake-up may be on its way
        }
        let limits = (LAST_TURN, usize::MAX);
        self.send_some(shared, session, replication, to, limits);
    }

    /// Returns whether there may be messages to send, and the session has room for them.
    pub(super) fn has_more_for(&self, session: &Session) -> bool {
        let mut outboxes = self.outboxes.iter();
        let has_more = outboxes.any(|state| state.is_ready && state.outbox.is_some());
        has_more && session.buffered() < MAX_BUFFERED
    }

    fn send_some(
        &mut self,
        shared: &Shared,
        session: &mut Session,
        replication: &mut Replication,
        (link, access): (LinkId, &Access),
        (turn, max_buffered): (usize, usize),
    ) -> bool {
        let mut has_sent = false;
        for (nth, state) in self.outboxes.iter_mut().enumerate() {
            let Some(outbox) = state.outbox.as_mut().filter(|_| state.is_ready) else {
                continue;
            };
            let prefix = shared.messages[nth].prefix();
            let waker = || shared.wakes.waker(Key::Outbox(link, nth));
            let waker = state.waker.get_or_insert_with(waker);
            for _ in 0..turn {
                if session.buffered() >= max_buffered {
                    break;
                }
                let item = match outbox.poll_next(&mut Context::from_waker(waker)) {
                    Poll::Ready(Some(item)) => item,
                    Poll::Ready(None) | Poll::Pending => {
                        state.is_ready = false;
                        state.overtakers.clear();
                        break;
                    }
                };
                has_sent = true;
                match item {
                    Outgoing::Message {
                        topic,
                        codec,
                        payload,
                        retention,
                    } => {
                        let topic = full_name(prefix, &topic);
                        let mut to = matching(&self.index, &topic);
                        let publication = Publication::new(topic, codec, payload);
                        if let Some(retention) = retention.filter(|_| !replication.is_on()) {
                            if state.overtakers.have(&publication.topic, retention.stamp) {
                                continue; // as with stamps: it comes after a newer one
                            }
                            replication.skip_told(retention.stamp, &mut to);
                        } else if let Some(retention) = retention {
                            if !replication.send_own(
                                (shared, nth, access),
                                session,
                                &publication,
                                retention,
                            ) {
                                session.missed(&to, 1);
                            }
                            continue;
                        }
                        // An error if it is too long for the peer: then it is a gap.
                        let _ = session.publish(&publication, &to);
                    }
                    Outgoing::Malformed { topic } => {
                        let to = matching(&self.index, &full_name(prefix, &topic));
                        session.missed(&to, 1);
                    }
                    Outgoing::Missed(count) => {
                        // It is not known for which of them they were.
                        let all = self.index.iter();
                        let of_type = all.filter(|(full, _)| of_type(prefix, full).is_some());
                        let to: Vec<_> = of_type.map(|(_, id)| *id).collect();
                        session.missed(&to, count);
                    }
                }
            }
        }
        has_sent
    }

    /// Tells the subscriptions of the peer that they may miss messages from here on.
    pub(super) fn interrupt_peer(&self, session: &mut Session) {
        let all: Vec<_> = self.index.iter().map(|(_, id)| *id).collect();
        session.interrupted(&all);
    }

    /// The link is lost: tells the subscriptions that it had.
    pub(super) fn interrupt(&self, shared: &Shared) {
        for (nth, messages) in shared.messages.iter().enumerate() {
            let mut told = self.by_id.values().filter(|(of, _)| *of == nth);
            if told.next().is_some() {
                let told = |pattern: &Pattern| {
                    self.told
                        .contains_key(&full_name(messages.prefix(), pattern))
                };
                messages.miss(0, true, &told);
            }
        }
    }
}

fn matching(index: &TopicIndex<u32>, topic: &Pattern) -> Vec<u32> {
    let mut ids = Vec::new();
    index.for_each_intersecting(topic, |id| ids.push(*id));
    ids
}
