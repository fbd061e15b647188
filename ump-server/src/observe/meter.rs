//! Metrics of workers, through the facade `metrics`.
//!
//! A worker gets its counters from the recorder once and keeps them. So a recorder that is
//! installed later does not get its counts.

#[cfg(not(feature = "metrics"))]
pub(crate) use off::*;
#[cfg(feature = "metrics")]
pub(crate) use on::*;

#[cfg(feature = "metrics")]
mod on {
    use std::{array, time::Duration};

    use metrics::{Counter, Gauge, Histogram, Label, SharedString, counter, gauge, histogram};

    use crate::{
        observe::{
            CallOutcome,
            channel_meter::note_work,
            names::{QUEUE_DEPTH, REQUESTS, RESTARTS, SERVICE, STALLS, WAIT, describe},
        },
        record::Stall,
    };

    /// The metrics of a worker.
    pub(crate) struct Meter {
        labels: [Label; 2],
        queue_depth: Gauge,
        wait: Histogram,
        service: Histogram,
        restarts: Counter,
        /// Counters by the number of the kind, and by outcome.
        requests: Vec<[Option<Counter>; 8]>,
    }

    impl Meter {
        /// Whether the meter needs the calls to be timed.
        pub(crate) const TIMES: bool = true;

        pub(crate) fn new(name: &std::sync::Arc<str>, worker: usize) -> Self {
            describe();
            let server = SharedString::from(std::sync::Arc::clone(name));
            let server = Label::new("server", server);
            let labels = [server.clone(), Label::new("worker", worker.to_string())];
            Self {
                queue_depth: gauge!(QUEUE_DEPTH, [server].iter()),
                wait: histogram!(WAIT, labels.iter()),
                service: histogram!(SERVICE, labels.iter()),
                restarts: counter!(RESTARTS, labels.iter()),
                requests: Vec::new(),
                labels,
            }
        }

        /// Records that a request is taken: the number of queued requests, and its time in the
        /// queue.
        #[inline]
        pub(crate) fn take(
            &self,
            queued: impl FnOnce() -> usize,
            waited: impl FnOnce() -> Option<Duration>,
        ) {
            #[expect(clippy::cast_precision_loss, reason = "the facade counts in f64")]
            self.queue_depth.set(queued() as f64);
            note_work();
            if let Some(waited) = waited() {
                self.wait.record(waited);
            }
        }

        /// Records the end of a call for `count` requests (usually one), and the time that it took.
        #[inline]
        pub(crate) fn end(
            &mut self,
            (number, kind): (u32, &'static str),
            (outcome, count): (CallOutcome, u64),
            took: impl FnOnce() -> Option<Duration>,
        ) {
            let number = number as usize;
            if self.requests.len() <= number {
                self.requests
                    .resize_with(number + 1, || array::from_fn(|_| None));
            }
            let requests = self.requests[number][outcome as usize].get_or_insert_with(|| {
                let [server, worker] = self.labels.clone();
                let kind = Label::from_static_parts("kind", kind);
                let outcome = Label::from_static_parts("outcome", outcome.name());
                counter!(REQUESTS, [server, worker, kind, outcome].iter())
            });
            requests.increment(count);
            if let Some(took) = took() {
                self.service.record(took);
            }
        }

        /// Records that the handler will be rebuilt after a pause.
        #[expect(clippy::unused_self, reason = "it is an event of this worker")]
        pub(crate) fn pause(&self) {
            note_work();
        }

        /// Records that the handler is being rebuilt.
        pub(crate) fn restart(&self) {
            self.restarts.increment(1);
        }
    }

    /// Records that a stall was noticed.
    #[cold]
    pub(crate) fn stall(stall: &Stall) {
        let server = SharedString::from(std::sync::Arc::clone(&stall.name));
        let labels = [
            Label::new("server", server),
            Label::new("worker", stall.worker.to_string()),
            Label::from_static_parts("kind", stall.kind),
        ];
        counter!(STALLS, labels.iter()).increment(1);
    }
}

#[cfg(not(feature = "metrics"))]
mod off {
    use std::time::Duration;

    use crate::{observe::CallOutcome, record::Stall};

    pub(crate) struct Meter;

    #[expect(clippy::unused_self, reason = "its twin needs it")]
    impl Meter {
        pub(crate) const TIMES: bool = false;

        pub(crate) fn new(_: &std::sync::Arc<str>, _: usize) -> Self {
            Self
        }

        #[inline]
        pub(crate) fn take(&self, _: impl FnOnce() -> usize, _: impl FnOnce() -> Option<Duration>) {
        }

        #[inline]
        pub(crate) fn end(
            &mut self,
            _: (u32, &'static str),
            _: (CallOutcome, u64),
            _: impl FnOnce() -> Option<Duration>,
        ) {
        }

        pub(crate) fn pause(&self) {}

        pub(crate) fn restart(&self) {}
    }

    pub(crate) fn stall(_: &Stall) {}
}
