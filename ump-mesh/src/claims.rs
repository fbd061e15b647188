//! Who serves which topic.
//!
//! ```text
//!            claim            no other serves            another one serves, too
//!   (none) ─────────▶ standby ───────────────▶ serves ───────────────────────────▶ standby, with
//!          ◀───────── (epoch)                          and has the greater epoch    a new epoch
//!            release
//! ```
//!
//! - The epoch of a claim is a term and a number of renewals. A new claim has a greater term than
//!   all that are known of the topic. If this process has had it alone, it keeps the term, with one
//!   renewal more. So no epoch is had twice, and a process that is cut off does not get a greater
//!   term than those that it does not see.
//! - Of the claims that serve, the one with the greatest term wins: the server that followed while
//!   a former one was cut off is not deposed by it. Of the same term, the participant with the
//!   least number wins.
//! - If none serves, the least (epoch, participant) is about to. It serves when it has said so, and
//!   is asked from then on.
//!
//! So all participants that know the same claims know the same server and the same order of
//! standbys, without a word between them. One that has met only some of the others does not ask a
//! claim that stands by.
//!
//! No clock and no socket: the callers bring what happened.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};

use ump_router::Topic;

use crate::participant::ParticipantId;

/// A claim: its epoch, and whose it is.
pub(crate) type Claim = (u64, ParticipantId);

/// The bits of an epoch that count renewals. The term is above.
const RENEWALS: u32 = 16;

/// The first epoch.
#[cfg(test)]
const FIRST: u64 = 1 << RENEWALS;

/// What a claim says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Role {
    StandsBy,
    Serves,
}

/// The roles that a claim has told: both, while it changes from one to the other.
#[derive(Default)]
struct Roles {
    stands_by: bool,
    serves: bool,
}

/// What becomes of the claim of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Review {
    /// Nothing new.
    Same,
    /// It serves from here on.
    Serves { epoch: u64 },
    /// Another one serves: it stands by with a new epoch.
    SteppedDown { epoch: u64 },
}

/// How many topics that this process has had a claim of are remembered.
const MAX_FORMER: usize = 4096;

pub(crate) struct Claims {
    own: ParticipantId,
    topics: HashMap<Topic, BTreeMap<Claim, Roles>>,
    /// The epochs of the claims of this process.
    epochs: HashMap<Topic, u64>,
    /// The greatest epochs that this process has had, and of the topics that are forgotten.
    former: HashMap<Topic, u64>,
    former_of_all: u64,
}

impl Claims {
    pub(crate) fn new(own: ParticipantId) -> Self {
        Self {
            own,
            topics: HashMap::new(),
            epochs: HashMap::new(),
            former: HashMap::new(),
            former_of_all: 0,
        }
    }

    /// Claims a topic for this process, as a standby. Returns the epoch.
    pub(crate) fn claim(&mut self, topic: &Topic) -> u64 {
        if let Some(epoch) = self.epochs.get(topic) {
            return *epoch;
        }
        let last = self.topics.get(topic).and_then(|it| it.keys().next_back());
        let known = last.map_or(0, |(epoch, _)| *epoch);
        let former = self.former.get(topic).copied();
        let former = former.unwrap_or(self.former_of_all);
        let epoch = if known < former {
            former.saturating_add(1)
        } else {
            // The term that follows, or the last epoch that there is.
            (known | ((1 << RENEWALS) - 1)).saturating_add(1)
        };
        self.stand_by(topic, epoch);
        epoch
    }

    /// Releases the claim of this process. Returns its epoch.
    pub(crate) fn release(&mut self, topic: &Topic) -> Option<u64> {
        let epoch = self.epochs.remove(topic)?;
        self.remove_all(topic, (epoch, self.own));
        if self.former.len() >= MAX_FORMER {
            let greatest = self.former.drain().map(|(_, epoch)| epoch).max();
            self.former_of_all = self.former_of_all.max(greatest.unwrap_or(0));
        }
        self.former.insert(topic.clone(), epoch);
        Some(epoch)
    }

    /// Another participant has told a claim.
    pub(crate) fn add(&mut self, topic: &Topic, claim: Claim, role: Role) {
        if claim.1 != self.own {
            let claims = self.topics.entry(topic.clone()).or_default();
            *claims.entry(claim).or_default().of(role) = true;
        }
    }

    /// Another participant has taken back a claim.
    pub(crate) fn remove(&mut self, topic: &Topic, claim: Claim, role: Role) {
        if claim.1 == self.own {
            return;
        }
        let Some(roles) = self.topics.get_mut(topic).and_then(|it| it.get_mut(&claim)) else {
            return;
        };
        *roles.of(role) = false;
        if !roles.serves && !roles.stands_by {
            self.remove_all(topic, claim);
        }
    }

