//! Credit. All numbers count from the beginning, so that only the last one matters.

/// The credit that this end gives the peer.
#[derive(Debug)]
pub(super) struct Allowance {
    /// How much may be on its way, or here and not consumed.
    size: u64,
    consumed: u64,
    received: u64,
    told: u64,
}

impl Allowance {
    /// The peer knows of `size` already.
    pub(super) fn new(size: u64) -> Self {
        Self {
            size,
            consumed: 0,
            received: 0,
            told: size,
        }
    }

    /// Returns `false` if the peer had no credit for it.
    #[must_use]
    pub(super) fn receive(&mut self, amount: u64) -> bool {
        self.received = self.received.saturating_add(amount);
        self.received <= self.told
    }

    /// Returns whether the peer is to be told.
    pub(super) fn consume(&mut self, amount: u64) -> bool {
        self.consumed = self.consumed.saturating_add(amount).min(self.received);
        self.total() - self.told >= self.size.div_ceil(2).max(1)
    }

    /// Returns the credit to send to the peer now.
    pub(super) fn tell(&mut self) -> u64 {
        self.told = self.total();
        self.told
    }

    fn total(&self) -> u64 {
        self.consumed.saturating_add(self.size)
    }
}

/// The credit that the peer gives this end.
#[derive(Debug, Default)]
pub(super) struct Budget {
    limit: u64,
    used: u64,
}

impl Budget {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, used: 0 }
    }

    /// Credit is never taken back.
    pub(super) fn raise(&mut self, limit: u64) {
        self.limit = self.limit.max(limit);
    }

    pub(super) fn has(&self, amount: u64) -> bool {
        self.limit - self.used >= amount
    }

    /// The caller has looked whether there is as much.
    pub(super) fn use_up(&mut self, amount: u64) {
        debug_assert!(self.has(amount));
        self.used += amount;
    }
}
