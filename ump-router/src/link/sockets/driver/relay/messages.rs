//! Subscriptions, messages and gaps.

use std::collections::BTreeMap;

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
        for (link, ids) in self.behind(from, to) {
            let has_room = sessions.has_queue_room(link);
            if let Some(session) = sessions.session(link) {
                if has_room {
                    // An error if it is too long for this link: then it is a gap.
                    let _ = session.publish(publication, &ids);
                } else {
                    session.missed(&ids, 1);
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
        for (link, ids) in self.behind(from, &[id]) {
            if let Some(session) = sessions.session(link) {
                if missed == 0 {
                    session.interrupted(&ids);
                } else {
                    session.missed(&ids, missed);
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
        for (other, ids) in self.behind(link, &told) {
            if let Some(session) = sessions.session(other) {
                session.interrupted(&ids);
                self.touched.insert(other);
            }
        }
    }

    /// Returns the subscriptions of other links that some subscriptions at a link stand for.
    fn behind(&self, link: LinkId, told: &[u32]) -> BTreeMap<LinkId, Vec<u32>> {
        let mut behind = BTreeMap::<_, Vec<_>>::new();
        let Some(side) = self.sides.get(&link) else {
            return behind;
        };
        let patterns = told.iter().filter_map(|id| side.told_by_id.get(id));
        for pattern in patterns {
            let holders = self.patterns.get(pattern).into_iter().flatten();
            for (other, id) in holders.filter(|(other, _)| *other != link) {
                behind.entry(*other).or_default().push(*id);
            }
        }
        behind
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
