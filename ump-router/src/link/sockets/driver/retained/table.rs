//! The last change of each topic.
//!
//! # Invariants
//!
//! 1. `order` has the number and the topic of each entry. Numbers are in the order of the changes.
//! 2. `expiries` has each entry whose message expires; `removals` has each one without a message.
//! 3. `messages`, `bytes` and `by_owner` count the messages that links have brought.

use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use super::{
    super::{LinkId, access::Owner},
    removals::Removals,
};
use crate::{
    link::{
        sockets::limits::RetainedLimits,
        wire::{Codec, Stamp},
    },
    protocol::Bytes,
    topic::Topic,
};

/// What an entry uses beside its topic and payload, about.
const ENTRY: usize = 128;

/// A change of the retained message of a topic.
pub(in super::super) struct Change {
    pub(in super::super) topic: Topic,
    pub(in super::super) stamp: Stamp,
    /// It was made before the link opened that brought it.
    pub(in super::super) is_old: bool,
    /// What is retained, or nothing if it is removed.
    pub(in super::super) content: Option<Content>,
}

#[derive(Clone)]
pub(in super::super) struct Content {
    pub(in super::super) codec: Codec,
    pub(in super::super) payload: Bytes,
    pub(in super::super) expires_at: Option<Instant>,
}

/// Who made a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Source {
    /// This process.
    Own,
    Link(LinkId, Option<Owner>),
}

impl Source {
    fn owner(&self) -> Option<&Owner> {
        match self {
            Self::Own => None,
            Self::Link(_, owner) => owner.as_ref(),
        }
    }
}

