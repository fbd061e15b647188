//! Tracks the waits of a future that a thread drives, as [`awaits`](super::awaits) does for a task.
//! The task's waker unparks the thread.

use std::{any::Any, sync::Arc, task::Waker, time::Instant};

use ump::{
    Clock,
    hooks::{self, Cycle, Driven, Wait, Watcher},
};

use super::{super::WorkerSet, Awaits, Progress};
use crate::sync::Mutex;

/// The watcher of a future that [`Clock::block_on`] drives.
pub(in crate::deadlock) struct Drives {
    awaits: Awaits,
    /// Accessed only by the thread that drives the future.
    progress: Mutex<Progress>,
    /// The watcher that this one replaced on the thread.
    outer: Option<Arc<dyn Watcher>>,
}

impl Drives {
    /// Creates the watcher and the waker of a future that a thread of these workers drives.
    pub(in crate::deadlock) fn begin(workers: &WorkerSet, unpark: &Waker) -> Driven {
        let mut awaits = Awaits::new(workers.clone(), unpark, None);
        let waker = awaits.lend_waker();
        Driven {
            watcher: Arc::new(Self {
                awaits,
                progress: Mutex::new(Progress::Running),
                outer: hooks::current(),
            }),
            waker,
        }
    }

    pub(in crate::deadlock) fn workers(&self) -> &WorkerSet {
        self.awaits.workers()
    }
}

impl Watcher for Drives {
    fn before(&self, wait: &Wait) -> Result<(), Cycle> {
        self.awaits.before(wait)
    }

    fn after(&self, wait: &Wait) {
        self.awaits.after(wait);
    }

    fn polled(&self, wait: &Wait, waker: &Waker) -> Result<Option<Waker>, Cycle> {
        self.awaits.polled(wait, waker)
    }

    fn before_any(&self, waits: &[Wait]) -> Result<(), Cycle> {
        self.awaits.before_any(waits)
    }

    fn after_any(&self, waits: &[Wait]) {
        self.awaits.after_any(waits);
    }

    fn polled_any(&self, waits: &[Wait], waker: &Waker) -> Result<Option<Waker>, Cycle> {
        self.awaits.polled_any(waits, waker)
    }

    fn sleeps(&self, clock: &Clock) -> Option<Arc<()>> {
        self.outer.as_ref()?.sleeps(clock)
    }

    fn drives(&self, unpark: &Waker) -> Option<Driven> {
        self.awaits.drives(unpark)
    }

    fn parks(&self, deadline: Option<Instant>, clock: &Clock) -> bool {
        if self.awaits.take_wake() {
            return true;
        }
        let mut progress = self.progress.lock();
        self.awaits.waits_until(&mut progress, deadline, clock);
        matches!(*progress, Progress::WouldDeadlock) && self.awaits.take_wake()
    }

    fn unparks(&self) {
        let mut progress = self.progress.lock();
        if matches!(*progress, Progress::Asleep) {
            self.awaits.end(&mut progress);
        }
        drop(progress);
        // Whichever waker has unparked the thread, the future is polled next.
        self.awaits.take_wake();
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}
