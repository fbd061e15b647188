//! Adaptive spinning before a thread sleeps: bounded, learned, and off where it cannot help.
//!
//! A hand-over between two running cores takes about 0.1 µs; one through the scheduler takes 5 to
//! 40 µs. So a waiter that is about to sleep first does two things in turn, as long as they pay
//! off:
//!
//! - It **spins** for a microsecond and checks whether the awaited event has occurred. In total it
//!   spins no longer than a wake-up would cost. A process that can use only one CPU (a machine or a
//!   cgroup of one, or all its threads bound to the same one) does not spin, because the other end
//!   cannot run meanwhile.
//! - It **yields** its CPU. If the awaited event depends on a thread that is ready but has no CPU,
//!   a yield costs less than falling asleep and being woken, and further spinning would be a waste.
//!   (Measured on one CPU: 1,090 ns a round trip, and 1,500 by `park` and `unpark`. Measured with
//!   64 clients on two CPUs: 410 ns, and 2,500 without yielding.) If no other thread ran, the
//!   waiter goes on spinning. If other threads ran and the event has not occurred, the waiter soon
//!   sleeps. If the CPU was away for long, it went to an unrelated thread that computes, and the
//!   waiter does not yield it again for some time.
//!
//! The policy learns from the outcome whether each of the two pays off: each has an
//! [`AdaptiveBudget`], and is tried again after a rest. Two ends that both sleep would never learn
//! that they could be quick, because each is asleep when the other one wakes it. [`SpinProbe`]
//! brings them out of that state.
//!
//! Where a check is a system call, as for the data of a socket, a spin is bounded by its time, not
//! by the number of checks. (Measured with two threads that answer each other over a unix socket
//! and work for 5 µs each, on two virtual CPUs: 22 µs a round trip, and 76 by `poll` alone.)
//!
//! A task does less of both, because it keeps other tasks from running, and does it only where the
//! other end is awake. It spins for a microsecond, or for ten after a streak of quick replies (an
//! interrupt at the other end is no reason to fall asleep), and then yields its CPU once. After
//! that yield the awaited event has occurred only if the other end was ready on the same CPU: this
//! is the one case in which further spinning would be a waste, however long it lasts.

#![forbid(unsafe_code)]

use std::{
    hint,
    sync::atomic::AtomicU64,
    thread,
    time::{Duration, Instant},
};

use crate::{
    sync::{Ordering, parallel},
    wait::budget::AdaptiveBudget,
    wait::probe::SpinProbe,
};

/// The maximum number of points of a budget.
const BUDGET: u32 = 128;

/// The number of points that a successful attempt earns.
const REWARD: u32 = 8;

/// The number of refusals before an exhausted budget is refilled.
const REST: u32 = 64 * BUDGET;

/// The number of points that it costs to lose the CPU to an unrelated thread.
const FINE: u32 = 32;

/// The time in nanoseconds for which a waiter spins before it yields.
const SLICE: u64 = 1_000;

/// The divisor of a thread's spin if its budget is exhausted.
const SHORT: u64 = 16;

/// The divisor of a task's spin if its budget is exhausted. It is smaller than a thread's, because
/// a task does not yield then and a reply takes some 150 ns.
const SHORT_IN_TASK: u64 = 4;

/// The time in nanoseconds between two yields of a long spin.
const LONG_SLICE: u64 = 5_000;

/// The number of yields in vain before a task's budget is exhausted.
const TASK_YIELDS: u32 = 16;

/// The number of refusals before a task's budget is refilled for the first time.
const TASK_REST: u32 = 32;

/// The number of yields in vain, in which other threads ran, before a wait ends.
const YIELDS: u32 = 4;

/// The time below which a yield met no other thread.
const NOBODY: Duration = Duration::from_nanos(600);

/// The time above which a yield gave the CPU to an unrelated thread.
const STRANGER: Duration = Duration::from_millis(2);

/// The time above which a task's yield gave the CPU to an unrelated thread.
const STRANGER_TO_TASK: Duration = Duration::from_micros(200);

/// The number of pause instructions before the first check, while the other end has the cache line:
/// about 50 ns on a machine where the instruction takes 10 ns.
const HEAD_START: u32 = 5;

