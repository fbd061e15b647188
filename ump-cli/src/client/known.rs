//! What the hub has told: its subscriptions and served topics.

use std::collections::BTreeMap;

use ump_router::{
    Pattern, Topic,
    link::{
        session::{Event, Session},
        wire::Status,
    },
};

/// Subscriptions and claims of the hub, by id.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) subscriptions: BTreeMap<u32, Pattern>,
    pub(crate) claims: BTreeMap<u32, Topic>,
    /// Whether the hub has told all that it had at the opening.
    pub(crate) is_synced: bool,
}

impl Known {
    /// Handles an event that tells of the hub. Returns any other.
    pub(super) fn handle(&mut self, session: &mut Session, event: Event) -> Option<Event> {
        match event {
            Event::Subscribe { id, pattern, .. } => {
                // It may have ended already, and then says so.
                let _ = session.answer_subscribe(id, Status::Accepted, "");
                self.subscriptions.insert(id, pattern);
            }
            Event::Unsubscribe { id } => {
                self.subscriptions.remove(&id);
            }
            Event::Serve { id, topic, .. } => {
                // As above.
                let _ = session.answer_serve(id, Status::Accepted, "");
                self.claims.insert(id, topic);
            }
            Event::Leave { id } => {
                self.claims.remove(&id);
            }
            Event::Synced => self.is_synced = true,
            other => return Some(other),
        }
        None
    }

    /// Returns the subscriptions that get a message on the topic.
    pub(crate) fn interested(&self, topic: &Pattern) -> Vec<u32> {
        let patterns = self.subscriptions.iter();
        let interested = patterns.filter(|(_, pattern)| pattern.intersects(topic));
        interested.map(|(id, _)| *id).collect()
    }
}
