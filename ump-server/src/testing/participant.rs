//! The reports of a worker to the test clock of its loop.

use std::{sync::Arc, time::Instant};

#[cfg(all(feature = "tokio", not(any(loom, shuttle))))]
use super::activity::Suspended;
use super::{
    activity::Activity,
    registry::{Loop, LoopRegistry, LoopWorkers},
};
use ump::{Clock, Server};

/// A worker's handle for reporting its activity to a test clock. When it is dropped, the worker is
/// gone.
pub(crate) struct Participant(Observer);

/// The target of the reports of one worker.
#[derive(Clone)]
pub(crate) struct Observer {
    registry: Arc<LoopRegistry>,
    the_loop: Arc<dyn Loop>,
    number: usize,
    #[cfg(all(feature = "tokio", not(any(loom, shuttle))))]
    clock: Clock,
}

impl Participant {
    /// Creates one for each worker of a loop. The workers are busy until they report otherwise.
    #[allow(unused_variables, reason = "without tasks no call asks for the clock")]
    pub(super) fn of_loop<S, R, E>(
        registry: &Arc<LoopRegistry>,
        clock: &Clock,
        name: &Arc<str>,
        server: &Arc<Server<S, R, E>>,
        workers: usize,
    ) -> Vec<Self>
    where
        S: Send + 'static,
        R: Send + 'static,
        E: Send + 'static,
    {
        let the_loop: Arc<dyn Loop> = Arc::new(LoopWorkers::new(name, server, workers));
        registry.join(Arc::downgrade(&the_loop));
        (0..workers)
            .map(|number| {
                Self(Observer {
                    registry: Arc::clone(registry),
                    the_loop: Arc::clone(&the_loop),
                    number,
                    #[cfg(all(feature = "tokio", not(any(loom, shuttle))))]
                    clock: clock.clone(),
                })
            })
            .collect()
    }

    /// Reports that the worker waits for requests, or until an instant.
    pub(crate) fn waits(&self, until: Option<Instant>) {
        self.0.set_activity(Activity::Waiting(until));
    }

    /// Reports that the worker waits until an instant, and takes nothing before.
    pub(crate) fn pauses(&self, until: Option<Instant>) {
        self.0.set_activity(Activity::Pausing(until));
    }

    /// Reports that the worker is busy again, with a request or without.
    pub(crate) fn is_back(&self, with_request: bool) {
        self.0.set_activity(Activity::Busy);
        // Counted after the worker is known to be busy; otherwise the request would seem to be
        // finished.
        if with_request {
            self.0.the_loop.count();
            self.0.registry.change();
        }
    }

    /// Returns the handle for reporting the calls of a task.
    #[cfg(all(feature = "tokio", not(any(loom, shuttle))))]
    pub(crate) fn observer(&self) -> Observer {
        self.0.clone()
    }
}

impl Observer {
    /// Reports that the call is being polled.
    #[cfg(all(feature = "tokio", not(any(loom, shuttle))))]
    pub(crate) fn polls(&self) {
        self.set_activity(Activity::Busy);
    }

    /// Reports that the call has returned `Pending`.
    #[cfg(all(feature = "tokio", not(any(loom, shuttle))))]
    pub(crate) fn suspends(&self, suspended: Suspended) {
        self.set_activity(Activity::Suspended(Arc::new(suspended)));
    }

    /// Returns whether the worker is under this clock.
    #[cfg(all(feature = "tokio", not(any(loom, shuttle))))]
    pub(crate) fn goes_by(&self, clock: &Clock) -> bool {
        self.clock == *clock
    }

    fn set_activity(&self, activity: Activity) {
        self.the_loop.set_activity(self.number, activity);
        self.registry.change();
    }
}

impl Drop for Participant {
    fn drop(&mut self) {
        self.0.set_activity(Activity::Gone);
    }
}
