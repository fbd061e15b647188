//! Learns whether an optimisation pays off. A failed attempt costs points, a successful one earns
//! points, and an exhausted budget is refilled after a long rest.

#![forbid(unsafe_code)]

use crate::sync::{AtomicU32, Ordering};

/// An adaptive budget of points: tells whether an attempt has recently paid off.
#[derive(Debug)]
pub(crate) struct AdaptiveBudget {
    /// The maximum number of points, and the initial one.
    most: u32,
    /// The minimum and the maximum of `pause`.
    rest: [u32; 2],
    /// The number of refusals before the budget is refilled the next time.
    pause: AtomicU32,
    /// The number of points left.
    left: AtomicU32,
    /// The number of refusals since the budget was last exhausted or refilled.
    rested: AtomicU32,
}

impl AdaptiveBudget {
    /// Creates a full budget of `most` points that is refilled after `rest` refusals.
    pub(crate) const fn new(most: u32, rest: u32) -> Self {
        Self {
            most,
            rest: [rest; 2],
            pause: AtomicU32::new(rest),
            left: AtomicU32::new(most),
            rested: AtomicU32::new(0),
        }
    }

    /// Creates an empty budget that is refilled after the given number of refusals, and later after
    /// `rest` of them.
    pub(crate) const fn after(refusals: u32, most: u32, rest: u32) -> Self {
        Self {
            left: AtomicU32::new(0),
            rested: AtomicU32::new(rest - refusals),
            ..Self::new(most, rest)
        }
    }

    /// Creates a full budget whose first refill takes `least_rest` refusals. Each further refill
    /// takes twice as many as the one before, up to `rest`, unless the budget has
    /// [paid off](Self::pay_off) in between.
    pub(crate) const fn backing_off(most: u32, least_rest: u32, rest: u32) -> Self {
        Self {
            rest: [least_rest, rest],
            pause: AtomicU32::new(least_rest),
            ..Self::new(most, rest)
        }
    }

    // ORDERING: Relaxed for every operation of this type: the fields are hints and guard no data.
    // If two threads update a field at once, one update may be lost.

    /// Returns whether any points are left.
    #[inline]
    pub(crate) fn is_good(&self) -> bool {
        self.left.load(Ordering::Relaxed) > 0
    }

    /// Returns whether all points are left, that is, whether every recent attempt has paid off.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.left.load(Ordering::Relaxed) == self.most
    }

    /// Earns `reward` points for a successful attempt.
    #[inline]
    pub(crate) fn reward(&self, reward: u32) {
        let left = self.left.load(Ordering::Relaxed);
        if left < self.most {
            let left = (left + reward).min(self.most);
            self.left.store(left, Ordering::Relaxed);
        }
    }

    /// Charges one point for a failed attempt, or counts a refusal if no points are left.
    pub(crate) fn charge(&self) {
        let left = self.left.load(Ordering::Relaxed);
        if left > 0 {
            self.left.store(left - 1, Ordering::Relaxed);
        } else {
            self.rest();
        }
    }

    /// Takes `fine` points for an attempt that did harm.
    pub(crate) fn fine(&self, fine: u32) {
        let left = self.left.load(Ordering::Relaxed);
        self.left
            .store(left.saturating_sub(fine), Ordering::Relaxed);
    }

    /// Refills the budget and makes the next pause short: the attempts have paid off for good.
    pub(crate) fn pay_off(&self) {
        self.left.store(self.most, Ordering::Relaxed);
        self.pause.store(self.rest[0], Ordering::Relaxed);
        self.rested.store(0, Ordering::Relaxed);
    }

    /// Empties the budget and makes the next pause as long as possible.
    pub(crate) fn give_up(&self) {
        self.left.store(0, Ordering::Relaxed);
        self.pause.store(self.rest[1], Ordering::Relaxed);
        self.rested.store(0, Ordering::Relaxed);
    }

    /// Counts a refusal, and refills the budget if the pause is over. The next pause is twice as
    /// long.
    fn rest(&self) {
        let pause = self.pause.load(Ordering::Relaxed);
        let rested = self.rested.load(Ordering::Relaxed) + 1;
        if rested < pause {
            self.rested.store(rested, Ordering::Relaxed);
            return;
        }
        self.rested.store(0, Ordering::Relaxed);
        let doubled = pause.saturating_mul(2).min(self.rest[1]);
        self.pause.store(doubled, Ordering::Relaxed);
        self.left.store(self.most, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// Returns how many failed attempts the budget allows.
    fn used_up(budget: &AdaptiveBudget) -> u32 {
        let mut times = 0;
        while budget.is_good() {
            budget.charge();
            times += 1;
        }
        times
    }

    /// Returns how many refusals there are until the budget is refilled.
    fn refused(budget: &AdaptiveBudget) -> u32 {
        let mut times = 0;
        while !budget.is_good() {
            budget.charge();
            times += 1;
        }
        times
    }

    #[test]
    fn it_is_used_up_and_granted_again_after_a_rest() {
        let budget = AdaptiveBudget::new(5, 7);
        for _ in 0..3 {
            assert_eq!((used_up(&budget), refused(&budget)), (5, 7));
        }
    }

    #[test]
    fn it_may_begin_with_less_rest() {
        let budget = AdaptiveBudget::after(2, 5, 7);
        assert_eq!((refused(&budget), used_up(&budget)), (2, 5));
        assert_eq!(refused(&budget), 7);
    }

    #[test]
    fn it_backs_off_until_it_pays() {
        let budget = AdaptiveBudget::backing_off(5, 7, 20);
        for refusals in [7, 14, 20, 20] {
            assert_eq!((used_up(&budget), refused(&budget)), (5, refusals));
        }
        used_up(&budget);
        budget.charge();
        budget.pay_off();
        assert!(budget.is_full());
        assert_eq!((used_up(&budget), refused(&budget)), (5, 7));
    }

    #[test]
    fn given_up_it_rests_for_long() {
        let budget = AdaptiveBudget::backing_off(5, 7, 20);
        budget.give_up();
        assert_eq!(refused(&budget), 20);
    }

    #[test]
    fn a_reward_is_saved_up_to_the_most() {
        let budget = AdaptiveBudget::new(5, 7);
        for (reward, left) in [(0, 0), (1, 1), (4, 4), (5, 5), (9, 5)] {
            used_up(&budget);
            budget.reward(reward);
            assert_eq!(used_up(&budget), left);
        }
        budget.reward(3);
        budget.reward(1);
        assert_eq!(used_up(&budget), 4);
        budget.reward(5);
        budget.reward(5);
        assert_eq!(used_up(&budget), 5);
    }

    #[test]
    fn a_fine_takes_what_there_is() {
        for (fine, left) in [(0, 5), (2, 3), (5, 0), (9, 0)] {
            let budget = AdaptiveBudget::new(5, 7);
            budget.fine(fine);
            assert_eq!(used_up(&budget), left);
        }
    }
}
