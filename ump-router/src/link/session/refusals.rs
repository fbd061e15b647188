//! What this end does not accept.

use std::time::Instant;

use super::{Rejected, Session, State};
use crate::{
    link::wire::{GoodbyeReason, Message, Status},
    topic::Pattern,
};

impl Session {
    /// Closes the session with a peer that is not accepted. If nothing was sent yet, the peer gets
    /// a goodbye instead of a hello.
    pub fn refuse(&mut self, now: Instant, reason: GoodbyeReason, text: &str) {
        if matches!(self.state, State::Hello { .. }) && self.output.is_unsent() {
            self.output.discard();
        }
        self.close(now, reason, text);
    }

    /// Tells the peer that its publications on a topic or pattern are not delivered. Tell it once
    /// for each topic, of a limited number: it is no answer, so nothing else limits it.
    ///
    /// # Errors
    /// [`NotOpen`](Rejected::NotOpen).
    pub fn refuse_publications(
        &mut self,
        topic: &Pattern,
        status: Status,
        text: &str,
    ) -> Result<(), Rejected> {
        if !self.is_open() {
            return Err(Rejected::NotOpen);
        }
        self.output.control(Message::Refused {
            status,
            topic: topic.clone(),
            text: text.to_owned(),
        });
        Ok(())
    }
}
