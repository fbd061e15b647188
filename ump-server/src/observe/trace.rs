//! Spans and events through `tracing`, in the target `ump_server`.

#[cfg(not(feature = "tracing"))]
pub(crate) use off::*;
#[cfg(feature = "tracing")]
pub(crate) use on::*;

#[cfg(feature = "tracing")]
mod on {
    use std::{panic::Location, time::Duration};

    use tracing::{debug_span, field::Empty, span::Entered, warn};
    use ump::PanicMessage;

    use crate::{
        observe::CallOutcome,
        record::{Stage, Stall},
    };

    const TARGET: &str = "ump_server";

    /// The span of a request: from when it is taken until the handler is done with it. It is
    /// entered while the handler has control.
    pub(crate) struct Span(tracing::Span);

    impl Span {
        #[inline]
        pub(crate) fn open(
            name: &str,
            worker: usize,
            kind: &'static str,
            caller: &'static Location<'static>,
        ) -> Self {
            Self(debug_span!(
                target: TARGET, "request", server = name, worker, kind, %caller, outcome = Empty
            ))
        }

        #[inline]
        pub(crate) fn enter(&self) -> Entered<'_> {
            self.0.enter()
        }

        #[inline]
        pub(crate) fn close(self, outcome: CallOutcome) {
            self.0.record("outcome", outcome.name());
        }
    }

    #[cold]
    pub(crate) fn stall(stall: &Stall) {
        let Stall {
            name, worker, kind, ..
        } = stall;
        let caller = stall.caller.map(tracing::field::display);
        let elapsed = stall.elapsed.as_secs_f64();
        match stall.stage {
            Stage::Noticed | Stage::Persists => warn!(
                target: TARGET, server = &**name, worker, kind, caller, elapsed,
                "a handler does not return control"
            ),
            Stage::Over => warn!(
                target: TARGET, server = &**name, worker, kind, caller, elapsed,
                "a handler has returned control"
            ),
        }
    }

    #[cold]
    pub(crate) fn panic(
        name: &str,
        worker: usize,
        kind: &'static str,
        caller: Option<&'static Location<'static>>,
        message: &PanicMessage,
    ) {
        let caller = caller.map(tracing::field::display);
        warn!(target: TARGET, server = name, worker, kind, caller, panic = %message, "a handler panicked");
    }

    #[cfg(all(feature = "net", unix, not(any(loom, shuttle))))]
    #[cold]
    pub(crate) fn socket_error(name: &str, worker: usize, error: &crate::net::Error) {
        let socket = error.socket().map(tracing::field::display);
        warn!(target: TARGET, server = name, worker, socket, %error, "a socket failed");
    }

    #[cold]
    pub(crate) fn restart(name: &str, worker: usize, pause: Duration) {
        let pause = pause.as_secs_f64();
        warn!(target: TARGET, server = name, worker, pause, "a handler will be rebuilt");
    }
}

#[cfg(not(feature = "tracing"))]
mod off {
    use std::{panic::Location, time::Duration};

    use ump::PanicMessage;

    use crate::{observe::CallOutcome, record::Stall};

    pub(crate) struct Span;

    /// The guard of an entered span.
    pub(crate) struct Entered;

    impl Span {
        #[inline]
        pub(crate) fn open(
            _: &str,
            _: usize,
            _: &'static str,
            _: &'static Location<'static>,
        ) -> Self {
            Self
        }

        #[inline]
        #[expect(clippy::unused_self, reason = "its twin needs it")]
        pub(crate) fn enter(&self) -> Entered {
            Entered
        }

        #[inline]
        #[expect(clippy::unused_self, reason = "its twin needs it")]
        pub(crate) fn close(self, _: CallOutcome) {}
    }

    pub(crate) fn stall(_: &Stall) {}

    pub(crate) fn panic(
        _: &str,
        _: usize,
        _: &'static str,
        _: Option<&'static Location<'static>>,
        _: &PanicMessage,
    ) {
    }

    #[cfg(all(feature = "net", unix, not(any(loom, shuttle))))]
    pub(crate) fn socket_error(_: &str, _: usize, _: &crate::net::Error) {}

    pub(crate) fn restart(_: &str, _: usize, _: Duration) {}
}
