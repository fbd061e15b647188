//! Deadlines for futures: one thread per process that sleeps until the nearest one.
//!
//! A future without a runtime has nobody to wake it when its deadline passes. The thread `ump-timer` does it: it is
//! started by the first future that has a deadline, sleeps until the earliest timer (for ever when there is none),
//! and costs nothing otherwise. It wakes one task after the other, so a waker that blocks delays the deadlines of all. Blocking callers do not need it: they sleep with a time-out of their own.
//!
//! A forked child does not have the thread of its parent. It has a [`TimerQueue`] of its own, and a timer that was armed before the fork is armed
//! anew when it is polled there. The thread sleeps by `park` rather than by a condition variable of `parking_lot`: that would leave it in the table of
//! sleepers that the child inherits, by an address on a stack that is used again there.

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

/// Tells timers of the same instant apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Id(u64);

impl Id {
    /// The generation of its process is above the number.
    const NUMBER_BITS: u32 = 56;

    fn generation(self) -> u64 {
        self.0 >> Self::NUMBER_BITS
    }

    fn is_of_parent(self) -> bool {
        self.generation() != u64::from(generation())
    }
}

static TIMER_QUEUE: PerProcess<TimerQueue> = PerProcess::new();

/// That of a process.
#[derive(Default)]
struct TimerQueue(Mutex<State>);

#[derive(Default)]
struct State {
    timers: BTreeMap<(Instant, Id), Waiter>,
    /// The number of the latest timer.
    last: u64,
    /// That of this process, if it has been started.
    thread: Option<Thread>,
    /// What it sleeps for. It looks at the timers between its last look and its sleep, under the lock.
    sleep: Sleep,
}

#[derive(Clone, Copy, Default)]
enum Sleep {
    /// It is awake, and will look before it sleeps.
    #[default]
    Not,
    Until(Instant),
    /// Until there is a timer.
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

/// Wakes the task that polls it once `at` has passed. Dropping it takes it back.
#[derive(Debug)]
pub(crate) struct SystemTimer {
    at: Instant,
    /// As small as can be: it is in each future of a request.
    id: Id,
}

impl SystemTimer {
    /// A timer for `at`. Nothing is armed before the first poll.
    ///
    /// # Errors
    /// The system refused the thread.
    pub(crate) fn new(at: Instant) -> io::Result<Self> {
        let id = TimerQueue::of_process()?.next_id()?;
        Ok(Self { at, id })
    }

    /// Ready once the instant has passed; otherwise wakes the task of `cx` then.
    ///
    /// # Errors
    /// It is polled in a forked child, and the system refused the thread.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if Instant::now() >= self.at {
            return Poll::Ready(Ok(()));
        }
        if self.id.is_of_parent() {
            *self = Self::new(self.at)?;
        }
        // A waker is the user's code: cloned before the lock is taken, dropped after it is released.
        let waiter = Waiter::task(cx.waker());
        let mut state = TimerQueue::of_process()?.lock();
        let replaced = state.timers.insert((self.at, self.id), waiter);
        let thread = if state.sleep.is_longer_than(self.at) {
            // So others do not unpark it as well.
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
        // What was armed by the parent stays in the child's copy of it, whose lock may be held by a thread that is not there.
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
        // No user code runs under it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// That of another timer, once there is a thread to mind it.
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
                    // It does not panic, whatever the task's waker does: the deadlines of all the others hang on this thread.
                    waiter.wake();
                }
            }
            state = self.lock();
        }
    }
}
