//! The configuration of the server.

use std::time::Duration;

use super::{Credentials, PeerPolicy};
use crate::stun::attribute::Family;

#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) credentials: Credentials,
    pub(crate) peers: PeerPolicy,
    pub(crate) limits: Limits,
    pub(crate) lifetimes: Lifetimes,
    /// The families of the addresses that clients can have.
    pub(crate) families: Vec<Family>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The allocations of all users.
    pub(crate) allocations: usize,
    pub(crate) allocations_per_user: usize,
    /// The permissions, and as many channels, of an allocation.
    pub(crate) permissions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            allocations: 10_000,
            allocations_per_user: 100,
            permissions: 64,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetimes {
    /// The time that an allocation gets if its client asks for none, or for less.
    pub(crate) allocation: Duration,
    /// The longest time that it gets.
    pub(crate) longest_allocation: Duration,
    pub(crate) permission: Duration,
    pub(crate) channel: Duration,
    pub(crate) nonce: Duration,
}

impl Default for Lifetimes {
    /// Returns those of RFC 8656.
    fn default() -> Self {
        Self {
            allocation: Duration::from_secs(600),
            longest_allocation: Duration::from_secs(3_600),
            permission: Duration::from_secs(300),
            channel: Duration::from_secs(600),
            nonce: Duration::from_secs(600),
        }
    }
}

impl Lifetimes {
    /// Returns the time that an allocation gets whose client asks for this one.
    pub(super) fn grant(&self, requested: Option<u32>) -> Duration {
        let requested = requested.map_or(self.allocation, |it| Duration::from_secs(it.into()));
        // The default may be longer than the longest.
        requested.max(self.allocation).min(self.longest_allocation)
    }
}
