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

    /// Returns whether a payload has more bytes than the whole credit that a subscription of the
    /// peer has begun with. It would wait for credit for ever, unless the peer gives more at once
    /// than then. A subscription that begins without credit has no such limit.
    #[must_use]
    pub fn exceeds_credit(&self, id: u32, bytes: u64) -> bool {
        let first = self.their.subscriptions.get(&id).map(|it| it.first_bytes);
        first.is_some_and(|first| first > 0 && bytes > first)
    }
}