    fn remove_all(&mut self, topic: &Topic, claim: Claim) {
        if let Some(claims) = self.topics.get_mut(topic) {
            claims.remove(&claim);
            if claims.is_empty() {
                self.topics.remove(topic);
            }
        }
    }

    /// Looks what becomes of the claim of this process.
    pub(crate) fn review(&mut self, topic: &Topic) -> Review {
        let Some(epoch) = self.epochs.get(topic).copied() else {
            return Review::Same;
        };
        let own = (epoch, self.own);
        let wins = self.winner(topic) == Some(own);
        let roles = self.topics.get_mut(topic).and_then(|it| it.get_mut(&own));
        match roles {
            Some(roles) if wins && !roles.serves => {
                *roles = Roles {
                    stands_by: false,
                    serves: true,
                };
                Review::Serves { epoch }
            }
            Some(roles) if !wins && roles.serves => {
                self.release(topic);
                let epoch = self.claim(topic);
                Review::SteppedDown { epoch }
            }
            _ => Review::Same,
        }
    }

    /// Renews a claim that serves. Requests that were sent for its former epoch are stale. The
    /// claim stands by until the next review.
    pub(crate) fn renew(&mut self, topic: &Topic) -> Review {
        let Some(epoch) = self.release(topic) else {
            return Review::Same;
        };
        let epoch = epoch.saturating_add(1);
        self.stand_by(topic, epoch);
        Review::SteppedDown { epoch }
    }

    fn stand_by(&mut self, topic: &Topic, epoch: u64) {
        let claims = self.topics.entry(topic.clone()).or_default();
        claims.entry((epoch, self.own)).or_default().stands_by = true;
        self.epochs.insert(topic.clone(), epoch);
    }

    /// Returns who serves a topic, or is about to.
    pub(crate) fn winner(&self, topic: &Topic) -> Option<Claim> {
        self.serving(topic)
            .or_else(|| self.topics.get(topic)?.keys().next().copied())
    }

    /// Returns who serves a topic.
    fn serving(&self, topic: &Topic) -> Option<Claim> {
        let claims = self.topics.get(topic)?.iter();
        let serving = claims.filter_map(|(claim, roles)| roles.serves.then_some(*claim));
        serving.max_by_key(|(epoch, id)| (epoch >> RENEWALS, Reverse(*id)))
    }

    /// Returns the claim of another participant that serves a topic, and is asked.
    pub(crate) fn remote(&self, topic: &Topic) -> Option<Claim> {
        self.serving(topic).filter(|(_, id)| *id != self.own)
    }

    /// Returns whether the servers of this process, if there are any, stand by for another
    /// participant.
    pub(crate) fn stands_by(&self, topic: &Topic) -> bool {
        if self.epochs.contains_key(topic) {
            self.winner(topic).is_some_and(|(_, id)| id != self.own)
        } else {
            self.remote(topic).is_some()
        }
    }

    /// Returns whether this process serves a topic by the claim with this epoch.
    pub(crate) fn serves(&self, topic: &Topic, epoch: u64) -> bool {
        self.serving(topic) == Some((epoch, self.own))
    }

    /// Returns the topics that this process serves.
    pub(crate) fn served(&self) -> Vec<Topic> {
        let own = self.epochs.iter();
        let served = own.filter(|(topic, epoch)| self.serves(topic, **epoch));
        served.map(|(topic, _)| topic.clone()).collect()
    }
}

