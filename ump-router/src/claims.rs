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
pub(crate) struct Claims<T>(HashMap<Topic, Line<T>>);

/// All who claim one topic.
#[derive(Debug)]
struct Line<T> {
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
pub(crate) enum Rank {
    Serving,
    StandingBy,
}

/// What has become of a line that somebody left.
#[derive(Debug)]
pub(crate) struct Left<T> {
    /// Who left.
    pub(crate) who: T,
    /// And was this.
    pub(crate) rank: Rank,
    /// Somebody follows.
    pub(crate) is_followed: bool,
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
    ) -> Result<Rank, T> {
        let claimant = Claimant { id, who };
        match self.0.get_mut(topic) {
            None => {
                let line = Line {
                    server: claimant,
                    standbys: VecDeque::new(),
                };
                self.0.insert(topic.clone(), line);
                Ok(Rank::Serving)
            }
            Some(line) if stand_by => {
                line.standbys.push_back(claimant);
                Ok(Rank::StandingBy)
            }
            Some(_) => Err(claimant.who),
        }
    }

    /// Gives a claim up. There is nothing if it has been given up before.
    pub(crate) fn leave(&mut self, topic: &str, id: ClaimId) -> Option<Left<T>> {
        let line = self.0.get_mut(topic)?;
        if line.server.id != id {
            let place = line.standbys.iter().position(|standby| standby.id == id)?;
            let standby = line.standbys.remove(place)?;
            return Some(Left {
                who: standby.who,
                rank: Rank::StandingBy,
                is_followed: false,
            });
        }
        let successor = line.standbys.pop_front();
        let is_followed = successor.is_some();
        let server = match successor {
            Some(successor) => std::mem::replace(&mut line.server, successor),
            None => self.0.remove(topic)?.server,
        };
        Some(Left {
            who: server.who,
            rank: Rank::Serving,
            is_followed,
        })
    }

    /// Who serves a topic.
    pub(crate) fn server(&self, topic: &str) -> Option<&T> {
        self.0.get(topic).map(|line| &line.server.who)
    }

    pub(crate) fn rank(&self, topic: &str, id: ClaimId) -> Option<Rank> {
        let line = self.0.get(topic)?;
        if line.server.id == id {
            return Some(Rank::Serving);
        }
        let mut standbys = line.standbys.iter();
        let stands_by = standbys.any(|standby| standby.id == id);
        stands_by.then_some(Rank::StandingBy)
    }

    /// All of them; those of one topic in line.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Topic, &T, Rank)> {
        self.0.iter().flat_map(|(topic, line)| {
            let standbys = line
                .standbys
                .iter()
                .map(|standby| (&standby.who, Rank::StandingBy));
            std::iter::once((&line.server.who, Rank::Serving))
                .chain(standbys)
                .map(move |(who, rank)| (topic, who, rank))
        })
    }

    /// Ends all claims.
    pub(crate) fn clear(&mut self) -> Vec<T> {
        self.0
            .drain()
            .flat_map(|(_, line)| std::iter::once(line.server).chain(line.standbys))
            .map(|claimant| claimant.who)
            .collect()
    }
}
