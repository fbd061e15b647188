//! Waiting with sense before a thread sleeps: bounded, learned, and off where it cannot help.
//!
//! A hand-over between two running cores takes about 0.1 µs, one through the scheduler 5 to 40 µs. So who is about to sleep first does two
//! things in turn, as long as they pay:
//!
//! - It **looks** for a microsecond whether what it waits for is on its way; all in all for no longer than a wake-up would cost.
//!   A process that may use one CPU only (a machine or a cgroup of one, or all its threads bound to the same one) does not, as the other
//!   end cannot run meanwhile.
//! - It **yields** its CPU. If what it waits for hangs on a thread that is ready but has no CPU, this costs less than falling asleep
//!   and being woken (measured on one CPU: 1,090 ns a round trip, by `park` and `unpark` 1,500; with 64 clients on two: 410 ns, without
//!   it 2,500), and looking on would be a waste. If nobody was there it goes on looking. If others ran and it was in vain, it sleeps soon.
//!   If the CPU was away for long, it went to a stranger that computes, and is not given away again for some time.
//!
//! Whether it pays is learned from what happened: each has an [`AdaptiveBudget`], and after a rest it is tried again. Two ends that both sleep would
//! never learn that they could be quick, each being asleep when the other comes: how they are brought out of that is in [`SpinProbe`].
//!
//! A task does less of both, as it keeps others from running, and only where the other end is awake. It looks for a microsecond, or
//! ten after a streak of quick replies (an interrupt at the other end is no reason to fall asleep), and then yields its CPU once. What it
//! waits for is then there only if the other end was ready on the same CPU: the one case in which to look on would be a waste
//! however long.

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

/// What can be saved up.
const BUDGET: u32 = 128;

const REWARD: u32 = 8;

/// After so many times without credit it is tried again.
const REST: u32 = 64 * BUDGET;

/// What it costs to lose the CPU to a stranger.
const FINE: u32 = 32;

/// It looks for so many nanoseconds before it yields.
const SLICE: u64 = 1_000;

/// Without credit it looks this much shorter; a task, which does not yield then, not so much: a reply takes some 150 ns.
const SHORT: u64 = 16;

const SHORT_IN_TASK: u64 = 4;

/// A long look yields so often.
const LONG_SLICE: u64 = 5_000;

/// So often a task yields in vain before it rests, and after so many waits it does again at first.
const TASK_YIELDS: u32 = 16;

const TASK_REST: u32 = 32;

/// So often it lets others run in vain.
const YIELDS: u32 = 4;

/// What came back sooner from yielding met nobody.
const NOBODY: Duration = Duration::from_nanos(600);

/// What came back later has been with a stranger.
const STRANGER: Duration = Duration::from_millis(2);

const STRANGER_TO_TASK: Duration = Duration::from_micros(200);

/// Looks left out while the other end has the cache line: about 50 ns, where the pause instruction takes 10.
const HEAD_START: u32 = 5;

/// How long it has recently paid to wait awake. Shared by all who wait for the same thing.
#[derive(Debug)]
pub(crate) struct SpinPolicy {
    /// Looks for so long at most. Zero: sleeps at once.
    nanoseconds: u32,
    /// Looks on for so long after a streak of quick replies, if it is a task.
    patient: u32,
    /// Whether it is a task that waits, within a poll.
    in_task: bool,
    to_look: AdaptiveBudget,
    to_yield: AdaptiveBudget,
    probe: SpinProbe,
}

impl SpinPolicy {
    /// For a thread, which may look for `long` to get in step with the other end.
    pub(crate) const fn of_thread(nanoseconds: u32, long: u32) -> Self {
        Self {
            nanoseconds,
            patient: 0,
            in_task: false,
            to_look: AdaptiveBudget::new(BUDGET, REST),
            to_yield: AdaptiveBudget::new(BUDGET, REST),
            probe: SpinProbe::new(long),
        }
    }

