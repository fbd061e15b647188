//! How threads and tasks wait: who is to be woken, and how long it pays to stay awake.

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
    spin::{SpinPolicy, pause_for_peer, spin_until},
    yield_now::{YieldPolicy, YieldState},
};

/// How those wait awake who wait for the same thing.
#[derive(Debug)]
pub(crate) struct WaitPolicy {
    pub(crate) threads: SpinPolicy,
    /// Within a poll, for a thread that is awake at the other end.
    pub(crate) tasks: SpinPolicy,
    /// Between polls.
    pub(crate) yields: YieldPolicy,
}

impl WaitPolicy {
    /// For so many nanoseconds, and for so many more that bring two ends to wait awake, or keep them so: threads, and tasks within a poll.
    pub(crate) const fn new(threads: [u32; 2], tasks: [u32; 2]) -> Self {
        let [threads, long] = threads;
        Self {
            threads: SpinPolicy::of_thread(threads, long),
            tasks: SpinPolicy::of_task(tasks[0], tasks[1]),
            yields: YieldPolicy::new(threads),
        }
    }
}
