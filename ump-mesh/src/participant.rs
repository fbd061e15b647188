//! Who takes part.

use std::{
    fmt,
    time::{Duration, Instant, SystemTime},
};

/// Identifies a participant: a router that has joined, until it leaves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParticipantId(pub(crate) u128);

impl fmt::Display for ParticipantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for ParticipantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A participant, as it was seen. From [`Mesh::participants`](crate::Mesh::participants).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Participant {
    /// Identifies it.
    pub id: ParticipantId,
    /// What it calls itself: by default the name of its program.
    pub name: String,
    /// The name of its host, or nothing if it does not know.
    pub host: String,
    /// The number of its process there.
    pub pid: u32,
    /// When it joined, by its own clock.
    pub joined: SystemTime,
    /// Since when it is seen here.
    pub seen: Instant,
    /// How many patterns it subscribes to.
    pub subscriptions: usize,
    /// How many topics it serves or stands by for.
    pub topics: usize,
}

impl Participant {
    /// Returns how long ago it joined: by its clock, and if that is ahead, how long it is seen
    /// here.
    #[must_use]
    pub fn age(&self) -> Duration {
        let by_clock = self.joined.elapsed().unwrap_or_default();
        by_clock.max(self.seen.elapsed())
    }
}