pub(in super::super) struct Entry {
    pub(in super::super) number: u64,
    pub(in super::super) stamp: Stamp,
    pub(in super::super) source: Source,
    pub(in super::super) is_old: bool,
    pub(in super::super) content: Option<Content>,
    /// What it counts for, if a link has brought it.
    size: usize,
    /// When it was changed, or its message has expired.
    changed_at: Instant,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Put {
    /// It is the last change of its topic.
    Newest,
    /// A newer one is known, or the same.
    Stale,
    /// There is no room.
    Full(&'static str, usize),
}

/// What a link may use.
#[derive(Clone, Copy)]
pub(in super::super) struct Room {
    pub(in super::super) all: RetainedLimits,
    /// The messages of its peer.
    pub(in super::super) of_peer: usize,
}

#[derive(Default)]
pub(in super::super) struct Table {
    entries: HashMap<Topic, Entry>,
    order: BTreeMap<u64, Topic>,
    expiries: BTreeMap<(Instant, u64), Topic>,
    removals: Removals,
    last: u64,
    messages: usize,
    bytes: usize,
    by_owner: HashMap<Owner, usize>,
}

impl Table {
    /// Returns the number of the last change.
    pub(in super::super) fn last(&self) -> u64 {
        self.last
    }

    /// Returns the last change of a topic.
    pub(super) fn get(&self, topic: &Topic) -> Option<&Entry> {
        self.entries.get(topic)
    }

    /// Returns whether a topic has a retained message.
    pub(super) fn has_message(&self, topic: &Topic) -> bool {
        self.get(topic).is_some_and(|entry| entry.content.is_some())
    }

    /// Notes a change by this process.
    pub(in super::super) fn put_own(&mut self, now: Instant, change: Change) {
        self.expire(now);
        if !self.is_stale(&change) {
            self.replace(now, change, Source::Own, 0);
        }
    }

    /// Notes a change that a link brought, whose message has this length.
    pub(in super::super) fn put(
        &mut self,
        now: Instant,
        change: Change,
        (link, owner): (LinkId, Option<Owner>),
        length: usize,
        room: Room,
    ) -> Put {
        self.expire(now);
        if self.is_stale(&change) {
            return Put::Stale;
        }
        let size = ENTRY + change.topic.as_str().len() + length;
        if change.content.is_some() {
            let former = self.entries.get(&change.topic);
            let former = former.filter(|it| it.content.is_some() && it.size > 0);
            let (one, former_size) = former.map_or((1, 0), |it| (0, it.size));
            if self.messages + one > room.all.messages {
                return Put::Full("messages that links retain", room.all.messages);
            }
            if self.bytes - former_size + size > room.all.bytes {
                return Put::Full("bytes that links retain", room.all.bytes);
            }
            let is_same_owner = former.is_some_and(
                |it| matches!(&it.source, Source::Link(_, former) if *former == owner),
            );
            let has = owner.as_ref().and_then(|owner| self.by_owner.get(owner));
            if has.map_or(0, |has| *has) + usize::from(!is_same_owner) > room.of_peer {
                return Put::Full("retained messages of the peer", room.of_peer);
            }
        }
        self.replace(now, change, Source::Link(link, owner), size);
        Put::Newest
    }

    /// Returns whether a newer change of the topic is known, or the same.
    pub(in super::super) fn is_stale(&self, change: &Change) -> bool {
        let known = self.entries.get(&change.topic);
        known.is_some_and(|known| known.stamp >= change.stamp)
    }

    fn replace(&mut self, now: Instant, change: Change, source: Source, size: usize) {
        self.remove(&change.topic);
        self.last += 1;
        let number = self.last;
        let Change {
            topic,
            stamp,
            is_old,
            content,
        } = change;
        match &content {
            Some(content) => {
                let expiry = content.expires_at.map(|at| ((at, number), topic.clone()));
                self.expiries.extend(expiry);
                if let Source::Link(_, owner) = &source {
                    self.messages += 1;
                    self.bytes += size;
                    if let Some(owner) = owner {
                        *self.by_owner.entry(owner.clone()).or_default() += 1;
                    }
                }
            }
            None => {
                self.removals
                    .insert((now, number), topic.clone(), source.owner());
            }
        }
        self.order.insert(number, topic.clone());
        let size = match source {
            Source::Own => 0,
            Source::Link(..) => size,
        };
        let entry = Entry {
            number,
            stamp,
            source,
            is_old,
            content,
            size,
            changed_at: now,
        };
        let owner = entry.source.owner().cloned();
        self.entries.insert(topic, entry);
        self.forget_removals(now, owner.as_ref());
    }

    fn remove(&mut self, topic: &Topic) {
        let Some(mut entry) = self.entries.remove(topic) else {
            return;
        };
        self.order.remove(&entry.number);
        if entry.content.is_none() {
            let key = (entry.changed_at, entry.number);
            self.removals.remove(key, entry.source.owner());
        }
        self.drop_content(&mut entry);
    }

    /// Removes the message of an entry, which may stay.
    fn drop_content(&mut self, entry: &mut Entry) {
        let Some(content) = entry.content.take() else {
            return;
        };
        if let Some(at) = content.expires_at {
            self.expiries.remove(&(at, entry.number));
        }
        let Source::Link(_, owner) = &entry.source else {
            return;
        };
        self.messages -= 1;
        self.bytes -= entry.size;
        if let Some(owner) = owner {
            if let Some(count) = self.by_owner.get_mut(owner) {
                *count -= 1;
                if *count == 0 {
                    self.by_owner.remove(owner);
                }
            }
        }
    }

    /// Removes the messages whose time to live is over. Their stamps stay, as of removals: an older
    /// message does not come back.
    pub(in super::super) fn expire(&mut self, now: Instant) {
        while let Some(((at, number), topic)) = self.expiries.pop_first() {
            if at > now {
                self.expiries.insert((at, number), topic);
                return;
            }
            if let Some(mut entry) = self.entries.remove(&topic) {
                self.drop_content(&mut entry);
                entry.changed_at = at;
                let owner = entry.source.owner().cloned();
                self.removals
                    .insert((at, number), topic.clone(), owner.as_ref());
                self.entries.insert(topic, entry);
                self.forget_removals(now, owner.as_ref());
            }
        }
    }

    /// Forgets removals, after one of this owner was added.
    fn forget_removals(&mut self, now: Instant, owner: Option<&Owner>) {
        while let Some(topic) = self.removals.to_forget(now, owner).cloned() {
            self.remove(&topic);
        }
    }

    /// Forgets a change by this process that an older table knows, as a link has a newer one that
    /// is of no concern to the others.
    pub(in super::super) fn forget_own(&mut self, topic: &Topic, stamp: Stamp) {
        let own = self.entries.get(topic);
        if own.is_some_and(|own| own.source == Source::Own && own.stamp < stamp) {
            self.remove(topic);
        }
    }

    /// Forgets what a link has brought of a topic, as there is a newer change.
    pub(in super::super) fn forget_older(&mut self, topic: &Topic, stamp: Stamp) {
        let known = self.entries.get(topic);
        if known.is_some_and(|known| known.stamp < stamp) {
            self.remove(topic);
        }
    }

    /// Returns the changes after the one with this number, in order, with their topics.
    pub(in super::super) fn after(&self, number: u64) -> impl Iterator<Item = (&Topic, &Entry)> {
        let topics = self.order.range(number.saturating_add(1)..);
        topics.filter_map(|(_, topic)| Some((topic, self.entries.get(topic)?)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        super::removals::{MAX, MAX_OF_PEER, REMEMBERED},
        *,
    };

    const ROOM: Room = Room {
        all: RetainedLimits {
            messages: 2,
            bytes: 2000,
        },
        of_peer: usize::MAX,
    };

    fn change(topic: &str, time: u64, text: Option<&str>) -> Change {
        Change {
            topic: topic.parse().unwrap(),
            stamp: Stamp { time, router: 1 },
            is_old: false,
            content: text.map(|text| Content {
                codec: Codec::Raw,
                payload: Bytes::from(text.as_bytes()),
                expires_at: None,
            }),
        }
    }

    fn put_as(table: &mut Table, change: Change, uid: u32, room: Room) -> Put {
        let length = change.content.as_ref().map_or(0, |it| it.payload.len());
        let from = (LinkId(7), Some(Owner::Uid(uid)));
        table.put(Instant::now(), change, from, length, room)
    }

    fn put(table: &mut Table, change: Change) -> Put {
        put_as(table, change, 1, ROOM)
    }

    fn shown(table: &Table) -> Vec<(String, Option<Bytes>)> {
        let all = table.after(0);
        let payload = |entry: &Entry| entry.content.as_ref().map(|it| it.payload.clone());
        all.map(|(topic, entry)| (topic.to_string(), payload(entry)))
            .collect()
    }

    #[test]
    fn the_newest_change_wins_whenever_it_comes() {
        let mut table = Table::default();
        assert_eq!(put(&mut table, change("a", 5, Some("x"))), Put::Newest);
        assert_eq!(put(&mut table, change("a", 5, Some("y"))), Put::Stale);
        assert_eq!(put(&mut table, change("a", 4, None)), Put::Stale);
        assert_eq!(put(&mut table, change("a", 6, None)), Put::Newest);
        assert_eq!(put(&mut table, change("a", 5, Some("z"))), Put::Stale);
        assert_eq!(shown(&table), [("a".to_owned(), None)]);
    }

    #[test]
    fn a_tie_goes_to_the_router_with_the_greater_number() {
        let mut table = Table::default();
        let of = |router, text| Change {
            stamp: Stamp { time: 1, router },
            ..change("a", 1, Some(text))
        };
        put(&mut table, of(2, "two"));
        assert_eq!(put(&mut table, of(1, "one")), Put::Stale);
        assert_eq!(put(&mut table, of(3, "three")), Put::Newest);
    }

    #[test]
    fn a_full_table_refuses_and_takes_again_what_replaces() {
        let mut table = Table::default();
        put(&mut table, change("a", 1, Some("x")));
        put(&mut table, change("b", 1, Some("x")));
        let full = put(&mut table, change("c", 1, Some("x")));
        assert_eq!(full, Put::Full("messages that links retain", 2));
        assert_eq!(put(&mut table, change("a", 2, Some("y"))), Put::Newest);
        // This process has what it wants.
        table.put_own(Instant::now(), change("own", 1, Some("x")));
        let long = "x".repeat(2000);
        let full = put(&mut table, change("a", 3, Some(&long)));
        assert_eq!(full, Put::Full("bytes that links retain", 2000));
        assert_eq!(put(&mut table, change("b", 2, None)), Put::Newest);
        assert_eq!(put(&mut table, change("c", 2, Some("x"))), Put::Newest);
        put(&mut table, change("c", 3, None));
        put(&mut table, change("a", 4, None));
        assert_eq!((table.messages, table.bytes), (0, 0));
        assert!(table.by_owner.is_empty());
    }

    #[test]
    fn a_quota_is_for_one_peer() {
        let mut table = Table::default();
        let room = Room { of_peer: 1, ..ROOM };
        put_as(&mut table, change("a", 1, Some("x")), 1, room);
        let full = put_as(&mut table, change("b", 1, Some("x")), 1, room);
        assert_eq!(full, Put::Full("retained messages of the peer", 1));
        assert_eq!(
            put_as(&mut table, change("a", 2, Some("y")), 1, room),
            Put::Newest
        );
        // It takes over the topic of another one.
        assert_eq!(
            put_as(&mut table, change("a", 3, Some("z")), 2, room),
            Put::Newest
        );
        assert_eq!(
            put_as(&mut table, change("b", 1, Some("x")), 1, room),
            Put::Newest
        );
    }

    #[test]
    fn an_expired_message_leaves_its_stamp() {
        let mut table = Table::default();
        let now = Instant::now();
        let mut short = change("a", 5, Some("x"));
        let content = short.content.as_mut().unwrap();
        content.expires_at = Some(now + Duration::from_secs(1));
        put(&mut table, short);
        table.expire(now + Duration::from_secs(1));
        assert_eq!(shown(&table), [("a".to_owned(), None)]);
        assert_eq!((table.messages, table.bytes), (0, 0));
        assert_eq!(put(&mut table, change("a", 4, Some("old"))), Put::Stale);
    }

    #[test]
    fn removals_are_forgotten_in_the_end() {
        let mut table = Table::default();
        let now = Instant::now();
        table.put_own(now, change("a", 1, None));
        table.put_own(now + REMEMBERED, change("b", 2, None));
        assert_eq!(shown(&table), [("b".to_owned(), None)]);
        for number in 0..MAX as u64 {
            let topic = format!("many/{number}");
            table.put_own(now + REMEMBERED, change(&topic, 3 + number, None));
        }
        assert_eq!(table.entries.len(), MAX);
        assert_eq!(table.order.len(), MAX);
    }

    #[test]
    fn an_expired_message_is_remembered_from_its_expiry() {
        let mut table = Table::default();
        let now = Instant::now();
        let expires_at = now + 3 * REMEMBERED;
        let mut long = change("a", 5, Some("x"));
        long.content.as_mut().unwrap().expires_at = Some(expires_at);
        table.put_own(now, long);
        table.put_own(expires_at, change("b", 6, None));
        assert_eq!(shown(&table).len(), 2);
        table.put_own(expires_at + REMEMBERED, change("c", 7, None));
        assert_eq!(shown(&table), [("c".to_owned(), None)]);
    }

    #[test]
    fn a_peer_pushes_out_only_its_own_removals() {
        let mut table = Table::default();
        table.put_own(Instant::now(), change("own", 1, None));
        put_as(&mut table, change("other", 1, None), 2, ROOM);
        for number in 0..=MAX {
            put_as(
                &mut table,
                change(&format!("many/{number}"), 1, None),
                1,
                ROOM,
            );
        }
        assert_eq!(table.entries.len(), MAX_OF_PEER + 2);
        assert!(table.is_stale(&change("own", 1, Some("x"))));
        assert!(table.is_stale(&change("other", 1, Some("x"))));
    }

    #[test]
    fn what_this_process_retained_is_forgotten_for_a_newer_one() {
        let mut table = Table::default();
        table.put_own(Instant::now(), change("a", 2, Some("x")));
        table.forget_own(&"a".parse().unwrap(), Stamp { time: 1, router: 9 });
        assert_eq!(shown(&table).len(), 1);
        table.forget_own(&"a".parse().unwrap(), Stamp { time: 3, router: 0 });
        assert!(shown(&table).is_empty());
    }
}
