//! Who serves which topic.
//!
//! ```text
//!              claim of this process                     winner of a topic
//!   none ───────────────────────────▶ (epoch, id)        the least (epoch, id) of all claims
//!        ◀───────────────────────────                    all others stand by
//!                   release
//! ```
//!
//! The epoch of a claim is one more than the greatest that was known of the topic. So all
//! participants that know the same claims know the same winner and the same order of standbys,
//! without a word between them.
//!
//! No clock and no socket: the callers bring what happened.

use std::collections::{BTreeSet, HashMap};

use ump_router::Topic;

use crate::participant::ParticipantId;

/// A claim: its epoch, and whose it is.
pub(crate) type Claim = (u64, ParticipantId);

pub(crate) struct Claims {
    own: ParticipantId,
    topics: HashMap<Topic, BTreeSet<Claim>>,
    /// The epochs of the claims of this process.
    epochs: HashMap<Topic, u64>,
}

impl Claims {
    pub(crate) fn new(own: ParticipantId) -> Self {
        Self {
            own,
            topics: HashMap::new(),
            epochs: HashMap::new(),
        }
    }

    /// Claims a topic for this process. Returns the epoch.
    pub(crate) fn claim(&mut self, topic: &Topic) -> u64 {
        if let Some(epoch) = self.epochs.get(topic) {
            return *epoch;
        }
        let claims = self.topics.entry(topic.clone()).or_default();
        let last = claims.last().map_or(0, |(epoch, _)| *epoch);
        let epoch = last.saturating_add(1);
        claims.insert((epoch, self.own));
        self.epochs.insert(topic.clone(), epoch);
        epoch
    }

    /// Releases the claim of this process. Returns its epoch.
    pub(crate) fn release(&mut self, topic: &Topic) -> Option<u64> {
        let epoch = self.epochs.remove(topic)?;
        self.remove(topic, (epoch, self.own));
        Some(epoch)
    }

    /// Another participant has claimed a topic.
    pub(crate) fn add(&mut self, topic: &Topic, claim: Claim) {
        if claim.1 != self.own {
            self.topics.entry(topic.clone()).or_default().insert(claim);
        }
    }

    /// A claim has ended.
    pub(crate) fn remove(&mut self, topic: &Topic, claim: Claim) {
        if let Some(claims) = self.topics.get_mut(topic) {
            claims.remove(&claim);
            if claims.is_empty() {
                self.topics.remove(topic);
            }
        }
    }

    /// Returns who serves a topic.
    pub(crate) fn winner(&self, topic: &Topic) -> Option<Claim> {
        self.topics.get(topic)?.first().copied()
    }

    /// Returns the claim of another participant that serves a topic.
    pub(crate) fn remote(&self, topic: &Topic) -> Option<Claim> {
        self.winner(topic).filter(|(_, id)| *id != self.own)
    }

    /// Returns whether this process serves a topic by the claim with this epoch.
    pub(crate) fn serves(&self, topic: &Topic, epoch: u64) -> bool {
        self.winner(topic) == Some((epoch, self.own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ParticipantId = ParticipantId(1);
    const B: ParticipantId = ParticipantId(2);

    fn topic() -> Topic {
        "double/a".parse().unwrap()
    }

    #[test]
    fn a_later_claim_stands_by_and_follows() {
        let (mut a, mut b) = (Claims::new(A), Claims::new(B));
        assert_eq!(a.winner(&topic()), None);
        let first = a.claim(&topic());
        assert_eq!((first, a.claim(&topic())), (1, 1));
        b.add(&topic(), (first, A));
        let second = b.claim(&topic());
        assert_eq!(second, 2);
        a.add(&topic(), (second, B));
        for claims in [&a, &b] {
            assert_eq!(claims.winner(&topic()), Some((1, A)));
        }
        assert_eq!(
            (a.remote(&topic()), b.remote(&topic())),
            (None, Some((1, A)))
        );
        assert!(a.serves(&topic(), 1) && !a.serves(&topic(), 2) && !b.serves(&topic(), 2));
        assert_eq!(a.release(&topic()), Some(1));
        assert_eq!(a.release(&topic()), None);
        b.remove(&topic(), (1, A));
        assert_eq!(
            (a.winner(&topic()), b.winner(&topic())),
            (Some((2, B)), Some((2, B)))
        );
        assert!(b.serves(&topic(), 2));
        // It comes again, behind.
        assert_eq!(a.claim(&topic()), 3);
        assert!(!a.serves(&topic(), 3));
    }

    #[test]
    fn two_claims_at_the_same_time_have_one_winner() {
        let (mut a, mut b) = (Claims::new(A), Claims::new(B));
        let (one, other) = (a.claim(&topic()), b.claim(&topic()));
        assert!(a.serves(&topic(), one) && b.serves(&topic(), other));
        a.add(&topic(), (other, B));
        b.add(&topic(), (one, A));
        assert_eq!(
            (a.winner(&topic()), b.winner(&topic())),
            (Some((1, A)), Some((1, A)))
        );
        assert!(a.serves(&topic(), one) && !b.serves(&topic(), other));
    }

    #[test]
    fn nobody_speaks_for_this_process() {
        let mut a = Claims::new(A);
        a.add(&topic(), (0, A));
        assert_eq!(a.winner(&topic()), None);
        a.add(&topic(), (u64::MAX, B));
        assert_eq!(a.claim(&topic()), u64::MAX);
        assert!(a.serves(&topic(), u64::MAX));
    }
}
