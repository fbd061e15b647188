//! Changes of retained messages, which both ends of a link tell each other.

use std::time::Instant;

use super::{Bulk, Event, Rejected, Replica, Session, output::PUBLICATIONS};
use crate::link::wire::RetainedChange;

impl Session {
    pub(super) fn on_replicate(&mut self, now: Instant, change: RetainedChange, credit: u64) {
        let replica = Replica::received(now, change);
        self.events.push_back((Event::Replicate(replica), credit));
    }

    /// Tells the peer a change of the retained message of a topic, in order with the publications.
    /// For a peer with [`FEATURE_REPLICATE`](crate::link::wire::FEATURE_REPLICATE); others ignore
    /// it.
    ///
    /// # Errors
    /// [`NotOpen`](Rejected::NotOpen), [`Full`](Rejected::Full) or [`TooLong`](Rejected::TooLong):
    /// it is not sent.
    pub fn replicate(&mut self, replica: Replica) -> Result<(), Rejected> {
        self.check_open()?;
        let bulk = Bulk::Replicate(replica);
        self.check_length(bulk.body())?;
        let max = self.config.queued_publications;
        if !self.output.has_room(PUBLICATIONS, bulk.body(), max) {
            return Err(Rejected::Full);
        }
        // Subscriptions of the peer that have missed messages learn it before.
        self.tell_gaps();
        self.output.bulk(bulk);
        Ok(())
    }
}
