//! The watchdog without a loop, for models of the watchdog and a worker.

use std::{sync::Arc, time::Duration};

use ump::Clock;

use super::{Monitor, OnStall, Stall, Watch, WatchConfig};
use crate::{observe::CallOutcome, record::WorkerRecord, worker::recorder::WorkerRecorder};

/// A monitor of its own, not that of the process.
#[derive(Clone)]
pub struct Watchdog(Arc<Monitor>);

/// A worker that a [`Watchdog`] watches.
#[derive(Debug)]
pub struct Worker(WorkerRecorder);

impl Watchdog {
    /// Creates a watchdog that watches no worker yet and has no thread.
    #[must_use]
    pub fn new() -> Self {
        Self(Monitor::new())
    }

    /// Creates a worker that is watched until it is dropped.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "a model refuses no thread")]
    pub fn watch(
        &self,
        clock: Clock,
        threshold: Duration,
        on_stall: impl Fn(&Stall) + Send + Sync + 'static,
    ) -> Worker {
        let record = WorkerRecord::new("model".into(), 0, clock);
        let config = WatchConfig::new(threshold, Some(OnStall::new(on_stall)));
        let watch = Watch::begin(&self.0, &record, config).expect("a model refuses no thread");
        Worker(WorkerRecorder::new(record, false, Some(watch)))
    }
}

impl Default for Watchdog {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Watchdog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watchdog").finish_non_exhaustive()
    }
}

impl Worker {
    /// Runs a call of a handler.
    pub fn call<T>(&mut self, handler: impl FnOnce() -> T) -> T {
        self.0.begin_other("call");
        let result = self.0.run(handler);
        self.0.end(CallOutcome::NoReply);
        result
    }
}
