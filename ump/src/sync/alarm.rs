//! Deadlines for futures: one thread per process that sleeps until the nearest one.
//!
//! A future without a runtime has nobody to wake it when its deadline passes. The thread `ump-alarm` does it: it is
//! started by the first future that has a deadline, sleeps until the earliest alarm (for ever when there is none),
//! and costs nothing otherwise. It wakes one task after the other, so a waker that blocks delays the deadlines of all. Blocking callers do not need it: they sleep with a time-out of their own.

#![forbid(unsafe_code)]

use std::{
    collections::BTreeMap,
    io,
    num::NonZeroU64,
    task::{Context, Poll},
    thread,
    time::Instant,
};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::waiter::Waiter;

/// When, and a number that tells alarms of the same instant apart.
type Key = (Instant, NonZeroU64);

struct Clock {
    alarms: BTreeMap<Key, Waiter>,
    next: NonZeroU64,
    running: bool,
}

static CLOCK: Mutex<Clock> = Mutex::new(Clock {
    alarms: BTreeMap::new(),
    next: NonZeroU64::MIN,
    running: false,
});

/// Tells the thread that the earliest alarm has changed.
static EARLIER: Condvar = Condvar::new();

/// Wakes the task that polls it once `at` has passed. Dropping it takes it back.
#[derive(Debug)]
pub(crate) struct Alarm {
    at: Instant,
    /// As small as can be: it is in each future of a request.
    armed: Option<NonZeroU64>,
}

impl Alarm {
    /// An alarm for `at`. Nothing is armed before the first poll.
    ///
    /// # Errors
    /// The system refused the thread.
    pub(crate) fn new(at: Instant) -> io::Result<Self> {
        let mut clock = CLOCK.lock();
        if !clock.running {
            thread::Builder::new().name("ump-alarm".into()).spawn(run)?;
            clock.running = true;
        }
        Ok(Self { at, armed: None })
    }

    /// Ready once the instant has passed; otherwise wakes the task of `cx` then.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.at {
            return Poll::Ready(());
        }
        // A waker is the user's code: cloned before the lock is taken, dropped after it is released.
        let waiter = Waiter::task(cx.waker());
        let mut clock = CLOCK.lock();
        let id = *self.armed.get_or_insert_with(|| {
            let id = clock.next;
            clock.next = id.saturating_add(1);
            id
        });
        let replaced = clock.alarms.insert((self.at, id), waiter);
        let earliest = clock.alarms.keys().next() == Some(&(self.at, id));
        drop(clock);
        if earliest && replaced.is_none() {
            EARLIER.notify_one();
        }
        drop(replaced);
        Poll::Pending
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(id) = self.armed {
            let waiter = CLOCK.lock().alarms.remove(&(self.at, id));
            drop(waiter);
        }
    }
}

fn run() {
    let mut clock = CLOCK.lock();
    loop {
        let now = Instant::now();
        match clock.alarms.first_key_value() {
            None => EARLIER.wait(&mut clock),
            Some((&(at, _), _)) if at > now => {
                EARLIER.wait_until(&mut clock, at);
            }
            Some(_) => {
                let (_, waiter) = clock.alarms.pop_first().expect("just seen");
                // It does not panic, whatever the task's waker does: the deadlines of all the others hang on this thread.
                MutexGuard::unlocked(&mut clock, || waiter.wake());
            }
        }
    }
}
