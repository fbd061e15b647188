//! The messages of the benchmarks, and how many there are.

use serde::{Deserialize, Serialize};
use ump_router::Message;

/// The number of requests before a measurement begins.
pub(super) const WARM_UP: u32 = 1_000;

/// The number of messages that are published before the subscribers receive them.
pub(super) const BURST: u32 = 64;

/// A message of 64 bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Payload([u64; 8]);

impl Payload {
    pub(super) fn of(number: u64) -> Self {
        Self([number; 8])
    }

    pub(super) fn check(&self, expected: u64) {
        assert_eq!(self.0, [expected; 8]);
    }
}

impl Message for Payload {
    const PREFIX: &'static str = "payload";
}
