//! What a session is configured with.

use std::{ops::RangeInclusive, time::Duration};

use crate::link::wire::{COMPRESSION, HEADER, Hello, Limits};

/// The versions of the protocol that this crate speaks.
pub const VERSIONS: RangeInclusive<u16> = 1..=1;

/// The ids of so many subscriptions fit into the fields of a publication.
pub(super) const MAX_SUBSCRIPTIONS: u32 = 16_000;

/// Longer times mean that there is no limit. A century can be added to any [`Instant`].
///
/// [`Instant`]: std::time::Instant
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// The configuration of a [`Session`](super::Session).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The limits of this end. A `window` that is too small for two frames is raised to that.
    pub limits: Limits,
    /// The features that this end offers, as bits of `PROTOCOL.md`. [`COMPRESSION`] is left out if
    /// the crate is built without the feature `compression`.
    pub features: u64,
    /// The features without which this end refuses the link.
    pub required: u64,
    /// A random number of this router. A link from a router to itself is refused.
    pub router: u128,
    /// A name of this end, for people.
    pub name: String,
    /// The maximum bytes of publications that wait to be sent. Further ones are gaps.
    pub queued_publications: usize,
    /// The maximum bytes of requests that wait to be sent, and of replies. Further requests are
    /// refused, and further replies become failures.
    pub queued_calls: usize,
    /// The deadlines.
    pub timeouts: Timeouts,
}

/// The deadlines of a session. [`Duration::MAX`] is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timeouts {
    /// From the beginning to the hello of the peer.
    pub hello: Duration,
    /// From the first byte of a frame to its last.
    pub frame: Duration,
    /// Without a byte from the peer, until this end sends a ping.
    pub ping: Duration,
    /// Without a byte from the peer, until the link is lost. Longer than `ping`.
    pub silence: Duration,
    /// Without a byte that could be written, until the link is lost.
    pub write: Duration,
    /// Without an answer of the peer, while a subscribe or serve of this end waits for one, until
    /// the link is lost.
    pub answer: Duration,
    /// From a request that this end takes until it says so, unless it has answered before. This
    /// saves a frame for each request that is answered soon.
    pub taken: Duration,
    /// From [`close`](super::Session::close) to the end.
    pub close: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            features: 0,
            required: 0,
            router: 0,
            name: String::new(),
            queued_publications: 4 << 20,
            queued_calls: 4 << 20,
            timeouts: Timeouts::default(),
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            hello: Duration::from_secs(5),
            frame: Duration::from_secs(30),
            ping: Duration::from_secs(10),
            silence: Duration::from_secs(25),
            write: Duration::from_secs(25),
            answer: Duration::from_secs(60),
            taken: Duration::from_millis(5),
            close: Duration::from_secs(5),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame: 1 << 20,
            topics: 1024,
            subscriptions: 1024,
            claims: 1024,
            requests: 1024,
            operations: 256,
            window: 4 << 20,
        }
    }
}

impl Config {
    /// Raises limits that would not work.
    pub(super) fn corrected(mut self) -> Self {
        if cfg!(not(feature = "compression")) {
            self.features &= !COMPRESSION;
        }
        let limits = &mut self.limits;
        limits.topics = limits.topics.max(1);
        limits.operations = limits.operations.max(1);
        limits.subscriptions = limits.subscriptions.min(MAX_SUBSCRIPTIONS);
        limits.window = limits
            .window
            .max(2 * (u64::from(limits.frame) + HEADER as u64));
        let times = &mut self.timeouts;
        for time in [
            &mut times.hello,
            &mut times.frame,
            &mut times.ping,
            &mut times.silence,
            &mut times.write,
            &mut times.answer,
            &mut times.taken,
            &mut times.close,
        ] {
            *time = (*time).min(FOREVER);
        }
        self
    }

    pub(super) fn hello(&self) -> Hello {
        Hello {
            min_version: *VERSIONS.start(),
            max_version: *VERSIONS.end(),
            features: self.features,
            required: self.required,
            limits: self.limits,
            router: self.router,
            name: self.name.clone(),
        }
    }
}
