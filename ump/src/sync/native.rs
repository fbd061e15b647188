//! The primitives of a real program.

#![forbid(unsafe_code)]

use std::{
    cell, fs, hint,
    num::NonZeroUsize,
    path::Path,
    sync::atomic::AtomicU8,
    thread,
    time::{Duration, Instant},
};

/// The `Arc` of wakers, and whether this thread panics.
pub(crate) use std::{sync::Arc as WakerArc, thread::panicking};

/// Declares thread-local statics that are initialised at compile time, so that reading one is a
/// single instruction.
macro_rules! of_each_thread {
    ($($(#[$attr:meta])* static $name:ident: $type:ty = $init:expr;)+) => {
        std::thread_local! { $($(#[$attr])* static $name: $type = const { $init };)+ }
    };
}
pub(crate) use of_each_thread;

pub(crate) use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    thread::{Thread, current, park},
};

pub(crate) use parking_lot::{Mutex, MutexGuard};

/// `std::cell::UnsafeCell` behind the part of loom's interface that the crate uses, so that one
/// source serves both.
#[derive(Debug)]
pub(crate) struct UnsafeCell<T>(cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(cell::UnsafeCell::new(value))
    }

    /// Gives access for reading. The caller guarantees that no other thread writes.
    #[inline]
    pub(crate) fn with<U>(&self, f: impl FnOnce(*const T) -> U) -> U {
        f(self.0.get())
    }

    /// Gives access for writing. The caller guarantees that there is no other access.
    #[inline]
    pub(crate) fn with_mut<U>(&self, f: impl FnOnce(*mut T) -> U) -> U {
        f(self.0.get())
    }
}

/// Parks until the thread is unparked or `deadline` has passed. Returns whether the deadline has
/// passed.
///
/// May return early without a reason, like `std::thread::park`.
pub(crate) fn park_until(deadline: Option<Instant>) -> bool {
    let Some(deadline) = deadline else {
        park();
        return false;
    };
    let left = deadline.saturating_duration_since(Instant::now());
    if !left.is_zero() {
        thread::park_timeout(left);
    }
    Instant::now() >= deadline
}

/// The number of steps before a lock holder counts as descheduled.
const LOCK_LOOKS: u32 = 64;

/// The number of steps before a lock holder counts as waiting for this thread's priority.
const LOCK_YIELDS: u32 = 1024;

/// Makes one step of waiting for a lock bit that is held for a few instructions. `looks` counts the
/// steps.
#[inline]
pub(crate) fn lock_pause(looks: &mut u32) {
    *looks += 1;
    match *looks {
        0..LOCK_LOOKS if parallel() => hint::spin_loop(),
        // The holder was descheduled within those few instructions: only running it helps.
        0..LOCK_YIELDS => thread::yield_now(),
        // A thread of higher real-time priority yields only to threads of its own priority.
        _ => thread::sleep(Duration::from_micros(50)),
    }
}

/// Returns whether two threads of this process can run at the same time, as it was at the first
/// call.
#[inline]
pub(crate) fn parallel() -> bool {
    const ALONE: u8 = 1;
    const PARALLEL: u8 = 2;
    /// Zero: not known yet.
    static KNOWN: AtomicU8 = AtomicU8::new(0);
    // ORDERING: Relaxed, also for the store below: the number guards no other data. Each thread
    // that reads zero finds the answer by itself.
    match KNOWN.load(Ordering::Relaxed) {
        0 => {
            let parallel = can_run_in_parallel();
            KNOWN.store(if parallel { PARALLEL } else { ALONE }, Ordering::Relaxed);
            parallel
        }
        known => known == PARALLEL,
    }
}

#[cold]
fn can_run_in_parallel() -> bool {
    // The number of CPUs that this thread may use, or less if a cgroup limits the process.
    let here = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    here > 1 || bound_apart()
}

/// Returns whether this thread is bound to one CPU while other threads of the process may use
/// another one.
///
/// Only Linux tells, by `/proc`. On other systems the CPUs of the calling thread are taken for
/// those of all threads.
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
    // If there is more than one CPU here, a cgroup limits the process to one at a time.
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
