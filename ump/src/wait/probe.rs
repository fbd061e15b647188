//! Detects that two ends wake each other in turn, and brings both to wait awake.
//!
//! # The slow mode
//!
//! Once both ends of a quick exchange are asleep, they remain so. The peer wakes an end, which does
//! its work of 0.1 µs and is asleep again before the peer has got up. Getting up takes 5 to 60 µs.
//! In a virtual machine it takes nearer to 60 µs, because the CPU that has to be woken was given
//! back to the host. The spin of 20 µs that usually comes before a sleep is then always too short.
//! The slow mode has two forms. (They were observed with `perf sched timehist`, two CPUs, and a
//! task that sends requests to a thread. With each wake-up a multi-threaded executor also wakes a
//! worker, which finds nothing to do.)
//!
//! - *Apart*: each end runs on a CPU of its own. Each request costs two wake-ups of an idle CPU,
//!   some 70 µs.
//! - *Stacked*: both ends run on one CPU, in turns of 5 µs, although the other CPU is idle. (A
//!   wake-up puts a thread where it last ran unless another CPU is known to be idle, and a halted
//!   virtual CPU counts as preempted.) Spinning cannot help, because the other end cannot run
//!   meanwhile. The load balancer moves one end after some ticks, but only if both ends are ready
//!   to run when it checks, that is, if neither sleeps.
//!
//! # The way out
//!
//! *Stacked* ends yield the CPU to each other instead of falling asleep: see `spin`. A request then
//! takes 4 µs, and the load balancer moves the ends apart after some 20 ms.
//!
//! Ends that are *apart* need a spin that is long enough to see the other end getting up. The
//! length of earlier sleeps shows how long that is: a spin of the same length would have saved a
//! sleep that was **short**. So after a short sleep (or at the end of a streak of short waits) a
//! thread spins once for twice as long. This alone saves nothing: it burns the time in which the
//! thread slept before. It pays off because from then on both ends are awake. So the long spin is a
//! **trial**. The trial pays off only if the following waits are short, [`TRIAL`] times in a row.
//! If they are not, the thread tries a few times more, and then after pauses that become longer and
//! longer. So a caller that sends a request every 50 µs, or has a handler that takes that long, is
//! left alone. Only threads make trials; a spinning task would keep other tasks from running. One
//! end that is awake is enough for the other end to find it awake.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use crate::{
    sync::{AtomicU32, Ordering},
    wait::budget::AdaptiveBudget,
};

/// The number of trials in a row.
const TRIALS: u32 = 4;
/// The initial number of sleeps without a trial after that.
const PAUSE: u32 = 32;
/// The maximum number of sleeps without a trial.
const LONGEST_PAUSE: u32 = 8192;
/// The number of waits that have to be short for a trial to pay off.
const TRIAL: u32 = 16;
/// The time in nanoseconds by which a long spin exceeds twice the last sleep.
const MARGIN: u32 = 20_000;
/// The time in nanoseconds of a long spin at the end of a streak, when no last sleep is known.
const FIRST: u32 = 100_000;

/// Tracks whether the two ends are in step, as seen from one of them. All waiters for the same
/// thing share it.
#[derive(Debug)]
pub(crate) struct SpinProbe {
    /// The maximum time of a long spin in nanoseconds. A shorter sleep counts as short. Zero: there
    /// are no trials.
    most: u32,
    /// Whether a trial is worthwhile.
    to_try: AdaptiveBudget,
    /// The time of the last sleep in nanoseconds if it was short, otherwise zero.
    slept: AtomicU32,
    /// The number of waits that still have to be short. Zero: no trial is under way.
    trial: AtomicU32,
}

// ORDERING: Relaxed for every operation of this type: the fields are hints and guard no data.
impl SpinProbe {
    pub(crate) const fn new(most: u32) -> Self {
        Self {
            most,
            to_try: AdaptiveBudget::backing_off(TRIALS, PAUSE, LONGEST_PAUSE),
            slept: AtomicU32::new(0),
            trial: AtomicU32::new(0),
        }
    }

    /// Returns the time at which a sleep begins, if its length matters.
    #[inline]
    pub(crate) fn sleeps(&self) -> Option<Instant> {
        (self.most > 0).then(Instant::now)
    }

    /// Records the length of a sleep that ended because the awaited event occurred.
    pub(crate) fn slept(&self, time: Duration) {
        let time = u32::try_from(time.as_nanos()).unwrap_or(u32::MAX);
        let short = if time < self.most { time.max(1) } else { 0 };
        self.slept.store(short, Ordering::Relaxed);
    }

    /// Returns whether a trial is under way.
    #[inline]
    pub(crate) fn is_trying(&self) -> bool {
        self.trial.load(Ordering::Relaxed) > 0
    }

    /// Records a short wait. Returns whether it completes a trial, which then has paid off.
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

    /// Records a wait that was not short, and returns for how many nanoseconds to go on spinning.
    /// `streak` tells whether the waits before it were short.
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

    /// Begins a trial: the long spin has found the awaited event.
    pub(crate) fn found(&self) {
        self.trial.store(TRIAL, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    const MOST: u32 = 200_000;
    const SHORT: Duration = Duration::from_micros(30);

    /// Returns how many long spins in a row there are if none pays off, and how many waits then go
    /// without one.
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
        // The spin that ended the pause was the first of the next trials.
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
