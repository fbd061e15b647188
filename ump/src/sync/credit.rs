//! Learning whether something pays: what was in vain costs, what was rewarded earns, and after a long rest it is tried again.

#![forbid(unsafe_code)]

use super::{AtomicU32, Ordering};

/// Whether something has recently paid.
#[derive(Debug)]
pub(crate) struct Credit {
    /// The most that can be saved up, and what there is at first.
    most: u32,
    /// So often it is refused before all of it is granted again.
    rest: u32,
    left: AtomicU32,
    /// How often it was refused.
    rested: AtomicU32,
}

impl Credit {
    pub(crate) const fn new(most: u32, rest: u32) -> Self {
        Self {
            most,
            rest,
            left: AtomicU32::new(most),
            rested: AtomicU32::new(0),
        }
    }

    /// Without credit at first, and all of it after so many refusals.
    pub(crate) const fn after(refusals: u32, most: u32, rest: u32) -> Self {
        Self {
            left: AtomicU32::new(0),
            rested: AtomicU32::new(rest - refusals),
            ..Self::new(most, rest)
        }
    }

    // Relaxed throughout: hints, which order nothing. Of two who learn at once one may lose its lesson.

    #[inline]
    pub(crate) fn is_good(&self) -> bool {
        self.left.load(Ordering::Relaxed) > 0
    }

    /// It paid.
    #[inline]
    pub(crate) fn reward(&self, reward: u32) {
        let left = self.left.load(Ordering::Relaxed);
        if left < self.most {
            let left = (left + reward).min(self.most);
            self.left.store(left, Ordering::Relaxed);
        }
    }

    /// It was in vain, which costs one, or it was refused.
    pub(crate) fn charge(&self) {
        let left = self.left.load(Ordering::Relaxed);
        if left > 0 {
            self.left.store(left - 1, Ordering::Relaxed);
        } else {
            self.rest();
        }
    }

    /// It was worse than in vain.
    pub(crate) fn fine(&self, fine: u32) {
        let left = self.left.load(Ordering::Relaxed);
        self.left
            .store(left.saturating_sub(fine), Ordering::Relaxed);
    }

    fn rest(&self) {
        let rested = (self.rested.load(Ordering::Relaxed) + 1) % self.rest;
        self.rested.store(rested, Ordering::Relaxed);
        if rested == 0 {
            self.left.store(self.most, Ordering::Relaxed);
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// How often it can be in vain until there is no credit.
    fn used_up(credit: &Credit) -> u32 {
        let mut times = 0;
        while credit.is_good() {
            credit.charge();
            times += 1;
        }
        times
    }

    /// How often it is refused until there is some again.
    fn refused(credit: &Credit) -> u32 {
        let mut times = 0;
        while !credit.is_good() {
            credit.charge();
            times += 1;
        }
        times
    }

    #[test]
    fn it_is_used_up_and_granted_again_after_a_rest() {
        let credit = Credit::new(5, 7);
        for _ in 0..3 {
            assert_eq!((used_up(&credit), refused(&credit)), (5, 7));
        }
    }

    #[test]
    fn it_may_begin_with_less_rest() {
        let credit = Credit::after(2, 5, 7);
        assert_eq!((refused(&credit), used_up(&credit)), (2, 5));
        assert_eq!(refused(&credit), 7);
    }

    #[test]
    fn a_reward_is_saved_up_to_the_most() {
        let credit = Credit::new(5, 7);
        for (reward, left) in [(0, 0), (1, 1), (4, 4), (5, 5), (9, 5)] {
            used_up(&credit);
            credit.reward(reward);
            assert_eq!(used_up(&credit), left);
        }
        credit.reward(3);
        credit.reward(1);
        assert_eq!(used_up(&credit), 4);
        credit.reward(5);
        credit.reward(5);
        assert_eq!(used_up(&credit), 5);
    }

    #[test]
    fn a_fine_takes_what_there_is() {
        for (fine, left) in [(0, 5), (2, 3), (5, 0), (9, 0)] {
            let credit = Credit::new(5, 7);
            credit.fine(fine);
            assert_eq!(used_up(&credit), left);
        }
    }
}
