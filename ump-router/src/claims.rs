//! Who serves each topic, and who stands by to follow.
//!
//! ```text
//!            claim, vacant                leave
//!   ─────────────────────────► serving ─────────► gone
//!     claim, taken, asked to      ▲                 ▲
//!   ─────────────────────────► standing by ─────────┘
//!                              the one before it leaves
//! ```
//!
//! # Invariants
//!
//! 1. A topic that is claimed has exactly one server; the others of its line stand by, in the order in which they came.
//! 2. A topic that nobody claims takes no memory.

use std::collections::VecDeque;

use hashbrown::HashMap;

use crate::topic::Topic;

#[derive(Debug)]
pub(crate) struct Claims<T>(HashMap<Topic, Claimants<T>>);

/// All who claim one topic.
#[derive(Debug)]
struct Claimants<T> {
    server: Claimant<T>,
    standbys: VecDeque<Claimant<T>>,
}

#[derive(Debug)]
struct Claimant<T> {
    id: ClaimId,
    who: T,
}

/// Which claim: each has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClaimId(pub(crate) u64);

/// How far a claim has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Serving,
    StandingBy,
}

/// What has become of a line that somebody left.
#[derive(Debug)]
pub(crate) struct Released<T> {
    /// Who left.
    pub(crate) who: T,
    /// And was this.
    pub(crate) role: Role,
    /// Somebody follows.
    pub(crate) has_successor: bool,
}

impl<T> Claims<T> {
    pub(crate) fn new() -> Self {
        Self(HashMap::new())
    }

    /// Claims a topic.
    ///
    /// # Errors
    /// It is taken, and the claimant does not want to stand by.
    pub(crate) fn claim(
        &mut self,
        topic: &Topic,
        id: ClaimId,
        who: T,
        stand_by: bool,
    ) -> Result<Role, T> {
        let claimant = Claimant { id, who };
        match self.0.get_mut(topic) {
            None => {
                let claimants = Claimants {
                    server: claimant,
                    standbys: VecDeque::new(),
                };
                self.0.insert(topic.clone(), claimants);
                Ok(Role::Serving)
            }
            Some(claimants) if stand_by => {
                claimants.standbys.push_back(claimant);
                Ok(Role::Standby)
            }
            Some(_) => Err(claimant.who),
        }
    }

    /// Gives a claim up. There is nothing if it has been given up before.
    pub(crate) fn leave(&mut self, topic: &str, id: ClaimId) -> Option<Released<T>> {
        let claimants = self.0.get_mut(topic)?;
        if claimants.server.id != id {
            let place = claimants
                .standbys
                .iter()
                .position(|standby| standby.id == id)?;
            let standby = claimants.standbys.remove(place)?;
            return Some(Released {
                who: standby.who,
                role: Role::Standby,
                has_successor: false,
            });
        }
        let successor = claimants.standbys.pop_front();
        let has_successor = successor.is_some();
        let server = match successor {
            Some(successor) => std::mem::replace(&mut claimants.server, successor),
            None => self.0.remove(topic)?.server,
        };
        Some(Released {
            who: server.who,
            role: Role::Serving,
            has_successor,
        })
    }

    /// Who serves a topic.
    pub(crate) fn server(&self, topic: &str) -> Option<&T> {
        self.0.get(topic).map(|claimants| &claimants.server.who)
    }

    pub(crate) fn role(&self, topic: &str, id: ClaimId) -> Option<Role> {
        let claimants = self.0.get(topic)?;
        if claimants.server.id == id {
            return Some(Role::Serving);
        }
        let mut standbys = claimants.standbys.iter();
        let is_standby = standbys.any(|standby| standby.id == id);
        is_standby.then_some(Role::Standby)
    }

    /// All of them; those of one topic in claimants.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Topic, &T, Role)> {
        self.0.iter().flat_map(|(topic, claimants)| {
            let standbys = line
                .standbys
                .iter()
                .map(|standby| (&standby.who, Role::Standby));
            std::iter::once((&claimants.server.who, Role::Serving))
                .chain(standbys)
                .map(move |(who, role)| (topic, who, role))
        })
    }

    /// Ends all claims.
    pub(crate) fn clear(&mut self) -> Vec<T> {
        self.0
            .drain()
            .flat_map(|(_, claimants)| std::iter::once(claimants.server).chain(claimants.standbys))
            .map(|claimant| claimant.who)
            .collect()
    }
}
