//! What is known of another participant.

use std::collections::{HashMap, HashSet};

use ump_router::{Pattern, Topic};

use crate::claims::Role;

/// How many participants are looked at, and how many tokens of each.
pub(super) const MAX_PARTICIPANTS: usize = 4096;
pub(super) const MAX_TOKENS: usize = 1 << 16;

#[derive(Default)]
pub(super) struct Known {
    /// Its own token is there.
    pub(super) is_there: bool,
    /// It has said that it leaves.
    pub(super) is_leaving: bool,
    /// Its subscriptions, by their numbers.
    pub(super) subscriptions: HashMap<u64, Pattern>,
    /// With their epochs.
    pub(super) claims: HashSet<(Topic, u64, Role)>,
}

impl Known {
    /// Returns whether nothing of it is there any more.
    pub(super) fn is_gone(&self) -> bool {
        !self.is_there && self.subscriptions.is_empty() && self.claims.is_empty()
    }

    pub(super) fn has_room(&self) -> bool {
        self.subscriptions.len() + self.claims.len() < MAX_TOKENS
    }

    pub(super) fn topics(&self) -> Vec<Topic> {
        let topics = self.claims.iter().map(|(topic, ..)| topic.clone());
        topics.collect()
    }
}
