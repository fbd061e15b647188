//! The worker's own end of its record. Every call passes through it, so it also times, traces and
//! counts the calls.
//!
//! A `tracing` subscriber and a `metrics` recorder are user code. Where a worker runs them outside
//! the code in which panics count as the handler's, their panics are ignored.

use std::{
    fmt,
    panic::Location,
    time::{Duration, Instant},
};

use ump::{PanicMessage, ReplyContext as OwnedReplyContext};

#[cfg(all(feature = "tokio", not(any(loom, shuttle))))]
use crate::InHand;
use crate::{
    catch::catch_user_panic,
    observe::{CallOutcome, ChannelMeter, Meter, Span, trace},
    record::{RecordWriter, Turn, WorkerRecord, WorkerState},
    sync::Arc,
    watchdog::Watch,
};

/// The worker's end of its record. When it is dropped, the worker has ended.
pub(crate) struct WorkerRecorder {
    writer: RecordWriter,
    /// Whether each call reads the clock.
    is_timed: bool,
    watch: Option<Watch>,
    meter: Meter,
    /// The meter of the loop's channel, shared by the workers; dropped with the last one.
    channel_meter: Option<ChannelMeter>,
    call: Option<Call>,
    /// The start of the next turn, if it is known before the turn begins.
    now: Option<Instant>,
    /// The start of the current turn.
    since: Option<Instant>,
}

/// The current call.
struct Call {
    kind: &'static str,
    /// The number of `kind`.
    number: u32,
    caller: Option<&'static Location<'static>>,
    taken: Option<Instant>,
    /// The span and the number of requests; `None` if the call is not for requests.
    request: Option<(Span, u64)>,
}

impl WorkerRecorder {
    pub(crate) fn new(record: Arc<WorkerRecord>, is_timed: bool, watch: Option<Watch>) -> Self {
        Self {
            is_timed: is_timed || watch.is_some() || Meter::TIMES,
            watch,
            meter: Meter::new(&record.name, record.worker),
            channel_meter: None,
            call: None,
            now: None,
            since: None,
            writer: RecordWriter::new(record),
        }
    }

    fn record(&self) -> &WorkerRecord {
        self.writer.record()
    }

    /// Keeps the meter of the loop's channel alive.
    pub(crate) fn counts(mut self, meter: &ChannelMeter) -> Self {
        self.channel_meter = Some(meter.clone());
        self
    }

    // ---- the worker's state

    pub(crate) fn set_state(&self, state: WorkerState) {
        self.writer.set_state(state);
    }

    /// Records that the handler has failed and will be rebuilt after this pause.
    pub(crate) fn will_restart(&self, pause: Duration) {
        catch_user_panic(|| trace::restart(&self.record().name, self.record().worker, pause));
        self.meter.pause();
    }

    /// Records that the handler is being rebuilt.
    pub(crate) fn restarts(&mut self, restarts: u64) {
        self.writer.set_restarts(restarts);
        catch_user_panic(|| self.meter.restart());
    }

    /// Records that the handler has panicked. Returns the kind and the caller of its call.
    pub(crate) fn panicked(
        &mut self,
        message: &PanicMessage,
    ) -> (&'static str, Option<&'static Location<'static>>) {
        let (kind, caller) = self.called_for();
        catch_user_panic(|| {
            trace::panic(
                &self.record().name,
                self.record().worker,
                kind,
                caller,
                message,
            );
        });
        catch_user_panic(|| self.end(CallOutcome::Panicked));
        (kind, caller)
    }

    /// Returns the kind and the caller of the current call.
    pub(crate) fn called_for(&self) -> (&'static str, Option<&'static Location<'static>>) {
        self.call
            .as_ref()
            .map_or(("", None), |call| (call.kind, call.caller))
    }

    // ---- calls

    /// Begins a call for a request, or for several of which this is the first. `queued` returns the
    /// number of requests that are left in the queue.
    #[inline]
    pub(crate) fn begin_request<R, E>(
        &mut self,
        kind: &'static str,
        (first, requests): (&OwnedReplyContext<R, E>, usize),
        queued: impl FnOnce() -> usize,
    ) {
        let caller = first.caller();
        let span = Span::open(&self.record().name, self.record().worker, kind, caller);
        self.begin(kind, Some(caller), Some((span, requests as u64)));
        let taken = self.now;
        self.meter.take(queued, || {
            let times = taken.zip(first.entered());
            times.map(|(taken, entered)| taken.saturating_duration_since(entered))
        });
    }