    /// For a task, which keeps others from running.
    pub(crate) const fn of_task(nanoseconds: u32, patient: u32) -> Self {
        Self {
            patient,
            in_task: true,
            to_yield: AdaptiveBudget::backing_off(TASK_YIELDS, TASK_REST, REST),
            ..Self::of_thread(nanoseconds, 0)
        }
    }

    /// Notes that a thread falls asleep, as it was in vain to wait awake.
    #[inline]
    pub(crate) fn sleeps(&self) -> SleepStart {
        SleepStart(self.probe.sleeps())
    }

    /// Notes that what it waited for has ended its sleep.
    #[inline]
    pub(crate) fn woken(&self, SleepStart(since): SleepStart) {
        if let Some(since) = since {
            self.probe.slept(since.elapsed());
        }
    }

    /// It was there within a look.
    #[inline]
    fn seen(&self) {
        self.to_look.reward(REWARD);
        if self.probe.keep() {
            self.to_look.pay_off();
        }
    }
}

/// Since when a thread sleeps.
#[derive(Debug)]
pub(crate) struct SleepStart(Option<Instant>);

/// Lets the other end have the cache line that was handed to it, when it is awake and can be expected to give it back soon.
///
/// To look at once would take the line away from the one who is about to write to it, which costs two transfers more (measured: 420 ns
/// a round trip, and 265 so). No reply can be there earlier: two transfers take more than 100 ns.
#[inline]
pub(crate) fn pause_for_peer() {
    if parallel() {
        (0..HEAD_START).for_each(|_| hint::spin_loop());
    }
}

/// Waits awake until `ready` holds or patience runs out; tells which.
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
        if parallel && look(if hopeful { slice } else { slice / short }, &ready) {
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

/// After a look in vain.
#[cold]
fn look_on(policy: &SpinPolicy, ready: impl Fn() -> bool) -> bool {
    let streak = policy.to_look.is_full();
    policy.to_look.charge();
    if policy.in_task {
        let found = streak && look(policy.patient.into(), &ready);
        if streak && !found {
            policy.to_look.fine(FINE);
        }
        return found;
    }
    let mut left = policy.probe.lose(streak);
    while left > 0 {
        let slice = LONG_SLICE.min(left);
        left -= slice;
        let found = look(slice, &ready)
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

fn look(nanoseconds: u64, ready: impl Fn() -> bool) -> bool {
    let looks = nanoseconds * looks_per_microsecond() / 1000;
    (0..looks).any(|_| {
        hint::spin_loop();
        ready()
    })
}

enum Yielded {
    /// What it waited for is there, and no other thread wanted the CPU: it would have been seen.
    Seen,
    /// What it waited for is there.
    Rewarded,
    /// No other thread wanted the CPU.
    Nobody,
    /// Others ran.
    Vain,
    /// Others ran for long.
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

/// How fast this machine looks: the pause instruction takes 10 ns on some, 50 on others. Measured once, or by each of those that ask for it at once:
/// nobody waits for another thread here, which in a forked child may not be there.
fn looks_per_microsecond() -> u64 {
    /// Zero: not known yet.
    static LOOKS: AtomicU64 = AtomicU64::new(0);
    // ORDERING: Relaxed, as there is nothing but the number.
    match LOOKS.load(Ordering::Relaxed) {
        0 => {
            let looks = measured_looks();
            LOOKS.store(looks, Ordering::Relaxed);
            looks
        }
        known => known,
    }
}

/// At least one.
#[cold]
fn measured_looks() -> u64 {
    const TRIAL: u32 = 256;
    let trial = || {
        let start = Instant::now();
        (0..TRIAL).for_each(|_| hint::spin_loop());
        start.elapsed().as_nanos()
    };
    // The quickest: the thread may be descheduled in between.
    let quickest = (0..4).map(|_| trial()).min().unwrap_or(0).max(1);
    u64::try_from(u128::from(TRIAL) * 1000 / quickest).map_or(1, |looks| looks.clamp(1, 1000))
}
