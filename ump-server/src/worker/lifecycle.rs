//! The states of a worker. Loops on threads and on tasks share them, and differ only in how they
//! wait.
//!
//! ```text
//!          the handler is renewed
//!        ┌──────────────┐
//!        ▼              │
//!      Make ────────▶ Serve ────▶ Finish ────▶ End
//!      ▲  │            │ │ ▲                    ▲
//!      │  │ refusal    │ └─┘ panic: continues   │
//!      │  ▼            ▼                        │
//!      └─ Pause ◀── panic, refusal ─────────────┘ or the limit is exceeded
//! ```
//!
//! The driver executes each step and asks for the next one. Invariants:
//! - When the worker leaves `Serve`, the request in hand has ended: by the handler, by a cut of the
//!   call, or with the panic's message.
//! - Before `Finish` and `End` the queued requests are rejected, so that callers get their error
//!   before the clean-up runs.
//! - User code (handler, factory, their drops, tokens, panic payloads) runs only where its panics
//!   are caught.

use std::{panic::Location, sync::Arc, time::Duration};

use ump::{PanicMessage, ReplyContext as OwnedReplyContext, Server};

use crate::{
    Context,
    catch::{CatchDrop, catch_panic_message, catch_user_panic},
    deadlock::{Promise, WaitNode},
    net::WorkerSockets,
    record::WorkerState,
    testing::participant::Participant,
    timer::{Due, timers},
    worker::failure_event::{Decision, FailureEvent, OnFailure},
    worker::failure_policy::{FailurePolicy, Next},
    worker::join_error::{JoinError, JoinErrorKind, Refusal},
    worker::loop_state::LoopState,
    worker::recorder::WorkerRecorder,
    worker::schedule::AttributeRefused,
    worker::spawn_error::FactoryError,
    worker::stop::{Control, Wake},
};

/// The next step of a worker.
pub(crate) enum Step<H, RV> {
    Make,
    Pause(Duration),
    Serve(Serving<H>),
    Finish(CatchDrop<H>, Option<RV>),
    End(Result<Option<RV>, JoinErrorKind>),
}

