//! Subscriptions, messages and gaps.

use super::{Name, Relay, Sessions, Side, remove};
use crate::{
    link::{
        session::{Publication, Rejected, Session},
        sockets::driver::{LinkId, interest::CREDIT},
    },
    topic::Pattern,
};

impl Relay {
    pub(super) fn on_subscribe(&mut self, link: LinkId, id: u32, pattern: Pattern) {
        let Some(side) = self.sides.get_mut(&link) else {
            return;
        };
        side.subscriptions.insert(id, pattern.clone());
        let holders = self.patterns.entry(pattern.clone()).or_default();
        holders.push((link, id));
        self.changed(link, &Name::Pattern(pattern));
    }

    pub(super) fn on_unsubscribe(&mut self, link: LinkId, id: u32) {
        let side = self.sides.get_mut(&link);
        let Some(pattern) = side.and_then(|side| side.subscriptions.remove(&id)) else {
            return;
        };
        remove(&mut self.patterns, &pattern, (link, id));
        self.changed(link, &Name::Pattern(pattern));
    }

    /// Sends a message of a link to the subscriptions of others for which it came.
    pub(super) fn on_message(
        &mut self,
        sessions: &mut impl Sessions,
        from: LinkId,
        to: &[u32],
        publication: &Publication,
    ) {
        for (link, ids) in self.behind(from, to).by_link() {
            let has_room = sessions.has_queue_room(link);
            if let Some(session) = sessions.session(link) {
                if has_room {
                    // An error if it is too long for this link: then it is a gap.
                    let _ = session.publish(publication, ids);
                } else {
                    session.missed(ids, 1);
                }
                self.touched.insert(link);
            }
        }
    }

    pub(super) fn on_gap(
        &mut self,
        sessions: &mut impl Sessions,
        from: LinkId,
        id: u32,
        missed: u64,
    ) {
        for (link, ids) in self.behind(from, &[id]).by_link() {
            if let Some(session) = sessions.session(link) {
                if missed == 0 {
                    session.interrupted(ids);
                } else {
                    session.missed(ids, missed);
                }
                self.touched.insert(link);
            }
        }
    }

    /// A link is lost: the subscriptions of others that it knew may miss messages.
    pub(super) fn interrupt(&mut self, sessions: &mut impl Sessions, link: LinkId) {
        let Some(side) = self.sides.get(&link) else {
            return;
        };
        let told: Vec<_> = side.told_by_id.keys().copied().collect();
        for (other, ids) in self.behind(link, &told).by_link() {
            if let Some(session) = sessions.session(other) {
                session.interrupted(ids);
                self.touched.insert(other);
            }
        }
    }

    /// Returns the subscriptions of other links that some subscriptions at a link stand for.
    fn behind(&self, link: LinkId, told: &[u32]) -> Behind {
        let side = self.sides.get(&link);
        let patterns = side.into_iter().flat_map(|side| {
            let patterns = told.iter();
            patterns.filter_map(|id| side.told_by_id.get(id))
        });
        let holders = patterns.filter_map(|pattern| self.patterns.get(pattern));
        let mut others: Vec<_> = holders
            .flatten()
            .filter(|(other, _)| *other != link)
            .copied()
            .collect();
        others.sort_by_key(|(other, _)| *other);
        let (links, ids) = others.into_iter().unzip();
        Behind { links, ids }
    }
}

/// Subscriptions of links, ordered by their links.
struct Behind {
    links: Vec<LinkId>,
    ids: Vec<u32>,
}

impl Behind {
    fn by_link(&self) -> impl Iterator<Item = (LinkId, &[u32])> {
        let mut rest = &self.ids[..];
        let same = self.links.chunk_by(|one, other| one == other);
        same.map(move |same| {
            let (ids, others) = rest.split_at(same.len());
            rest = others;
            (same[0], ids)
        })
    }
}

impl Side {
    /// Tells the link that others have, or have no more, a subscription with this pattern. Fails
    /// if the link cannot be told.
    pub(super) fn tell_pattern(
        &mut self,
        session: &mut Session,
        pattern: &Pattern,
        is_wanted: bool,
    ) -> Result<(), Rejected> {
        match (is_wanted, self.told_patterns.get(pattern)) {
            (true, None) => {
                let id = session.subscribe(pattern, CREDIT, false)?;
                self.told_patterns.insert(pattern.clone(), id);
                self.told_by_id.insert(id, pattern.clone());
            }
            (false, Some(&id)) => {
                self.told_patterns.remove(pattern);
                self.told_by_id.remove(&id);
                let _ = session.unsubscribe(id); // an error if it was refused
            }
            _ => {}
        }
        Ok(())
    }
}
