//! Spinning with sense: bounded, learned, and off where it cannot help.
//!
//! A hand-over between two running cores takes about 0.1 µs, one through the scheduler 5 to 40 µs. So a thread that is about
//! to sleep first looks for a while whether what it waits for is already on its way. How long is learned: a
//! [`Patience`] grows when looking was rewarded and shrinks when it was not, between two bounds. A thread on a
//! machine (or in a cgroup, or with an affinity) of one CPU never spins, as the other end cannot run meanwhile.

use std::{hint, num::NonZeroUsize, sync::OnceLock, thread};

use super::{AtomicU32, Ordering};

/// Never less than this many looks: about 0.5 µs, enough to notice that the other end has become quick.
const LEAST: u32 = 16;
/// Never more than this many looks: about 10 µs, the price of a wake-up through the kernel.
const MOST: u32 = 256;
/// Looks before a lock holder is taken to have been descheduled.
const LOCK_LOOKS: u32 = 64;

/// How long it has recently paid to look before sleeping. Shared by all who wait for the same thing.
#[derive(Debug)]
pub(crate) struct Patience(AtomicU32);

impl Patience {
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(MOST))
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
    // Relaxed, here and below: a hint, which orders nothing. Two who learn at once may lose one lesson.
    let limit = patience.0.load(Ordering::Relaxed);
    for looks in 1..=limit {
        hint::spin_loop();
        if ready() {
            if looks > limit / 2 {
                patience.0.store((limit * 2).min(MOST), Ordering::Relaxed);
            }
            return true;
        }
    }
    patience.0.store((limit / 2).max(LEAST), Ordering::Relaxed);
    false
}

/// One step of waiting for a lock bit that is held for a few instructions; `looks` counts the steps.
#[inline]
pub(crate) fn lock_pause(looks: &mut u32) {
    *looks += 1;
    if *looks < LOCK_LOOKS && parallel() {
        hint::spin_loop();
    } else {
        // The holder was descheduled within those few instructions: only running it helps.
        thread::yield_now();
    }
}

/// Whether two threads of this process can run at the same time.
fn parallel() -> bool {
    static PARALLEL: OnceLock<bool> = OnceLock::new();
    *PARALLEL.get_or_init(|| thread::available_parallelism().map_or(1, NonZeroUsize::get) > 1)
}