/// Tracks how long it has recently paid off to wait awake. All waiters for the same thing share it.
#[derive(Debug)]
pub(crate) struct SpinPolicy {
    /// The maximum time of a spin in nanoseconds. Zero: the waiter sleeps at once.
    nanoseconds: u32,
    /// The additional time in nanoseconds for which a task spins after a streak of quick replies.
    patient: u32,
    /// Whether the waiter is a task, within a poll.
    in_task: bool,
    /// Whether a check is a system call, which takes most of a microsecond.
    is_costly: bool,
    to_look: AdaptiveBudget,
    to_yield: AdaptiveBudget,
    probe: SpinProbe,
}

impl SpinPolicy {
    /// Creates the policy of threads. A thread may spin for `long` nanoseconds to get in step with
    /// the other end.
    pub(crate) const fn of_thread(nanoseconds: u32, long: u32) -> Self {
        Self {
            nanoseconds,
            patient: 0,
            in_task: false,
            is_costly: false,
            to_look: AdaptiveBudget::new(BUDGET, REST),
            to_yield: AdaptiveBudget::new(BUDGET, REST),
            probe: SpinProbe::new(long),
        }
    }

    /// Creates the policy of threads whose checks are system calls.
    pub(crate) const fn of_costly_checks(nanoseconds: u32, long: u32) -> Self {
        Self {
            is_costly: true,
            ..Self::of_thread(nanoseconds, long)
        }
    }

    /// Creates the policy of tasks. A spinning task keeps other tasks from running.
    pub(crate) const fn of_task(nanoseconds: u32, patient: u32) -> Self {
        Self {
            patient,
            in_task: true,
            to_yield: AdaptiveBudget::backing_off(TASK_YIELDS, TASK_REST, REST),
            ..Self::of_thread(nanoseconds, 0)
        }
    }

    /// Records that a thread falls asleep because it waited awake in vain.
    #[inline]
    pub(crate) fn sleeps(&self) -> SleepStart {
        SleepStart(self.probe.sleeps())
    }

    /// Records that the awaited event has ended the sleep.
    #[inline]
    pub(crate) fn woken(&self, SleepStart(since): SleepStart) {
        if let Some(since) = since {
            self.probe.slept(since.elapsed());
        }
    }

    /// Checks for so long. Returns whether the event has occurred.
    fn look(&self, nanoseconds: u64, ready: impl Fn() -> bool) -> bool {
        if self.is_costly {
            let start = Instant::now();
            let time = Duration::from_nanos(nanoseconds);
            loop {
                if ready() {
                    return true;
                }
                if start.elapsed() >= time {
                    return false;
                }
            }
        }
        let looks = nanoseconds * looks_per_microsecond() / 1000;
        (0..looks).any(|_| {
            hint::spin_loop();
            ready()
        })
    }

    /// Records that the event occurred during a spin.
    #[inline]
    fn seen(&self) {
        self.to_look.reward(REWARD);
        if self.probe.keep() {
            self.to_look.pay_off();
        }
    }
}

/// The instant at which a thread fell asleep, if it matters.
#[derive(Debug)]
pub(crate) struct SleepStart(Option<Instant>);

/// Leaves the cache line that was handed over to the other end, if that end is awake and is
/// expected to give the line back soon.
///
/// An immediate check would take the line away from the peer that is about to write to it, which
/// costs two more transfers (measured: 420 ns a round trip, and 265 ns with the pause). No reply
/// can arrive earlier: two transfers take more than 100 ns.
#[inline]
pub(crate) fn pause_for_peer() {
    if parallel() {
        (0..HEAD_START).for_each(|_| hint::spin_loop());
    }
}

/// Waits awake until `ready` holds or the spin policy gives up. Returns whether `ready` holds.
#[inline]
pub(crate) fn spin_until(policy: &SpinPolicy, ready: impl Fn() -> bool) -> bool {
    ready() || (policy.nanoseconds > 0 && wait_awake(policy, ready))
}

