//! Spinning with sense: bounded, learned, and off where it cannot help.
//!
//! A hand-over between two running cores takes about 0.1 µs, one through the scheduler 5 to 40 µs. So a thread that is about
//! to sleep first looks for a while whether what it waits for is already on its way, for no longer than a wake-up would cost.
//! How long is learned: a [`Patience`] is full after looking was rewarded and dwindles while it is not. Two ends that both
//! sleep would never learn that they could be quick, each being asleep when the other comes; so every so often one looks for
//! the full time nevertheless. A process that may use one CPU only (a machine or a cgroup of one, or all its threads bound to the
//! same one) never spins, as the other end cannot run meanwhile.

#![forbid(unsafe_code)]

use std::{fs, hint, num::NonZeroUsize, path::Path, sync::OnceLock, thread, time::Duration};

use super::{AtomicU32, Ordering};

/// Looks when it has not paid for long: about 0.5 µs.
const LEAST: u32 = 16;
/// Looks at the very most: about 10 µs, the price of a wake-up through the kernel.
const MOST: u32 = 256;
/// One wait in so many is given the most, whatever was learned.
const PROBE: u32 = 32;
/// Looks before a lock holder is taken to have been descheduled.
const LOCK_LOOKS: u32 = 64;
/// Looks and yields before it is taken to wait for our own priority.
const LOCK_YIELDS: u32 = 1024;

/// How long it has recently paid to look before sleeping. Shared by all who wait for the same thing.
#[derive(Debug)]
pub(crate) struct Patience {
    looks: AtomicU32,
    /// Waits in vain since the last that was given the most.
    vain: AtomicU32,
}

impl Patience {
    pub(crate) const fn new() -> Self {
        Self {
            looks: AtomicU32::new(MOST),
            vain: AtomicU32::new(0),
        }
    }
}

/// Looks at `ready` until it holds or patience runs out; tells which.
pub(crate) fn spin_until(patience: &Patience, ready: impl Fn() -> bool) -> bool {
    if ready() {
        return true;
    }
    if !parallel() {
        return false;
    }
    // Relaxed, here and below: hints, which order nothing. Of two who learn at once one may lose its lesson.
    let learned = patience.looks.load(Ordering::Relaxed);
    let vain = patience.vain.load(Ordering::Relaxed);
    let probe = vain >= PROBE;
    let limit = if probe { MOST } else { learned };
    for _ in 0..limit {
        hint::spin_loop();
        if ready() {
            if learned < MOST {
                patience.looks.store(MOST, Ordering::Relaxed);
            }
            return true;
        }
    }
    patience
        .looks
        .store((learned - learned / 4).max(LEAST), Ordering::Relaxed);
    patience
        .vain
        .store(if probe { 0 } else { vain + 1 }, Ordering::Relaxed);
    false
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
