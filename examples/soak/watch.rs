//! The watch: what everybody does at the moment and since when, and what has gone wrong.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// What somebody does who should soon be done with it.
#[derive(Debug)]
pub(crate) struct Pulse(Mutex<(&'static str, Instant)>);

impl Pulse {
    pub(crate) fn beat(&self, doing: &'static str) {
        *lock(&self.0) = (doing, Instant::now());
    }
}

#[derive(Debug, Default)]
pub(crate) struct Watch {
    stop: AtomicBool,
    pulses: Mutex<Vec<Weak<Pulse>>>,
    troubles: Mutex<Vec<String>>,
    made: AtomicU64,
    /// The number of the handler that forgets its request; zero: none.
    forget_at: u64,
    handled: AtomicU64,
}

impl Watch {
    pub(crate) fn new(forget_at: u64) -> Self {
        Self {
            forget_at,
            ..Self::default()
        }
    }

    /// Everybody is to come to an end.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub(crate) fn go_on(&self) {
        self.stop.store(false, Ordering::Relaxed);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// One more request was made.
    pub(crate) fn count(&self) {
        self.made.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// Whether this handler is the one that is to forget its request.
    pub(crate) fn is_to_forget(&self) -> bool {
        self.forget_at > 0 && self.handled.fetch_add(1, Ordering::Relaxed) + 1 == self.forget_at
    }

    /// Watches somebody who begins now.
    pub(crate) fn pulse(&self) -> Arc<Pulse> {
        let pulse = Arc::new(Pulse(Mutex::new(("begins", Instant::now()))));
        lock(&self.pulses).push(Arc::downgrade(&pulse));
        pulse
    }

    pub(crate) fn report(&self, trouble: String) {
        lock(&self.troubles).push(trouble);
        self.stop();
    }

    pub(crate) fn troubles(&self) -> Vec<String> {
        lock(&self.troubles).clone()
    }

    /// Who has been at the same thing for longer than this.
    pub(crate) fn late(&self, patience: Duration) -> Option<String> {
        let mut pulses = lock(&self.pulses);
        pulses.retain(|pulse| pulse.strong_count() > 0);
        pulses.iter().filter_map(Weak::upgrade).find_map(|pulse| {
            let (doing, since) = *lock(&pulse.0);
            (since.elapsed() > patience)
                .then(|| format!("no outcome within {} s: {doing}", patience.as_secs()))
        })
    }
}

/// Reports a panic that nobody meant, when it is dropped.
#[derive(Debug)]
pub(crate) struct Alive(pub(crate) Arc<Watch>, pub(crate) &'static str);

impl Drop for Alive {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.report(format!("{} panicked", self.1));
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
