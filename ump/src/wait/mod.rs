//! Waiting of threads and tasks: wait queues, wakers, and how long a waiter stays awake before it
//! sleeps.

#[cfg(not(any(loom, shuttle)))]
mod budget;
#[cfg(loom)]
mod loom;
#[cfg(not(any(loom, shuttle)))]
mod probe;
#[cfg(shuttle)]
mod shuttle;
#[cfg(not(any(loom, shuttle)))]
mod spin;
pub(crate) mod wait_queue;
pub(crate) mod wait_set;
pub(crate) mod waiter;
#[cfg(not(any(loom, shuttle)))]
mod yield_now;

#[cfg(loom)]
pub(crate) use self::loom::*;
#[cfg(shuttle)]
pub(crate) use self::shuttle::*;
#[cfg(not(any(loom, shuttle)))]
pub(crate) use {
    spin::{SleepStart, SpinPolicy, pause_for_peer, spin_until},
    yield_now::{YieldPolicy, YieldState},
};

/// The policies by which the waiters for one thing stay awake.
#[derive(Debug)]
pub(crate) struct WaitPolicy {
    /// Spinning of threads.
    pub(crate) threads: SpinPolicy,
    /// Spinning of tasks within a poll, for a peer thread that is awake.
    pub(crate) tasks: SpinPolicy,
    /// Yielding of tasks between polls.
    pub(crate) yields: YieldPolicy,
}

impl WaitPolicy {
    /// Creates the policies of threads, and of tasks within a poll. The first number of each pair
    /// is the time in nanoseconds for which a waiter spins. The second is the additional time in
    /// which both ends get to wait awake, or remain so.
    pub(crate) const fn new(threads: [u32; 2], tasks: [u32; 2]) -> Self {
        let [threads, long] = threads;
        Self {
            threads: SpinPolicy::of_thread(threads, long),
            tasks: SpinPolicy::of_task(tasks[0], tasks[1]),
            yields: YieldPolicy::new(threads),
        }
    }
}
