//! The watchdog: what each thread and task is doing and since when, and the failures so far.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// The step that a thread or task is in, and since when.
#[derive(Debug)]
pub(crate) struct Pulse(Mutex<(&'static str, Instant)>);

impl Pulse {
    pub(crate) fn beat(&self, doing: &'static str) {
        *lock(&self.0) = (doing, Instant::now());
    }
}

#[derive(Debug, Default)]
pub(crate) struct Watchdog {
    stop: AtomicBool,
    pulses: Mutex<Vec<Weak<Pulse>>>,
    failures: Mutex<Vec<String>>,
    made: AtomicU64,
    /// The number of the handler that forgets its request.
    forget_at: Option<u64>,
    handled: AtomicU64,
}

impl Watchdog {
    pub(crate) fn new(forget_at: Option<u64>) -> Self {
        Self {
            forget_at,
            ..Self::default()
        }
    }

    /// Asks all participants to end.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub(crate) fn resume(&self) {
        self.stop.store(false, Ordering::Relaxed);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Counts a request.
    pub(crate) fn count(&self) {
        self.made.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// Returns whether this handler is to leak its request.
    pub(crate) fn must_forget(&self) -> bool {
        let number = || self.handled.fetch_add(1, Ordering::Relaxed) + 1;
        self.forget_at
            .is_some_and(|forget_at| number() == forget_at)
    }

    /// Starts to watch a thread or task.
    pub(crate) fn pulse(&self) -> Arc<Pulse> {
        let pulse = Arc::new(Pulse(Mutex::new(("begins", Instant::now()))));
        lock(&self.pulses).push(Arc::downgrade(&pulse));
        pulse
    }

    pub(crate) fn report(&self, failure: String) {
        lock(&self.failures).push(failure);
        self.stop();
    }

    pub(crate) fn failures(&self) -> Vec<String> {
        lock(&self.failures).clone()
    }

    /// Returns the first operation that has lasted for longer than the timeout.
    pub(crate) fn overdue(&self, timeout: Duration) -> Option<String> {
        let mut pulses = lock(&self.pulses);
        pulses.retain(|pulse| pulse.strong_count() > 0);
        pulses.iter().filter_map(Weak::upgrade).find_map(|pulse| {
            let (doing, since) = *lock(&pulse.0);
            (since.elapsed() > timeout)
                .then(|| format!("no outcome within {} s: {doing}", timeout.as_secs()))
        })
    }
}

/// Reports an unexpected panic on drop.
#[derive(Debug)]
pub(crate) struct ReportPanic(pub(crate) Arc<Watchdog>, pub(crate) &'static str);

impl Drop for ReportPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.report(format!("{} panicked", self.1));
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