fn wait_awake(policy: &SpinPolicy, ready: impl Fn() -> bool) -> bool {
    let parallel = parallel();
    let in_task = policy.in_task;
    let hopeful = parallel && (policy.to_look.is_good() || policy.probe.is_trying());
    let short = if in_task { SHORT_IN_TASK } else { SHORT };
    let mut left = u64::from(policy.nanoseconds);
    let mut vain = 0;
    loop {
        let slice = SLICE.min(left);
        left -= slice;
        if parallel && policy.look(if hopeful { slice } else { slice / short }, &ready) {
            policy.seen();
            return true;
        }
        let mut last = left == 0 || !hopeful;
        if policy.to_yield.is_good() {
            let limit = if in_task { STRANGER_TO_TASK } else { STRANGER };
            match yield_cpu(limit, &ready) {
                Yielded::Seen if parallel => {
                    policy.seen();
                    return true;
                }
                Yielded::Seen | Yielded::Rewarded => {
                    policy.to_look.charge();
                    if in_task {
                        policy.to_yield.pay_off();
                    } else {
                        policy.to_yield.reward(REWARD);
                    }
                    return true;
                }
                Yielded::Nobody if in_task => policy.to_yield.charge(),
                Yielded::Nobody => {}
                Yielded::Vain => {
                    policy.to_yield.charge();
                    vain += 1;
                    last |= vain == YIELDS;
                }
                Yielded::Stranger => {
                    if in_task {
                        policy.to_yield.give_up();
                    } else {
                        policy.to_yield.fine(FINE);
                    }
                    return ready();
                }
            }
        } else {
            policy.to_yield.charge();
        }
        if last {
            return parallel && look_on(policy, &ready);
        }
    }
}

/// Records a spin in vain, and goes on spinning if that may pay off. Returns whether the event has
/// occurred.
#[cold]
fn look_on(policy: &SpinPolicy, ready: impl Fn() -> bool) -> bool {
    let streak = policy.to_look.is_full();
    policy.to_look.charge();
    if policy.in_task {
        let found = streak && policy.look(policy.patient.into(), &ready);
        if streak && !found {
            policy.to_look.fine(FINE);
        }
        return found;
    }
    let mut left = policy.probe.lose(streak);
    while left > 0 {
        let slice = LONG_SLICE.min(left);
        left -= slice;
        let found = policy.look(slice, &ready)
            || match yield_cpu(STRANGER, &ready) {
                Yielded::Seen | Yielded::Rewarded => true,
                Yielded::Nobody | Yielded::Vain => false,
                Yielded::Stranger => return ready(),
            };
        if found {
            policy.probe.found();
            return true;
        }
    }
    false
}

enum Yielded {
    /// The event has occurred, and no other thread wanted the CPU: a spin would have found it.
    Seen,
    /// The event has occurred.
    Rewarded,
    /// No other thread wanted the CPU.
    Nobody,
    /// Other threads ran.
    Vain,
    /// Other threads ran for long.
    Stranger,
}

#[cold]
fn yield_cpu(stranger: Duration, ready: impl Fn() -> bool) -> Yielded {
    let start = Instant::now();
    thread::yield_now();
    match start.elapsed() {
        away if away > stranger => Yielded::Stranger,
        away if ready() => {
            if away < NOBODY {
                Yielded::Seen
            } else {
                Yielded::Rewarded
            }
        }
        away if away < NOBODY => Yielded::Nobody,
        _ => Yielded::Vain,
    }
}

/// Returns how many checks this machine makes in a microsecond: the pause instruction takes 10 ns
/// on some machines, 50 ns on others. The number is measured once, or by each of the threads that
/// ask for it at once. No thread waits here for another one, which may not exist in a forked child.
fn looks_per_microsecond() -> u64 {
    /// Zero: not measured yet.
    static LOOKS: AtomicU64 = AtomicU64::new(0);
    // ORDERING: Relaxed, also for the store below: the number guards no other data.
    match LOOKS.load(Ordering::Relaxed) {
        0 => {
            let looks = measured_looks();
            LOOKS.store(looks, Ordering::Relaxed);
            looks
        }
        known => known,
    }
}

/// Measures the number of checks in a microsecond; it is at least one.
#[cold]
fn measured_looks() -> u64 {
    const TRIAL: u32 = 256;
    let trial = || {
        let start = Instant::now();
        (0..TRIAL).for_each(|_| hint::spin_loop());
        start.elapsed().as_nanos()
    };
    // The minimum of several trials: the thread may be descheduled during one of them.
    let quickest = (0..4).map(|_| trial()).min().unwrap_or(0).max(1);
    u64::try_from(u128::from(TRIAL) * 1000 / quickest).map_or(1, |looks| looks.clamp(1, 1000))
}
