//! Retained messages at all routers.
//!
//! Each end of a link tells the other the changes of retained messages: the message that is
//! retained now, or that it is removed, with a stamp. The newest stamp of a topic wins, at each
//! router and in whatever order the changes come. So routers that were apart become equal again:
//! when a link opens, each end tells the last change of each topic.
//!
//! ```text
//!  publish, remove ──▶ bus (stamps) ──feed──▶ Table ──Replication──▶ session of each link
//!        subscriptions ◀── bus ◀──apply────── Table ◀──on_replicate── session of a link
//! ```
//!
//! - **The [`Table`]** has the last change of each topic: of the carried types of this process, and
//!   of what accepted links brought, as payloads that nobody decodes. A hub keeps what a router has
//!   retained when that router is gone, as a broker of MQTT does, until it is replaced, removed or
//!   expired, or the hub ends.
//! - **Each link** has a place in the order of the changes. It sends what comes after it, when the
//!   session has room: changes of one topic join. Changes of the moment also go at once, each of
//!   them, so that subscriptions receive them all. The peer applies each once, by its stamp.
//! - **Bounds**: what links bring is limited in messages and bytes, and by a quota for each peer. A
//!   removal or expired message leaves its stamp in the table for a day, and the last 16,384 do: of
//!   one peer the last 4,096.
//! - **No circles**: what came over a link that this router has connected stays in this process,
//!   and what this router tells there is of this process only. Such a link has a table of its own,
//!   without payloads.
//! - **Peers that are no routers** do not exchange changes. Their subscriptions ask for the
//!   retained messages, and what they publish to be retained gets a stamp here. They see no stamps,
//!   so this end sends them nothing that is older than what it has sent ([`backlog`],
//!   [`overtakers`]).

mod backlog;
mod outgoing;
mod overtakers;
mod removals;
mod table;
mod unretained;

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
};

use self::table::{Source, Table};
pub(super) use self::{
    outgoing::{PeerView, Replication},
    overtakers::Overtakers,
    table::{Change, Content, Put, Room},
};
use super::{Driver, Shared, wake::Key};
use crate::{
    link::{
        session::{Publication, Replica, Session},
        wire::Stamp,
    },
    publish::StampClock,
    topic::{Pattern, Topic, full_name::full_name},
};

/// How many bytes wait in a session before changes that are not urgent have to.
const MAX_BUFFERED: usize = 256 << 10;

/// The retained messages of this process and of the links that it has accepted.
pub(super) struct Replicas {
    pub(super) clock: Arc<StampClock>,
    pub(super) table: RefCell<Table>,
    /// What this process has changed since the links were told.
    changed: RefCell<Vec<OwnChange>>,
    /// The last change that the links were told of.
    passed_on: Cell<u64>,
}

/// A change by this process.
pub(super) struct OwnChange {
    pub(super) topic: Topic,
    pub(super) stamp: Stamp,
    pub(super) is_removal: bool,
}

impl Replicas {
    pub(super) fn new(router: u128) -> Self {
        Self {
            clock: Arc::new(StampClock::new(router)),
            table: RefCell::default(),
            changed: RefCell::default(),
            passed_on: Cell::default(),
        }
    }
}

impl Shared {
    /// A type travels from here on: its changes are noted, and the loop is woken for them.
    pub(super) fn begin_changes(&self, nth: usize) {
        let waker = self.wakes.waker(Key::Retained(nth));
        self.messages[nth].begin_changes(Arc::clone(&self.replicas.clock), waker);
    }

    /// Takes what this process has changed of a type. The links are still to be told.
    pub(super) fn feed_retained(&self, nth: usize, is_old: bool) {
        let messages = &self.messages[nth];
        let changes = messages.take_changes();
        if changes.is_empty() {
            return;
        }
        let now = self.clock.now();
        let mut table = self.replicas.table.borrow_mut();
        for change in changes {
            let full = full_name(messages.prefix(), &Pattern::from(&change.topic));
            let Some(topic) = full.as_topic().cloned() else {
                continue;
            };
            let content = match change.message {
                Some((Some(payload), expires_at)) => Some(Content {
                    codec: change.codec,
                    payload,
                    expires_at,
                }),
                Some((None, _)) => continue, // it cannot travel
                None => None,
            };
            self.replicas.changed.borrow_mut().push(OwnChange {
                topic: topic.clone(),
                stamp: change.stamp,
                is_removal: content.is_none(),
            });
            let change = Change {
                topic,
                stamp: change.stamp,
                is_old,
                content,
            };
            table.put_own(now, change);
        }
    }
}

impl Driver {
    /// Takes what this process has changed of a type, for all links.
    pub(super) fn feed_retained(&mut self, nth: usize, is_old: bool) {
        self.shared.feed_retained(nth, is_old);
        let replicas = &self.shared.replicas;
        let last = replicas.table.borrow().last();
        let changed = replicas.changed.take();
        if replicas.passed_on.replace(last) == last && changed.is_empty() {
            return;
        }
        for (id, peer) in &mut self.links {
            // What subscriptions there are to receive one by one comes first.
            peer.retained_changed(nth, &changed);
            self.touched.insert(*id);
        }
    }

    /// Takes what this process has changed of all types.
    pub(super) fn feed_all_retained(&mut self) {
        for nth in 0..self.shared.messages.len() {
            self.feed_retained(nth, false);
        }
    }

    /// Publishes a message that could not be retained to the subscriptions of the other links.
    pub(super) fn pass_on_not_retained(&mut self, from: super::LinkId, publication: &Publication) {
        for (id, peer) in &mut self.links {
            if *id != from && peer.for_others.is_accepted() {
                peer.publish_now(publication);
                self.touched.insert(*id);
            }
        }
    }

    /// Passes a change that a link brought to the others.
    pub(super) fn pass_on_retained(&mut self, from: super::LinkId, replica: &Replica) {
        for (id, peer) in &mut self.links {
            if *id != from && peer.for_others.is_accepted() {
                peer.replicate_now(&self.shared, replica);
                self.touched.insert(*id);
            }
        }
    }
}

/// Returns whether a session has room for more that is not urgent.
fn has_room(session: &Session) -> bool {
    session.buffered() < MAX_BUFFERED
}
