//! The states of a worker. Loops on threads and on tasks share them, and differ only in how they
//! wait.
//!
//! ```text
//!          the handler is renewed
//!        ┌──────────────┐
//!        ▼              │
//!      Make ────────▶ Serve ────▶ Finish ────▶ End
//!      ▲  │            │ │ ▲                    ▲
//!      │  │ refusal    │ └─┘ panic: goes on     │
//!      │  ▼            ▼                        │
//!      └─ Pause ◀── panic, refusal ─────────────┘ or that was one too many
//! ```
//!
//! The driver does what a step says and asks for the next one. Invariants:
//! - When the worker leaves `Serve`, the request in hand has ended: by the handler, or with the
//!   panic's message.
//! - Before `Finish` and `End` the queue is turned down, so that callers learn of the end before
//!   the clean-up runs.
//! - User code (handler, factory, their drops, tokens, panic payloads) runs only where its panics
//!   are caught.

use std::{panic::Location, sync::Arc, time::Duration};

use ump::{PanicMessage, ReplyContext as OwnedReplyContext, Server};

use crate::{
    Context,
    catch::{CatchDrop, catch_user_panic, ignore_user_panic},
    deadlock::{Promise, WaitNode},
    record::WorkerState,
    testing::test_clock::Participant,
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
    /// The handler is to be renewed.
    Renew,
    /// It took too long for this request, whose caller has been told.
    #[cfg(all(feature = "tokio", not(any(loom, shuttle))))]
    TimedOut(Call),
}

/// One of the workers of a loop: often the only one.
pub(crate) struct Worker<S, R, E, RV, T> {
    /// Where it is found by those who look for cycles of waiting.
    pub(crate) wait_node: Arc<WaitNode>,
    pub(crate) server: Arc<Server<S, R, E>>,
    pub(crate) control: Arc<Control<S, R, E>>,
    pub(crate) loop_state: Arc<LoopState<RV>>,
    pub(crate) name: Arc<str>,
    pub(crate) failure_policy: FailurePolicy,
    pub(crate) context: Context<S, R, E, T>,
    /// The timers of the handler that is at work.
    pub(crate) due: Due<T>,
    pub(crate) wake: Wake,
    /// The number of renewals when the handler was made.
    pub(crate) renewals: u64,
    /// If it is under a test clock.
    pub(crate) participant: Option<Participant>,
    /// Writes down what it is doing.
    pub(crate) recorder: WorkerRecorder,
    /// The callbacks for failures.
    pub(crate) on_failure: OnFailure,
    /// How many there have been.
    pub(crate) failures: u64,
    /// The last error of the factory.
    pub(crate) refusal: Refusal,
    /// Whether it has been told that `init` is done.
    pub(crate) has_started: bool,
}

/// Makes the handlers of a worker. Its errors need not be those of the application.
pub(crate) struct HandlerFactory<F, X> {
    pub(crate) factory: CatchDrop<F>,
    /// Answered when the first handler is made.
    pub(crate) made: Option<Promise<(), FactoryError<X>>>,
}

impl<S, R, E, RV, T> Worker<S, R, E, RV, T> {
    /// Makes a handler, the first one or another one.
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
        let result = catch_user_panic(|| (handler_factory.factory.get_mut())(&self.context));
        if let Some(made) = handler_factory.made.take() {
            return self.made_first(made.keep(), result);
        }
        match result {
            Ok(Ok(handler)) => Step::serve(handler),
            Ok(Err(error)) => {
                self.refusal = catch_user_panic(|| Refusal::new(error)).unwrap_or_default();
                self.after_failure(&JoinErrorKind::Refused, MAKING)
            }
            Err(message) => self.after_failure(&JoinErrorKind::Panicked(message), MAKING),
        }
    }

    /// Tells the one who waits for it; that there may be nobody is no concern of ours.
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
                // If nobody waits for it, it comes back.
                ignore_user_panic(|| drop(made.fail(FactoryError::Refused(error))));
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

    /// `init` is done.
    pub(crate) fn started(&mut self) {
        self.recorder.set_state(WorkerState::Serving);
        // That of a later handler counts too, if the first one did not get as far.
        if !self.has_started {
            self.has_started = true;
            self.loop_state.start();
        }
    }

    /// Whether the handler is to be made anew.
    #[inline]
    pub(crate) fn is_to_renew(&self) -> bool {
        self.control.renewals() != self.renewals
    }

    /// The handler broke off, there is nothing more to serve, or it panicked; then with what it
    /// owes to those in hand.
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
            // Perhaps the caller has left.
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

    /// Calls who is to be called for a failure. The callers in hand have learned of it by then.
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

    /// Waits before a handler is made anew, or until the loop is to end, also because nobody can
    /// ask it anything any more.
    pub(crate) async fn pause(&self, pause: Duration) {
        self.recorder.set_state(WorkerState::Pausing);
        let Context { clock, worker, .. } = &self.context;
        // Longer than the clock can tell is for ever.
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
        // In this order: a request that the last client sent before it left is queued by then.
        let is_deserted = self.context.client.upgrade().is_none() && self.server.is_empty();
        if self.control.refuses() || is_deserted {
            return self.end(Ok(None));
        }
        self.make_anew()
    }

    fn make_anew<H>(&mut self) -> Step<H, RV> {
        self.context.restarts += 1;
        self.recorder.restarts(self.context.restarts);
        // Timers belong to the handler that armed them: whatever kept a handle of those cannot
        // reach the next handler.
        let wake = Arc::clone(&self.wake);
        let (timers, due) = timers(self.context.clock.clone(), move || wake());
        self.context.timers = timers;
        self.due = due;
        Step::Make
    }

    /// The clean-up is done and the handler dropped, or one of these failed. The first of these
    /// failures is what is told.
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
                ignore_user_panic(|| drop(rv));
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

    /// Ends before it has begun: its thread is not what it should be.
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
        self.tell(Err(JoinErrorKind::Aborted));
    }

    /// Tells it to whoever waits for the end.
    pub(crate) fn tell(self, outcome: Result<Option<RV>, JoinErrorKind>) {
        let Self {
            loop_state,
            name,
            server,
            due,
            participant,
            wait_node,
            recorder,
            refusal,
            ..
        } = self;
        drop((due, wait_node, server, participant, recorder));
        loop_state.end(outcome.map_err(|kind| {
            let is_refusal = match &kind {
                JoinErrorKind::GaveUp(last) => **last == JoinErrorKind::Refused,
                kind => *kind == JoinErrorKind::Refused,
            };
            let error = JoinError::new(&name, kind);
            if is_refusal {
                return error.with_refusal(refusal);
            }
            ignore_user_panic(|| drop(refusal));
            error
        }));
    }
}

impl<H, RV> Step<H, RV> {
    /// Has a new handler serve.
    pub(crate) fn serve(handler: H) -> Self {
        Self::Serve(Serving {
            handler: CatchDrop::new(handler),
            is_ready: false,
        })
    }
}
