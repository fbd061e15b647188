//! Deadlines for futures: one thread per process sleeps until the nearest deadline.
//!
//! Without a runtime, nothing wakes a future when its deadline passes. The thread `ump-timer` does.
//! The first future with a deadline starts it. It sleeps until the earliest timer (without a limit
//! if there is none), and costs nothing otherwise. It wakes one task after the other, so a waker
//! that blocks delays the deadlines of all. Blocking callers do not need it: they sleep with a
//! time-out of their own.
//!
//! A forked child does not have the thread of its parent. It has a [`TimerQueue`] of its own, and a
//! timer that was armed before the fork is armed anew when it is polled in the child. The thread
//! sleeps by `park` rather than by a condition variable of `parking_lot`. The latter would leave
//! the thread in the table of sleepers that the child inherits, by an address on a stack that the
//! child uses again.

#![forbid(unsafe_code)]

use std::{
    collections::BTreeMap,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    thread::{self, Thread},
    time::Instant,
};

use crate::{
    sync::fork::{PerProcess, generation},
    wait::waiter::Waiter,
};

/// Distinguishes timers of the same instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Id(u64);

impl Id {
    /// The number of low bits for the timer's number. The generation of its process is in the bits
    /// above.
    const NUMBER_BITS: u32 = 56;

    fn generation(self) -> u64 {
        self.0 >> Self::NUMBER_BITS
    }

    fn is_of_parent(self) -> bool {
        self.generation() != u64::from(generation())
    }
}

static TIMER_QUEUE: PerProcess<TimerQueue> = PerProcess::new();

/// The timers of a process.
#[derive(Default)]
struct TimerQueue(Mutex<State>);

#[derive(Default)]
struct State {
    /// The armed timers.
    timers: BTreeMap<(Instant, Id), Waiter>,
    /// The number of the latest timer.
    last: u64,
    /// The timer thread of this process, if it has been started.
    thread: Option<Thread>,
    /// The sleep of the timer thread. Before it sleeps, the thread looks at the timers under the
    /// lock in which it sets this.
    sleep: Sleep,
}

#[derive(Clone, Copy, Default)]
enum Sleep {
    /// The thread is awake, and looks at the timers before it sleeps.
    #[default]
    Not,
    /// The thread sleeps until this instant.
    Until(Instant),
    /// The thread sleeps until there is a timer.
    ForEver,
}

impl Sleep {
    fn is_longer_than(self, at: Instant) -> bool {
        match self {
            Self::Not => false,
            Self::Until(until) => at < until,
            Self::ForEver => true,
        }
    }
}

/// Wakes the task that polls it once `at` has passed. Dropping it cancels the wake-up.
#[derive(Debug)]
pub(crate) struct SystemTimer {
    at: Instant,
    /// The timer's identity, as small as possible: it is in every request future.
    id: Id,
}

impl SystemTimer {
    /// Creates a timer for `at`. Nothing is armed before the first poll.
    ///
    /// # Errors
    /// The system refused the timer thread.
    pub(crate) fn new(at: Instant) -> io::Result<Self> {
        let id = TimerQueue::of_process()?.next_id()?;
        Ok(Self { at, id })
    }

    /// Returns `Ready` once the instant has passed. Otherwise the timer wakes the task of `cx` at
    /// that instant.
    ///
    /// # Errors
    /// The timer is polled in a forked child, and the system refused the timer thread.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if Instant::now() >= self.at {
            return Poll::Ready(Ok(()));
        }
        if self.id.is_of_parent() {
            *self = Self::new(self.at)?;
        }
        // A waker is user code: it is cloned before the lock is taken, and dropped after it is
        // released.
        let waiter = Waiter::task(cx.waker());
        let mut state = TimerQueue::of_process()?.lock();
        let replaced = state.timers.insert((self.at, self.id), waiter);
        let thread = if state.sleep.is_longer_than(self.at) {
            // The state changes, so that no other thread unparks the timer thread as well.
            state.sleep = Sleep::Not;
            state.thread.clone()
        } else {
            None
        };
        drop(state);
        if let Some(thread) = thread {
            thread.unpark();
        }
        drop(replaced);
        Poll::Pending
    }
}

impl Drop for SystemTimer {
    fn drop(&mut self) {
        // A timer that the parent armed stays in the child's copy of the queue. A thread that does
        // not exist in the child may hold the lock of that copy.
        if self.id.is_of_parent() {
            return;
        }
        if let Ok(queue) = TimerQueue::of_process() {
            let waiter = queue.lock().timers.remove(&(self.at, self.id));
            drop(waiter);
        }
    }
}

impl TimerQueue {
    fn of_process() -> io::Result<&'static Self> {
        TIMER_QUEUE.get(Self::default)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No user code runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the identity of a new timer, after the timer thread has been started.
    fn next_id(&'static self) -> io::Result<Id> {
        let mut state = self.lock();
        if state.thread.is_none() {
            let thread = thread::Builder::new().name("ump-timer".into());
            let thread = thread.spawn(|| self.run())?;
            state.thread = Some(thread.thread().clone());
        }
        state.last += 1; // at one a nanosecond it lasts for two years
        Ok(Id(u64::from(generation()) << Id::NUMBER_BITS | state.last))
    }

    fn run(&self) {
        let mut state = self.lock();
        loop {
            state.sleep = Sleep::Not;
            let now = Instant::now();
            let first = state.timers.keys().next().map(|(at, _)| *at);
            match first {
                None => {
                    state.sleep = Sleep::ForEver;
                    drop(state);
                    thread::park();
                }
                Some(at) if at > now => {
                    state.sleep = Sleep::Until(at);
                    drop(state);
                    thread::park_timeout(at - now);
                }
                Some(_) => {
                    let (_, waiter) = state.timers.pop_first().expect("just seen");
                    drop(state);
                    // `wake` does not panic, whatever the task's waker does: all other deadlines
                    // depend on this thread.
                    waiter.wake();
                }
            }
            state = self.lock();
        }
    }
}
