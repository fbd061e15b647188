//! The counters of a worker.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A counter.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub(crate) enum Count {
            $($(#[$doc])* $name,)*
        }

        impl Count {
            pub(crate) const ALL: &[(Self, &str)] = &[$((Self::$name, $text),)*];
        }
    };
}

counters! {
    Bindings = "bindings",
    Allocations = "allocations made",
    /// By a quota, or while draining.
    Refused = "allocations refused",
    /// Requests without valid credentials: most clients begin with one.
    Unauthorized = "unauthorized requests",
    /// Requests without valid credentials, of addresses that have sent too many.
    Unanswered = "requests not answered",
    StaleNonces = "stale nonces",
    BadRequests = "bad requests",
    /// Duplicates that got the same answer, or are about to.
    Duplicates = "duplicate requests",
    /// Datagrams of clients that are neither messages nor channel data.
    Malformed = "malformed datagrams",
    /// Data of clients that was dropped: there is no permission or no channel.
    ClientDropped = "datagrams of clients dropped",
    /// Data of peers without a permission.
    PeerDropped = "datagrams of peers dropped",
    ToPeers = "datagrams to peers",
    ToPeersBytes = "bytes to peers",
    ToClients = "datagrams to clients",
    ToClientsBytes = "bytes to clients",
}

/// The counters, which the tasks of a worker add to, and others read.
#[derive(Debug, Default)]
pub(crate) struct Counters([AtomicU64; Count::ALL.len()]);

/// The values of [`Counters`] at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts([u64; Count::ALL.len()]);

impl Counters {
    pub(crate) fn add(&self, count: Count, more: usize) {
        // ORDERING: pairs with nothing; a count.
        self.0[count as usize].fetch_add(more as u64, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Counts {
        // ORDERING: pairs with nothing; counts.
        Counts(self.0.each_ref().map(|it| it.load(Ordering::Relaxed)))
    }
}

impl Counts {
    pub(crate) fn get(&self, count: Count) -> u64 {
        self.0[count as usize]
    }
}

impl std::iter::Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |Self(mut sum), Self(other)| {
            for (sum, more) in sum.iter_mut().zip(other) {
                *sum += more;
            }
            Self(sum)
        })
    }
}
