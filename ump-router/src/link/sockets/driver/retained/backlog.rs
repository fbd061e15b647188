//! The retained messages for subscriptions that ask for them, of peers that are no routers.
//!
//! Such a peer knows no stamps, so each message goes to a subscription once and in its order: what
//! this process had retained when the subscription began goes from the table, the rest from the
//! outbox of its type, and the time of a stamp tells to which of them a message belongs.

use std::collections::HashMap;

use super::{
    has_room,
    table::{Entry, Table},
};
use crate::{
    link::{
        session::{Publication, Session},
        wire::Stamp,
    },
    topic::{Pattern, Topic},
};

/// At how many entries the subscriptions of a link look in a turn.
const LOOKS: usize = 2048;

/// What the subscriptions of a link are to receive still.
#[derive(Default)]
pub(super) struct Backlogs {
    all: Vec<Backlog>,
    /// The beginning of each subscription that has asked, in the time of stamps.
    since: HashMap<u32, u64>,
    /// Some of them are to be looked at further.
    has_unread: bool,
}

/// The retained messages for a subscription: those that match, were there and had been stamped when
/// it began.
struct Backlog {
    id: u32,
    pattern: Pattern,
    place: u64,
    /// `None` until what this process has changed before is known.
    end: Option<End>,
}

/// Where a backlog ends.
#[derive(Clone, Copy)]
struct End {
    /// The last change in the table.
    number: u64,
    /// The time of the last stamp before the table was fed. Later messages of this process are in
    /// the outbox.
    time: u64,
}

impl Backlogs {
    pub(super) fn begin(&mut self, id: u32, pattern: Pattern) {
        self.all.push(Backlog {
            id,
            pattern,
            place: 0,
            end: None,
        });
    }

    pub(super) fn end(&mut self, id: u32) {
        self.all.retain(|backlog| backlog.id != id);
        self.has_unread &= !self.all.is_empty();
        self.since.remove(&id);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn has_unread(&self) -> bool {
        self.has_unread
    }

    /// Returns whether one has begun, and it is not known where it ends.
    pub(super) fn awaits_feed(&self) -> bool {
        self.all.iter().any(|backlog| backlog.end.is_none())
    }

    /// The table has all changes of this process up to this time, and the last one has this number.
    pub(super) fn fed(&mut self, time: u64, number: u64) {
        for backlog in &mut self.all {
            if backlog.end.is_none() {
                backlog.end = Some(End { number, time });
                self.since.insert(backlog.id, time);
            }
        }
    }

    /// Removes the subscriptions that began after this message of this process: they receive it, or
    /// a newer one of its topic, from their backlog.
    pub(super) fn skip(&self, stamp: Stamp, to: &mut Vec<u32>) {
        if !self.since.is_empty() {
            to.retain(|id| self.since.get(id).is_none_or(|since| stamp.time > *since));
        }
    }

    /// Sends what there is credit for.
    pub(super) fn send(
        &mut self,
        session: &mut Session,
        table: &Table,
        is_told: &impl Fn(&Topic, &Entry) -> bool,
    ) {
        let mut looks = LOOKS;
        self.all
            .retain_mut(|backlog| !backlog.send(session, table, is_told, &mut looks));
        self.has_unread = looks == 0;
    }
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
            if entry.number > end.number {
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
                .filter(|_| entry.stamp.time <= end.time && self.pattern.intersects(&name))
                .filter(|_| is_told(topic, entry))
            else {
                self.place = entry.number;
                continue;
            };
            let length = content.payload.len() as u64;
            if !has_room(session) {
                return false;
            }
            if !session.has_credit(self.id, length) {
                if !session.exceeds_credit(self.id, length) {
                    return false;
                }
                session.missed(&[self.id], 1); // it would wait for ever
                self.place = entry.number;
                continue;
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
