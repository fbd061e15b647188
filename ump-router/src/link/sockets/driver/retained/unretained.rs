//! Removals for a peer that does not exchange changes, and has a subscription for them.

use super::table::Table;
use crate::{link::session::Session, topic::Topic};

/// How many of them wait. A further one is a gap.
const MAX: usize = 4096;

/// The removed topics that the peer is to be told.
///
/// Those of this process have the number of their type: they wait until its messages are sent.
#[derive(Default)]
pub(super) struct Unretained(Vec<(Option<usize>, Topic)>);

impl Unretained {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a topic. Returns false if too many wait.
    pub(super) fn push(&mut self, nth: Option<usize>, topic: &Topic) -> bool {
        self.0.retain(|(_, waiting)| waiting != topic);
        let has_room = self.0.len() < MAX;
        if has_room {
            self.0.push((nth, topic.clone()));
        }
        has_room
    }

    /// Sends those that may be sent now, unless their topics have a message again.
    pub(super) fn send(
        &mut self,
        session: &mut Session,
        table: &Table,
        has_more_of: &dyn Fn(usize) -> bool,
    ) {
        self.0.retain(|(nth, topic)| {
            if nth.is_some_and(has_more_of) {
                return true;
            }
            // An error if too much waits.
            !table.has_message(topic) && session.unretain(topic).is_err()
        });
    }
}