/// The kind of a call, and where the request was made.
pub(crate) type Call = (&'static str, Option<&'static Location<'static>>);

/// The call of a factory.
const MAKING: Call = ("factory", None);

/// A handler that serves.
pub(crate) struct Serving<H> {
    pub(crate) handler: CatchDrop<H>,
    /// Whether `init` is done.
    pub(crate) is_ready: bool,
}

/// The reason why a handler stopped serving.
pub(crate) enum Served<RV> {
    /// The handler returned `Break`, or there is nothing more to serve.
    Finished(Option<RV>),
    /// The handler is to be rebuilt.
    Renew,
    /// The handler took too long for this request, whose caller has got its error.
    #[cfg(all(feature = "tokio", not(any(loom, shuttle))))]
    TimedOut(Call),
}

/// One of the workers of a loop: often the only one.
pub(crate) struct Worker<S, R, E, RV, T> {
    /// The worker's node in the search for cycles of waits.
    pub(crate) wait_node: Arc<WaitNode>,
    pub(crate) server: Arc<Server<S, R, E>>,
    pub(crate) control: Arc<Control<S, R, E>>,
    pub(crate) loop_state: Arc<LoopState<RV>>,
    pub(crate) name: Arc<str>,
    pub(crate) failure_policy: FailurePolicy,
    pub(crate) context: Context<S, R, E, T>,
    /// The timers of the current handler.
    pub(crate) due: Due<T>,
    /// The sockets of the current handler.
    pub(crate) sockets: WorkerSockets,
    pub(crate) wake: Wake,
    /// The number of renewals when the handler was made.
    pub(crate) renewals: u64,
    /// The worker's registration with a test clock, if it has one.
    pub(crate) participant: Option<Participant>,
    /// Records what the worker is doing.
    pub(crate) recorder: WorkerRecorder,
    /// The callbacks for failures.
    pub(crate) on_failure: OnFailure,
    /// The number of failures so far.
    pub(crate) failures: u64,
    /// The last error of the factory.
    pub(crate) refusal: Refusal,
    /// Whether the worker has reported that `init` is done.
    pub(crate) has_started: bool,
}

/// Makes the handlers of a worker. Its errors need not be those of the application.
pub(crate) struct HandlerFactory<F, X> {
    pub(crate) factory: CatchDrop<F>,
    /// Answered when the first handler is made.
    pub(crate) made: Option<Promise<(), FactoryError<X>>>,
}

impl<S, R, E, RV, T> Worker<S, R, E, RV, T> {
    /// Makes a handler: the first one, or a later one.
    pub(crate) fn make<H, F, X>(
        &mut self,
        handler_factory: &mut HandlerFactory<F, X>,
    ) -> Step<H, RV>
    where
        F: FnMut(&Context<S, R, E, T>) -> Result<H, X>,
        X: Send + 'static,
    {
        self.recorder.set_state(WorkerState::Starting);
        self.renewals = self.control.renewals();
        let result = catch_panic_message(|| (handler_factory.factory.get_mut())(&self.context));
        if let Some(made) = handler_factory.made.take() {
            return self.made_first(made.keep(), result);
        }
        match result {
            Ok(Ok(handler)) => Step::serve(handler),
            Ok(Err(error)) => {
                self.refusal = catch_panic_message(|| Refusal::new(error)).unwrap_or_default();
                self.after_failure(&JoinErrorKind::Refused, MAKING)
            }
            Err(message) => self.after_failure(&JoinErrorKind::Panicked(message), MAKING),
        }
    }

    /// Reports to the caller that waits for the first handler, if it still waits.
    fn made_first<H, X>(
        &mut self,
        made: OwnedReplyContext<(), FactoryError<X>>,
        result: Result<Result<H, X>, PanicMessage>,
    ) -> Step<H, RV> {
        match result {
            Ok(Ok(handler)) => {
                let _ = made.reply(());
                Step::serve(handler)
            }
            Ok(Err(error)) => {
                self.report(&JoinErrorKind::Refused, MAKING, Decision::End);
                // If the caller has left, `fail` returns the error: its drop is user code.
                catch_user_panic(|| drop(made.fail(FactoryError::Refused(error))));
                self.end(Err(JoinErrorKind::Refused))
            }
            Err(message) => {
                let failure = JoinErrorKind::Panicked(message.clone());
                self.report(&failure, MAKING, Decision::End);
                let _ = made.panicked(message);
                self.end(Err(failure))
            }
        }
    }

    /// Records that `init` is done.
    pub(crate) fn started(&mut self) {
        self.recorder.set_state(WorkerState::Serving);
        // The `init` of a later handler counts too, if that of the first one did not return.
        if !self.has_started {
            self.has_started = true;
            self.loop_state.start();
        }
    }

    /// Returns whether the handler is to be rebuilt.
    #[inline]
    pub(crate) fn is_to_renew(&self) -> bool {
        self.control.renewals() != self.renewals
    }

    /// Returns the step after a handler has stopped serving. If the handler panicked, the requests
    /// in `owed` end with the panic's message.
    pub(crate) fn after_serving<H>(
        &mut self,
        serving: Serving<H>,
        served: Result<Served<RV>, PanicMessage>,
        owed: impl IntoIterator<Item = OwnedReplyContext<R, E>>,
    ) -> Step<H, RV> {
        let message = match served {
            Ok(Served::Finished(rv)) => {
                self.recorder.set_state(WorkerState::Ending);
                self.control.refuse(Some(&self.server));
                return Step::Finish(serving.handler, rv);
            }
            Ok(Served::Renew) => {
                drop(serving);
                return self.make_anew();
            }
            #[cfg(all(feature = "tokio", not(any(loom, shuttle))))]
            Ok(Served::TimedOut(call)) => {
                if self.failure_policy.goes_on() {
                    self.report(&JoinErrorKind::TimedOut, call, Decision::Continue);
                    return Step::Serve(serving);
                }
                drop(serving);
                return self.after_failure(&JoinErrorKind::TimedOut, call);
            }
            Err(message) => message,
        };
        let call = self.recorder.panicked(&message);
        for owed in owed {
            // An error means that the caller has left.
            let _ = owed.panicked(message.clone());
        }
        if self.failure_policy.goes_on() && serving.is_ready {
            let failure = JoinErrorKind::Panicked(message);
            self.report(&failure, call, Decision::Continue);
            return Step::Serve(serving);
        }
        drop(serving);
        self.after_failure(&JoinErrorKind::Panicked(message), call)
    }

    fn after_failure<H>(&mut self, failure: &JoinErrorKind, call: Call) -> Step<H, RV> {
        let next = self.failure_policy.after(failure, self.context.clock.now());
        self.report(failure, call, Decision::of(&next));
        match next {
            Next::Restart(pause) => {
                self.recorder.will_restart(pause);
                Step::Pause(pause)
            }
            Next::End(failure) => self.end(Err(failure)),
        }
    }

    /// Calls the callbacks for failures. The callers of the requests in hand have got their error
    /// by then.
    fn report(&mut self, failure: &JoinErrorKind, (during, caller): Call, decision: Decision) {
        self.failures += 1;
        self.on_failure.report(|| FailureEvent {
            name: Arc::clone(&self.name),
            worker: self.context.worker,
            failure: failure.clone(),
            during,
            caller,
            decision,
            failures: self.failures,
            restarts: self.context.restarts,
        });
    }

    /// Waits before a handler is rebuilt. Returns early if the loop is to end, also because no
    /// client is left and nothing is queued.
    pub(crate) async fn pause(&self, pause: Duration) {
        self.recorder.set_state(WorkerState::Pausing);
        let Context { clock, worker, .. } = &self.context;
        // A deadline that the clock cannot represent is none.
        let until = clock.now().checked_add(pause);
        if pause.is_zero() {
            return;
        }
        let participant = self.participant.as_ref();
        if let Some(participant) = participant {
            participant.pauses(until);
        }
        let pause = (self.control).pause(&self.server, *worker, participant, clock, until);
        pause.await;
        if let Some(participant) = participant {
            participant.is_back(false);
        }
    }

    pub(crate) fn after_pause<H>(&mut self) -> Step<H, RV> {
        // The order matters: if no client is left, the requests that the last one sent are queued
        // by then.
        let is_deserted = self.context.client.upgrade().is_none() && self.server.is_empty();
        if self.control.refuses() || is_deserted {
            return self.end(Ok(None));
        }
        self.make_anew()
    }

    fn make_anew<H>(&mut self) -> Step<H, RV> {
        self.context.restarts += 1;
        self.recorder.restarts(self.context.restarts);
        // Timers belong to the handler that armed them. Code that has kept a handle of these timers
        // cannot reach the next handler.
        let wake = Arc::clone(&self.wake);
        let (timers, due) = timers(self.context.clock.clone(), move || wake());
        self.context.timers = timers;
        self.due = due;
        self.context.sockets = self.sockets.begin_handler();
        Step::Make
    }

    /// Returns the step after the clean-up and the drop of the handler. If both failed, the outcome
    /// is the failure of the clean-up.
    pub(crate) fn finished<H>(
        &mut self,
        finished: Result<Option<RV>, JoinErrorKind>,
        dropped: Result<(), PanicMessage>,
    ) -> Step<H, RV> {
        if let Err(JoinErrorKind::Panicked(message)) = &finished {
            let call = self.recorder.panicked(message);
            let failure = JoinErrorKind::Panicked(message.clone());
            self.report(&failure, call, Decision::End);
        }
        Step::End(match (finished, dropped) {
            (Ok(rv), Err(message)) => {
                self.recorder.panicked(&message);
                catch_user_panic(|| drop(rv));
                let failure = JoinErrorKind::Panicked(message);
                self.report(&failure, ("drop", None), Decision::End);
                Err(failure)
            }
            (finished, _) => finished,
        })
    }

    fn end<H>(&self, outcome: Result<Option<RV>, JoinErrorKind>) -> Step<H, RV> {
        self.control.refuse(Some(&self.server));
        Step::End(outcome)
    }

    /// Ends a worker that has not begun, because the system refused its thread a priority or a CPU.
    pub(crate) fn turn_down<F, X>(
        self,
        handler_factory: HandlerFactory<F, X>,
        refused: AttributeRefused,
    ) {
        let HandlerFactory { factory, made } = handler_factory;
        drop(factory);
        self.control.refuse(Some(&self.server));
        if let Some(made) = made {
            let _ = made.keep().fail(FactoryError::Attribute(refused));
        }
        self.report_end(Err(JoinErrorKind::Aborted));
    }

    /// Reports the outcome of this worker to the loop.
    pub(crate) fn report_end(self, outcome: Result<Option<RV>, JoinErrorKind>) {
        let Self {
            loop_state,
            name,
            server,
            due,
            participant,
            wait_node,
            recorder,
            refusal,
            sockets,
            context,
            ..
        } = self;
        // The context refers to the sockets: with it the descriptors of the selector are closed.
        drop((
            due,
            wait_node,
            server,
            participant,
            recorder,
            sockets,
            context,
        ));
        loop_state.end(outcome.map_err(|kind| {
            let is_refusal = match &kind {
                JoinErrorKind::GaveUp(last) => **last == JoinErrorKind::Refused,
                kind => *kind == JoinErrorKind::Refused,
            };
            let error = JoinError::new(&name, kind);
            if is_refusal {
                return error.with_refusal(refusal);
            }
            catch_user_panic(|| drop(refusal));
            error
        }));
    }
}

impl<H, RV> Step<H, RV> {
    /// Returns the step in which a new handler serves.
    pub(crate) fn serve(handler: H) -> Self {
        Self::Serve(Serving {
            handler: CatchDrop::new(handler),
            is_ready: false,
        })
    }
}
