//! The last responses of an allocation, for requests that come twice.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::stun::TransactionId;

/// How long a response is kept: a client repeats a request for 39.5 seconds.
pub(super) const KEPT: Duration = Duration::from_secs(40);

/// How many are kept.
const MOST: usize = 8;

#[derive(Debug, Default)]
pub(super) struct RecentResponses(VecDeque<(Instant, TransactionId, Vec<u8>)>);

impl RecentResponses {
    /// Returns the response to a request that was answered before.
    pub(super) fn get(&mut self, now: Instant, transaction: TransactionId) -> Option<&[u8]> {
        while let Some((at, ..)) = self.0.front() {
            if now.saturating_duration_since(*at) < KEPT {
                break;
            }
            self.0.pop_front();
        }
        let found = self.0.iter().find(|(_, other, _)| *other == transaction);
        found.map(|(.., response)| &response[..])
    }

    pub(super) fn add(&mut self, now: Instant, transaction: TransactionId, response: Vec<u8>) {
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back((now, transaction, response));
    }
}
