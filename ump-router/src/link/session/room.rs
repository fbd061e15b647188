//! What the peer has room for.

use super::{Own, Session, State};

impl Session {
    /// Returns how many subscriptions more the peer allows. 0 while the session is not open.
    #[must_use]
    pub fn subscription_room(&self) -> usize {
        let Own {
            subscriptions,
            last_subscription,
            ..
        } = &self.own;
        self.room(
            self.peer.subscriptions,
            subscriptions.len(),
            *last_subscription,
        )
    }

    /// Returns how many served topics more the peer allows. 0 while the session is not open.
    #[must_use]
    pub fn claim_room(&self) -> usize {
        let Own {
            claims, last_claim, ..
        } = &self.own;
        self.room(self.peer.claims, claims.len(), *last_claim)
    }

    fn room(&self, limit: u32, count: usize, last: u32) -> usize {
        if self.state == State::Open && last < u32::MAX {
            (limit as usize).saturating_sub(count)
        } else {
            0
        }
    }
}
