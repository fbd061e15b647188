//! How two ends that wake each other in turn come to wait for each other awake.
//!
//! # The slow mode
//!
//! Once both ends of a quick exchange are asleep they stay so: each is woken by the other, does its work of 0.1 µs, and is asleep again before the
//! other has got up, which takes 5 to 60 µs and in a virtual machine rather 60, since the CPU that has to be woken was given back to the host. The
//! look of 20 µs that usually comes before a sleep is then always too short. There are two forms of it (seen with `perf sched timehist`, two CPUs,
//! a task that asks a thread; a multi-threaded executor wakes a worker besides with each wake-up, which finds nothing):
//!
//! - *Apart*: each end on a CPU of its own. Each request costs two wake-ups of an idle CPU, some 70 µs.
//! - *Stacked*: both on one CPU, in turns of 5 µs, though the other CPU is idle. (A wake-up puts a thread where it last ran unless another
//!   CPU is known to be idle, and a halted virtual CPU counts as preempted.) Looking cannot help, as the other end cannot run meanwhile.
//!   The load balancer moves one of them after some ticks, but only if both are ready to run when it looks, that is, if
//!   neither sleeps.
//!
//! # The way out
//!
//! *Stacked* ends give each other the CPU instead of falling asleep: see `spin`; so they take 4 µs a request, and are moved apart after some 20 ms.
//! Ends that are *apart* need a look that is long enough to see the other one getting up. How long that is shows in the sleeps: one that was
//! **short** would have been saved by a look that long. So after a short sleep (or where a streak of short waits has just ended) a thread looks once
//! for twice as long. That alone saves nothing, it only burns the time that it slept before; what pays is that from then on both ends are
//! awake. So it is a **trial**: only if what comes next comes within short waits, [`TRIAL`] times in a row, has it paid. If not, it is tried a few times
//! more, and then after pauses that become longer and longer: who asks every 50 µs, or has a handler that takes so long, is left alone.
//! Only a thread does so; a task would keep others from running. One end that is awake is enough for the other to find it so.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use crate::{
    sync::{AtomicU32, Ordering},
    wait::budget::AdaptiveBudget,
};

/// So often it tries in a row.
const TRIALS: u32 = 4;
/// Then it leaves out so many sleeps at first, and at most.
const PAUSE: u32 = 32;
const LONGEST_PAUSE: u32 = 8192;
/// So many waits have to be short.
const TRIAL: u32 = 16;
/// Looks so much longer than twice the last sleep.
const MARGIN: u32 = 20_000;
/// Looks so long at the end of a streak, when the next sleep is not known.
const FIRST: u32 = 100_000;

/// Whether the two ends are in step, seen from one of them. Shared by all who wait for the same thing.
#[derive(Debug)]
pub(crate) struct SpinProbe {
    /// Looks for so many nanoseconds at most, and takes a sleep that is shorter for short. Zero: it does not try.
    most: u32,
    to_try: AdaptiveBudget,
    /// How many nanoseconds the last sleep took, if it was short; otherwise zero.
    slept: AtomicU32,
    /// How many waits have to be short yet. Zero: there is no trial.
    trial: AtomicU32,
}

// Relaxed throughout: hints, which order nothing.
impl SpinProbe {
    pub(crate) const fn new(most: u32) -> Self {
        Self {
            most,
            to_try: AdaptiveBudget::backing_off(TRIALS, PAUSE, LONGEST_PAUSE),
            slept: AtomicU32::new(0),
            trial: AtomicU32::new(0),
        }
    }

    /// The time when a sleep begins, if it matters how long it takes.
    #[inline]
    pub(crate) fn sleeps(&self) -> Option<Instant> {
        (self.most > 0).then(Instant::now)
    }

    /// What was waited for has ended a sleep.
    pub(crate) fn slept(&self, time: Duration) {
        let time = u32::try_from(time.as_nanos()).unwrap_or(u32::MAX);
        let short = if time < self.most { time.max(1) } else { 0 };
        self.slept.store(short, Ordering::Relaxed);
    }

    /// Whether a trial is under way.
    #[inline]
    pub(crate) fn is_trying(&self) -> bool {
        self.trial.load(Ordering::Relaxed) > 0
    }

