//! The state that the tasks of a worker share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use super::{
    Client, Config, Count, Counters, Quota,
    answer::{Failure, Refusal},
    credentials::{Identity, Unidentified},
    nonce::Nonces,
};
use crate::stun::{Message, attribute::Attribute};

/// The state that the tasks of a worker share: the configuration, the quotas and whether the server
/// drains, which they share with other workers, and the counters.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(super) config: Arc<Config>,
    pub(super) quota: Quota,
    pub(super) counters: Arc<Counters>,
    nonces: Arc<Nonces>,
    is_draining: Arc<AtomicBool>,
}

impl Shared {
    /// Creates what a first worker shares. `secret` is for the nonces, and has to be random.
    pub(crate) fn new(config: Config, secret: [u8; 32], now: Instant) -> Self {
        let nonces = Nonces::new(secret, now, config.lifetimes.nonce);
        Self {
            quota: Quota::new(config.limits),
            config: Arc::new(config),
            counters: Arc::default(),
            nonces: Arc::new(nonces),
            is_draining: Arc::default(),
        }
    }

    /// Returns the same with counters of its own, for another worker.
    pub(crate) fn for_worker(&self) -> Self {
        Self {
            counters: Arc::default(),
            ..self.clone()
        }
    }

    pub(crate) fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    pub(crate) fn quota(&self) -> &Quota {
        &self.quota
    }

    /// Lets all workers refuse new allocations from now on.
    pub(crate) fn drain(&self) {
        // ORDERING: Release, pairs with the Acquire of `is_draining`.
        self.is_draining.store(true, Ordering::Release);
    }

    pub(super) fn is_draining(&self) -> bool {
        // ORDERING: Acquire, pairs with the Release of `drain`.
        self.is_draining.load(Ordering::Acquire)
    }

    pub(super) fn count(&self, count: Count) {
        self.counters.add(count, 1);
    }

    /// Returns who a request is from. An error is the response, or none if the request is to be
    /// ignored.
    pub(super) fn authenticate(
        &self,
        now: Instant,
        client: Client,
        request: &Message<'_>,
    ) -> Result<Identity, Vec<u8>> {
        let challenge = |refusal| {
            let nonce = self.nonces.make(now, client.address);
            Failure::new(request, refusal).challenge(self.config.credentials.realm(), &nonce)
        };
        let identity = match self.config.credentials.identify(request) {
            Ok(identity) => identity,
            Err(Unidentified::BadRequest) => {
                self.count(Count::BadRequests);
                return Err(Failure::new(request, Refusal::BadRequest).finish());
            }
            Err(Unidentified::Unauthorized) => {
                self.count(Count::Unauthorized);
                return Err(challenge(Refusal::Unauthorized));
            }
        };
        let nonce = request.get(Attribute::NONCE).unwrap_or_default();
        if !self.nonces.is_fresh(now, client.address, nonce) {
            self.count(Count::StaleNonces);
            return Err(challenge(Refusal::StaleNonce));
        }
        let unknown = request.unknown_attributes();
        if !unknown.is_empty() {
            self.count(Count::BadRequests);
            let failure = Failure::new(request, Refusal::UnknownAttribute);
            return Err(failure.unknown(&unknown).signed(&identity));
        }
        Ok(identity)
    }
}
