//! Spinning with sense: bounded, learned, and off where it cannot help.
//!
//! A hand-over between two running cores takes about 0.1 µs, one through the scheduler 5 to 40 µs. So a thread that is about
//! to sleep first looks for a while whether what it waits for is already on its way, for no longer than a wake-up would cost.
//! How long is learned: a [`Patience`] is full after looking was rewarded and dwindles while it is not. Two ends that both
//! sleep would never learn that they could be quick, each being asleep when the other comes; so every so often one looks for
//! the full time nevertheless. A process that may use one CPU only (a machine or a cgroup of one, or all its threads bound to the
//! same one) never spins, as the other end cannot run meanwhile.

#![forbid(unsafe_code)]

use std::{
    fs, hint,
    num::NonZeroUsize,
    path::Path,
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use super::{AtomicU32, Ordering};

/// Looks before a lock holder is taken to have been descheduled.
const LOCK_LOOKS: u32 = 64;
/// Looks and yields before it is taken to wait for our own priority.
const LOCK_YIELDS: u32 = 1024;

/// The most that can be saved up.
const CREDIT: u32 = 128;
/// What is earned when looking was rewarded. In vain it costs one.
const REWARD: u32 = 8;
/// After so many waits without credit it is granted all of it, to try again.
const REST: u32 = 64 * CREDIT;
/// About 50 ns, where the pause instruction takes 10.
const HEAD_START: u32 = 5;
/// How long a wait without credit looks: a fraction of what it has with.
const LEAST: u32 = 16;

/// How long it has recently paid to look before sleeping. Shared by all who wait for the same thing.
#[derive(Debug)]
pub(crate) struct Patience {
    nanoseconds: u32,
    credit: AtomicU32,
    /// Waits without credit.
    rested: AtomicU32,
}

impl Patience {
    pub(crate) const fn new(nanoseconds: u32) -> Self {
        Self {
            nanoseconds,
            credit: AtomicU32::new(CREDIT),
            rested: AtomicU32::new(0),
        }
    }
}

/// Lets the other end have the cache line that was handed to it, when it is awake and can be expected to give it back soon.
///
/// To look at once would take the line away from the one who is about to write to it, which costs two transfers more (measured: 420 ns
/// a round trip, and 265 so). No reply can be there earlier: two transfers take more than 100 ns.
#[inline]
pub(crate) fn head_start() {
    if parallel() {
        (0..HEAD_START).for_each(|_| hint::spin_loop());
    }
}

/// Looks at `ready` until it holds or patience runs out; tells which.
#[inline]
pub(crate) fn spin_until(patience: &Patience, ready: impl Fn() -> bool) -> bool {
    ready() || (patience.nanoseconds > 0 && parallel() && spin(patience, ready))
}

fn spin(patience: &Patience, ready: impl Fn() -> bool) -> bool {
    // Relaxed, here and below: hints, which order nothing. Of two who learn at once one may lose its lesson.
    let credit = patience.credit.load(Ordering::Relaxed);
    let most = patience.nanoseconds * looks_per_microsecond() / 1000;
    let looks = if credit > 0 { most } else { most / LEAST };
    for _ in 0..looks {
        hint::spin_loop();
        if ready() {
            if credit < CREDIT {
                let earned = (credit + REWARD).min(CREDIT);
                patience.credit.store(earned, Ordering::Relaxed);
            }
            return true;
        }
    }
    if credit > 0 {
        patience.credit.store(credit - 1, Ordering::Relaxed);
    } else {
        let rested = patience.rested.load(Ordering::Relaxed) + 1;
        patience.rested.store(rested % REST, Ordering::Relaxed);
        if rested == REST {
            patience.credit.store(CREDIT, Ordering::Relaxed);
        }
    }
    false
}

/// How fast this machine looks: the pause instruction takes 10 ns on some, 50 on others. Measured once.
fn looks_per_microsecond() -> u32 {
    static LOOKS: OnceLock<u32> = OnceLock::new();
    const TRIAL: u32 = 256;
    *LOOKS.get_or_init(|| {
        let trial = || {
            let start = Instant::now();
            (0..TRIAL).for_each(|_| hint::spin_loop());
            start.elapsed().as_nanos()
        };
        // The quickest: the thread may be descheduled in between.
        let quickest = (0..4).map(|_| trial()).min().unwrap_or(0).max(1);
        u32::try_from(u128::from(TRIAL) * 1000 / quickest).map_or(1, |looks| looks.clamp(1, 1000))
    })
}

/// One step of waiting for a lock bit that is held for a few instructions; `looks` counts the steps.
#[inline]
pub(crate) fn lock_pause(looks: &mut u32) {
    *looks += 1;
    match *looks {
        0..LOCK_LOOKS if parallel() => hint::spin_loop(),
        // The holder was descheduled within those few instructions: only running it helps.
        0..LOCK_YIELDS => thread::yield_now(),
        // A thread of higher real-time priority yields to nobody but its equals.
        _ => thread::sleep(Duration::from_micros(50)),
    }
}

/// Whether two threads of this process can run at the same time, as it was when it was first asked.
fn parallel() -> bool {
    static PARALLEL: OnceLock<bool> = OnceLock::new();
    *PARALLEL.get_or_init(|| {
        // What one thread may use, or less if a cgroup limits the process.
        let here = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        here > 1 || bound_apart()
    })
}

/// Whether this thread is bound to one CPU while others of the process may use another one.
///
/// On Linux, where `/proc` tells. Elsewhere what the asking thread may use is taken for what all may.
fn bound_apart() -> bool {
    let cpus = |status: &Path| {
        let status = fs::read_to_string(status).ok()?;
        let list = status
            .lines()
            .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
        Some(list.trim().to_owned())
    };
    let Some(here) = cpus(Path::new("/proc/thread-self/status")) else {
        return false;
    };
    // More than one here: then it is a cgroup that limits the process to one at a time.
    let bound = here.parse::<usize>().is_ok();
    let others = fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten();
    bound
        && others
            .filter_map(|task| cpus(&task.path().join("status")))
            .any(|there| there != here)
}