    /// A wait was short. Tells whether that ends a trial, which has paid.
    #[inline]
    pub(crate) fn keep(&self) -> bool {
        let trial = self.trial.load(Ordering::Relaxed);
        trial > 0 && self.go_on(trial - 1)
    }

    #[cold]
    fn go_on(&self, trial: u32) -> bool {
        self.trial.store(trial, Ordering::Relaxed);
        if trial == 0 {
            self.slept.store(0, Ordering::Relaxed);
            self.to_try.pay_off();
        }
        trial == 0
    }

    /// A wait was not short: for how many nanoseconds to go on looking. `streak`: those before it were short.
    pub(crate) fn lose(&self, streak: bool) -> u64 {
        self.trial.store(0, Ordering::Relaxed);
        let look = match self.slept.load(Ordering::Relaxed) {
            0 if streak => FIRST,
            0 => return 0,
            slept => slept.saturating_mul(2).saturating_add(MARGIN),
        };
        let good = self.to_try.is_good();
        self.to_try.charge();
        if good { look.min(self.most).into() } else { 0 }
    }

    /// The long look has found what it waited for.
    pub(crate) fn found(&self) {
        self.trial.store(TRIAL, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    const MOST: u32 = 200_000;
    const SHORT: Duration = Duration::from_micros(30);

    /// How often in a row it looks longer, if that does not pay; and how often it then does not.
    fn tries(probe: &SpinProbe) -> (u32, u32) {
        let (mut tried, mut left_out) = (0, 0);
        while probe.lose(false) > 0 {
            tried += 1;
        }
        while probe.lose(false) == 0 {
            left_out += 1;
        }
        (tried, left_out)
    }

    #[test]
    fn without_a_bound_it_never_looks_longer() {
        let probe = SpinProbe::new(0);
        assert!(probe.sleeps().is_none());
        probe.slept(SHORT);
        assert_eq!([probe.lose(false), probe.lose(true)], [0; 2]);
    }

    #[test]
    fn only_a_short_sleep_is_worth_a_longer_look() {
        let probe = SpinProbe::new(MOST);
        assert_eq!(probe.lose(false), 0);
        probe.slept(SHORT);
        assert_eq!(probe.lose(false), 80_000);
        probe.slept(Duration::from_micros(150));
        assert_eq!(probe.lose(false), u64::from(MOST));
        probe.slept(Duration::from_millis(1));
        assert_eq!(probe.lose(false), 0);
        probe.slept(Duration::ZERO);
        assert_eq!(probe.lose(false), u64::from(MARGIN) + 2);
    }

    #[test]
    fn the_end_of_a_streak_is_worth_one_as_well() {
        let probe = SpinProbe::new(MOST);
        assert_eq!(probe.lose(true), u64::from(FIRST));
    }

    #[test]
    fn pauses_get_longer_while_trials_fail() {
        let probe = SpinProbe::new(MOST);
        probe.slept(SHORT);
        assert_eq!(tries(&probe), (TRIALS, PAUSE - 1));
        // The look that ended the pause was the first of the next trials.
        for pause in [2, 4, 8] {
            assert_eq!(tries(&probe), (TRIALS - 1, pause * PAUSE - 1));
        }
        for _ in 0..20 {
            tries(&probe);
        }
        assert_eq!(tries(&probe).1, LONGEST_PAUSE - 1);
    }

    #[test]
    fn a_trial_that_is_broken_off_does_not_pay() {
        let probe = SpinProbe::new(MOST);
        probe.slept(SHORT);
        for _ in 0..TRIALS {
            assert!(probe.lose(false) > 0);
            probe.found();
            for _ in 1..TRIAL {
                assert!(probe.is_trying() && !probe.keep());
            }
        }
        assert_eq!(probe.lose(false), 0);
        assert!(!probe.is_trying());
    }

    #[test]
    fn a_trial_that_pays_is_soon_made_again() {
        let probe = SpinProbe::new(MOST);
        probe.slept(SHORT);
        for _ in 0..5 {
            tries(&probe);
        }
        probe.found();
        assert_eq!((1..=TRIAL).find(|_| probe.keep()), Some(TRIAL));
        assert!(!probe.is_trying() && !probe.keep());
        assert_eq!(probe.lose(false), 0, "that sleep is forgotten");
        probe.slept(SHORT);
        assert_eq!(tries(&probe), (TRIALS, PAUSE - 1));
    }
}
