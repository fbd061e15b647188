//! Metrics of a worker's sockets, through the facade `metrics`.

#[cfg(not(feature = "metrics"))]
pub(crate) use off::*;
#[cfg(feature = "metrics")]
pub(crate) use on::*;

#[cfg(feature = "metrics")]
mod on {
    use std::sync::Arc;

    use metrics::{Counter, Gauge, Label, SharedString, counter, gauge};

    use crate::observe::names::{
        SOCKET_BYTES, SOCKET_ERRORS, SOCKET_EVENTS, SOCKETS, describe_sockets,
    };

    /// The metrics of a worker's sockets, which all of them share.
    #[derive(Clone)]
    pub(crate) struct SocketMeter(Arc<Series>);

    struct Series {
        open: Gauge,
        events: Counter,
        errors: Counter,
        bytes_in: Counter,
        bytes_out: Counter,
    }

    impl SocketMeter {
        pub(crate) fn new(name: &Arc<str>, worker: usize) -> Self {
            describe_sockets();
            let server = Label::new("server", SharedString::from(Arc::clone(name)));
            let labels = [server, Label::new("worker", worker.to_string())];
            let bytes = |direction| {
                let [server, worker] = labels.clone();
                let direction = Label::from_static_parts("direction", direction);
                counter!(SOCKET_BYTES, [server, worker, direction].iter())
            };
            Self(Arc::new(Series {
                open: gauge!(SOCKETS, labels.iter()),
                events: counter!(SOCKET_EVENTS, labels.iter()),
                errors: counter!(SOCKET_ERRORS, labels.iter()),
                bytes_in: bytes("in"),
                bytes_out: bytes("out"),
            }))
        }

        pub(crate) fn open(&self, sockets: usize) {
            #[expect(clippy::cast_precision_loss, reason = "the facade counts in f64")]
            self.0.open.set(sockets as f64);
        }

        pub(crate) fn event(&self) {
            self.0.events.increment(1);
        }

        pub(crate) fn error(&self) {
            self.0.errors.increment(1);
        }

        pub(crate) fn received(&self, bytes: usize) {
            self.0.bytes_in.increment(bytes as u64);
        }

        pub(crate) fn sent(&self, bytes: usize) {
            self.0.bytes_out.increment(bytes as u64);
        }
    }

    impl std::fmt::Debug for SocketMeter {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.debug_struct("SocketMeter").finish_non_exhaustive()
        }
    }
}

#[cfg(not(feature = "metrics"))]
mod off {
    use std::sync::Arc;

    #[derive(Clone, Debug)]
    pub(crate) struct SocketMeter;

    #[expect(clippy::unused_self, reason = "its twin needs it")]
    impl SocketMeter {
        pub(crate) fn new(_: &Arc<str>, _: usize) -> Self {
            Self
        }

        pub(crate) fn open(&self, _: usize) {}

        #[inline]
        pub(crate) fn event(&self) {}

        pub(crate) fn error(&self) {}

        #[inline]
        pub(crate) fn received(&self, _: usize) {}

        #[inline]
        pub(crate) fn sent(&self, _: usize) {}
    }
}