impl Roles {
    fn of(&mut self, role: Role) -> &mut bool {
        match role {
            Role::StandsBy => &mut self.stands_by,
            Role::Serves => &mut self.serves,
        }
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

    /// A claim that serves tells that instead of standing by.
    fn tell(to: &mut Claims, claim: Claim) {
        to.add(&topic(), claim, Role::Serves);
    }

    #[test]
    fn a_later_claim_stands_by_and_follows() {
        let (mut a, mut b) = (Claims::new(A), Claims::new(B));
        assert_eq!(a.winner(&topic()), None);
        let first = a.claim(&topic());
        assert_eq!((first, a.claim(&topic())), (FIRST, FIRST));
        assert!(!a.serves(&topic(), FIRST), "it has not said so");
        assert_eq!(a.review(&topic()), Review::Serves { epoch: FIRST });
        assert_eq!(a.review(&topic()), Review::Same);
        tell(&mut b, (FIRST, A));
        let second = 2 * FIRST;
        assert_eq!(b.claim(&topic()), second);
        assert_eq!(b.review(&topic()), Review::Same);
        a.add(&topic(), (second, B), Role::StandsBy);
        for claims in [&a, &b] {
            assert_eq!(claims.winner(&topic()), Some((FIRST, A)));
        }
        assert_eq!(a.remote(&topic()), None);
        assert_eq!(b.remote(&topic()), Some((FIRST, A)));
        assert!(!a.stands_by(&topic()) && b.stands_by(&topic()));
        assert!(a.serves(&topic(), FIRST) && !a.serves(&topic(), second));
        assert!(!b.serves(&topic(), second));
        assert_eq!(a.served(), [topic()]);
        assert_eq!(a.release(&topic()), Some(FIRST));
        assert_eq!(a.release(&topic()), None);
        b.remove(&topic(), (FIRST, A), Role::Serves);
        assert_eq!(b.review(&topic()), Review::Serves { epoch: second });
        // Nobody asks it before it has told that it serves.
        assert_eq!(a.winner(&topic()), Some((second, B)));
        assert_eq!(a.remote(&topic()), None);
        assert!(!a.stands_by(&topic()));
        tell(&mut a, (second, B));
        a.remove(&topic(), (second, B), Role::StandsBy);
        assert_eq!(a.remote(&topic()), Some((second, B)));
        // It comes again, behind.
        assert_eq!(a.claim(&topic()), 3 * FIRST);
        assert_eq!(a.review(&topic()), Review::Same);
    }

    #[test]
    fn of_two_servers_of_one_term_one_steps_down_to_a_new_one() {
        let (mut a, mut b) = (Claims::new(A), Claims::new(B));
        for claims in [&mut a, &mut b] {
            claims.claim(&topic());
            assert_eq!(claims.review(&topic()), Review::Serves { epoch: FIRST });
        }
        tell(&mut a, (FIRST, B));
        tell(&mut b, (FIRST, A));
        assert_eq!(a.review(&topic()), Review::Same);
        let epoch = 2 * FIRST;
        assert_eq!(b.review(&topic()), Review::SteppedDown { epoch });
        assert!(a.serves(&topic(), FIRST) && !b.serves(&topic(), FIRST));
        assert!(b.stands_by(&topic()));
        // What was for its former claim stays stale when it serves again.
        b.remove(&topic(), (FIRST, A), Role::Serves);
        assert_eq!(b.review(&topic()), Review::Serves { epoch });
        assert!(!b.serves(&topic(), FIRST));
    }

    #[test]
    fn a_server_that_was_cut_off_does_not_depose_the_one_that_followed() {
        let (mut a, mut b) = (Claims::new(A), Claims::new(B));
        let mut c = Claims::new(ParticipantId(3));
        a.claim(&topic());
        a.review(&topic());
        tell(&mut b, (FIRST, A));
        let second = b.claim(&topic());
        // The network is cut. Its claim is renewed, and given up and made again, and it heals.
        b.remove(&topic(), (FIRST, A), Role::Serves);
        assert_eq!(b.review(&topic()), Review::Serves { epoch: second });
        assert_eq!(a.renew(&topic()), Review::SteppedDown { epoch: FIRST + 1 });
        assert!(!a.serves(&topic(), FIRST) && !a.serves(&topic(), FIRST + 1));
        assert_eq!(a.review(&topic()), Review::Serves { epoch: FIRST + 1 });
        a.release(&topic());
        assert_eq!(a.claim(&topic()), FIRST + 2);
        a.review(&topic());
        for claim in [(FIRST + 2, A), (second, B)] {
            tell(&mut a, claim);
            tell(&mut b, claim);
            tell(&mut c, claim);
        }
        assert_eq!(c.remote(&topic()), Some((second, B)));
        assert_eq!(b.review(&topic()), Review::Same);
        let epoch = 3 * FIRST;
        assert_eq!(a.review(&topic()), Review::SteppedDown { epoch });
        assert_eq!(a.remote(&topic()), Some((second, B)));
    }

    #[test]
    fn an_epoch_is_had_once() {
        let mut a = Claims::new(A);
        for nth in 0..3 {
            assert_eq!(a.claim(&topic()), FIRST + nth);
            a.release(&topic());
        }
        for nth in 0..=MAX_FORMER {
            let topic: Topic = format!("double/{nth}").parse().unwrap();
            a.claim(&topic);
            a.release(&topic);
        }
        assert!(a.former.len() <= MAX_FORMER);
        assert_eq!(a.claim(&topic()), FIRST + 3, "of all that were forgotten");
    }

    #[test]
    fn nobody_speaks_for_this_process() {
        let mut a = Claims::new(A);
        tell(&mut a, (0, A));
        assert_eq!(a.winner(&topic()), None);
        a.add(&topic(), (u64::MAX, B), Role::StandsBy);
        assert_eq!(a.claim(&topic()), u64::MAX);
        a.remove(&topic(), (u64::MAX, A), Role::StandsBy);
        assert_eq!(a.review(&topic()), Review::Serves { epoch: u64::MAX });
    }
}