    /// Begins a call for something other than a request.
    #[inline]
    pub(crate) fn begin_other(&mut self, kind: &'static str) {
        self.begin(kind, None, None);
    }

    #[inline]
    fn begin(
        &mut self,
        kind: &'static str,
        caller: Option<&'static Location<'static>>,
        request: Option<(Span, u64)>,
    ) {
        let taken = self.is_timed.then(|| self.record().clock.now());
        let number = self.writer.begin(kind, caller, taken);
        self.now = taken;
        self.call = Some(Call {
            kind,
            number,
            caller,
            taken,
            request,
        });
    }

    /// Begins a turn: the handler gets control.
    #[inline]
    pub(crate) fn resume(&mut self) {
        self.since = self
            .now
            .take()
            .or_else(|| self.is_timed.then(|| self.record().clock.now()));
        self.writer.resume(self.since);
        if let Some(watch) = &self.watch {
            watch.resumed();
        }
    }

    /// Ends a turn: the handler has returned control and waits.
    #[cfg(all(feature = "tokio", not(any(loom, shuttle))))]
    pub(crate) fn pause(&mut self) {
        let reported = self.writer.pause(self.watch.is_some());
        self.report_end(reported);
    }

    /// Ends the call.
    #[inline]
    pub(crate) fn end(&mut self, outcome: CallOutcome) {
        let reported = self.writer.end(self.watch.is_some());
        self.report_end(reported);
        let Some(call) = self.call.take() else {
            return;
        };
        let Some((span, requests)) = call.request else {
            return;
        };
        span.close(outcome);
        let clock = &self.writer.record().clock;
        self.meter
            .end((call.number, call.kind), (outcome, requests), || {
                call.taken
                    .map(|taken| clock.now().saturating_duration_since(taken))
            });
        // ORDERING: a Relaxed load, because only this worker writes the counter. The Release store
        // is the last step and pairs with the Acquire of `status`: a reader that sees it sees the
        // rest.
        self.writer.count(requests);
    }

    /// Returns the current call.
    #[cfg(all(feature = "tokio", not(any(loom, shuttle))))]
    pub(crate) fn in_hand(&self) -> Option<InHand> {
        self.record().status().in_hand
    }

    /// Runs a whole call that is not for a request.
    pub(crate) fn call<T>(&mut self, kind: &'static str, call: impl FnOnce() -> T) -> T {
        self.begin_other(kind);
        let result = self.run(call);
        self.end(CallOutcome::NoReply);
        result
    }

    /// Runs the handler for the call that has begun, on this thread. If it panics, the call stays
    /// current.
    #[inline]
    pub(crate) fn run<T>(&mut self, call: impl FnOnce() -> T) -> T {
        self.resume();
        let requests = self.call.as_ref().and_then(|call| call.request.as_ref());
        let _entered = requests.map(|(span, _)| span.enter());
        call()
    }

    /// Reports for how long a turn went on, if the turn was reported as a stall.
    #[inline]
    fn report_end(&self, reported: Option<Turn>) {
        if let Some(turn) = reported {
            self.tell_end(turn);
        }
    }

    #[cold]
    fn tell_end(&self, turn: Turn) {
        let (Some(watch), Some(call), Some(since)) = (&self.watch, &self.call, self.since) else {
            return;
        };
        let elapsed = self.record().clock.now().saturating_duration_since(since);
        watch.is_over(turn, call.kind, call.caller, elapsed);
    }
}

impl Drop for WorkerRecorder {
    fn drop(&mut self) {
        // The current call, if any, was cut short.
        catch_user_panic(|| self.end(CallOutcome::NoReply));
        self.writer.set_state(WorkerState::Ended);
    }
}

impl fmt::Debug for WorkerRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WorkerRecorder")
            .field(self.record())
            .finish()
    }
}
