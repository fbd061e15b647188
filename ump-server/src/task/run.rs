//! Drives a worker on its task.

use std::{future::poll_fn, ops::ControlFlow, pin::pin, sync::Arc, task::Poll};

use ump::{coop::consume_budget, hooks};

use super::{
    Service,
    call::{CallContext, CallError, HandlerCall, Limit, assert_timer, call_handler},
    caught::caught,
    loop_waker::LoopWaker,
    sleep::NextSleep,
    sockets::deliver,
    timeout::{OnTimeout, RequestLimit},
    waiting::{Event, Waiting},
};
use crate::{
    Context, ReplyContext,
    deadlock::awaits::Awaits,
    testing::participant::Participant,
    worker::join_error::JoinErrorKind,
    worker::lifecycle::{HandlerFactory, Served, Serving, Step, Worker},
    worker::reply_context::PendingReply,
};

/// Runs a worker on this task, from its first handler to its end.
pub(super) async fn run<S, R, E, RV, T, H, X>(
    mut worker: Worker<S, R, E, RV, T>,
    loop_waker: Arc<LoopWaker>,
    budget: u32,
    mut handler_factory: HandlerFactory<impl FnMut(&Context<S, R, E, T>) -> Result<H, X>, X>,
    mut step: Step<H, RV>,
    limit: RequestLimit,
) where
    RV: Send,
    T: Send,
    H: Service<Request = S, Reply = R, Error = E, Output = RV, Timer = T>,
    X: Send + 'static,
{
    let calls = poll_fn(|cx| {
        let observer = worker.participant.as_ref().map(Participant::observer);
        let awaits = Awaits::of_task(&worker.wait_node, cx.waker(), observer);
        let aborts = &worker.control.aborts;
        Poll::Ready(CallContext::new(awaits, aborts, cx.waker().clone()))
    });
    let calls = calls.await;
    let awaits = || Arc::clone(&calls.awaits);
    let outcome = loop {
        step = match step {
            Step::Make => {
                let _watched = hooks::watch(awaits());
                worker.make(&mut handler_factory)
            }
            Step::Serve(mut serving) => {
                // Outside of `caught`, because the reply that is owed has to survive a panic.
                let mut owed = PendingReply::none(&worker.wait_node);
                let serving_it = serve(
                    &mut worker,
                    &calls,
                    &loop_waker,
                    &mut serving,
                    &mut owed,
                    limit,
                );
                let served = caught(awaits(), budget, serving_it).await;
                worker.after_serving(serving, served, owed.into_duty())
            }
            Step::Pause(pause) => {
                worker.pause(pause).await;
                worker.after_pause()
            }
            Step::Finish(mut handler, rv) => {
                let recorder = &mut worker.recorder;
                calls.begin_clean_up();
                let term = call_handler(recorder, &calls, "term", || handler.get_mut().term(rv));
                let finished = match caught(awaits(), budget, term).await {
                    Ok(term) => term.map_err(|_| JoinErrorKind::Aborted),
                    Err(message) => Err(JoinErrorKind::Panicked(message)),
                };
                // The handler is dropped on its own, because both `term` and the drop may panic.
                worker.finished(finished, handler.drop_now())
            }
            Step::End(outcome) => break outcome,
        }
    };
    drop(handler_factory);
    drop(calls);
    worker.report_end(outcome);
}

/// Serves until the handler returns `Break`, is to be rebuilt or fails by a time-out, or until
/// there is nothing more to serve.
async fn serve<S, R, E, RV, T, H>(
    worker: &mut Worker<S, R, E, RV, T>,
    calls: &CallContext,
    loop_waker: &LoopWaker,
    Serving { handler, is_ready }: &mut Serving<H>,
    owed: &mut PendingReply<R, E>,
    RequestLimit {
        timeout,
        on_timeout,
    }: RequestLimit,
) -> Served<RV>
where
    RV: Send,
    T: Send,
    H: Service<Request = S, Reply = R, Error = E, Output = RV, Timer = T>,
{
    let handler = handler.get_mut();
    if !*is_ready {
        let Worker {
            context, recorder, ..
        } = &mut *worker;
        if call_handler(recorder, calls, "init", || handler.init(context))
            .await
            .is_err()
        {
            return Served::Finished(None);
        }
        *is_ready = true;
        worker.started();
    }
    let server = Arc::clone(&worker.server);
    let mut requests = server.stream();
    let mut waiting = Waiting::new(loop_waker);
    let mut sleep_of_request = NextSleep::default();
    loop {
        if worker.is_to_renew() {
            return Served::Renew;
        }
        if !worker.due.is_idle() {
            // Meanwhile other workers take the requests.
            let leave_line = || requests = server.stream();
            if let ControlFlow::Break(rv) = fire(worker, calls, handler, leave_line).await {
                return Served::Finished(rv);
            }
        }
        let event = waiting.next(worker, handler, &mut requests).await;
        let Worker {
            context, recorder, ..
        } = &mut *worker;
        match event {
            Event::Taken(Ok((msg, rctx))) => {
                let lent = ReplyContext::lend(owed, rctx);
                recorder.begin_request(handler.kind(&msg), (lent.owed(), 1), || server.len());
                let until = timeout.and_then(|timeout| context.clock.now().checked_add(timeout));
                let flow = {
                    let call = pin!(Some(handler.handle(msg, lent)));
                    let limit = until.map(|until| Limit {
                        clock: &context.clock,
                        until,
                        sleep: &mut sleep_of_request,
                    });
                    HandlerCall::new(recorder, calls, call, limit).await
                };
                let cut = match flow {
                    Ok(flow) => {
                        recorder.end(owed.settle());
                        match flow {
                            ControlFlow::Continue(()) => continue,
                            ControlFlow::Break(rv) => return Served::Finished(Some(rv)),
                        }
                    }
                    Err(cut) => cut,
                };
                // If the call has leaked its reply context, the reply is still owed.
                let settled = cut.reason().scope(|| owed.settle());
                let called_for = recorder.called_for();
                recorder.end(cut.outcome(settled));
                match (cut, on_timeout) {
                    (CallError::Aborted, _) => return Served::Finished(None),
                    (CallError::TimedOut, OnTimeout::Continue) => {}
                    (CallError::TimedOut, OnTimeout::Fail) => return Served::TimedOut(called_for),
                }
            }
            Event::Taken(Err(_)) => return Served::Finished(None),
            Event::Timer(slept) => assert_timer(&context.clock, slept),
            Event::Ready => {
                // Before the stream is dropped: if it has yielded, its drop restores the budget.
                consume_budget().await;
                // Meanwhile other workers take the requests.
                requests = server.stream();
                match call_handler(recorder, calls, "on_ready", || handler.on_ready()).await {
                    Ok(ControlFlow::Continue(())) => {}
                    Ok(ControlFlow::Break(rv)) => return Served::Finished(Some(rv)),
                    Err(_) => return Served::Finished(None),
                }
            }
            Event::Sockets => {
                // Meanwhile other workers take the requests.
                let leave_line = || requests = server.stream();
                if let ControlFlow::Break(rv) = deliver(worker, calls, handler, leave_line).await {
                    return Served::Finished(rv);
                }
            }
        }
    }
}

/// Calls the handler for the timers that are due, and `before_each` before each call. `Break` ends
/// the serving, with the value of the handler.
async fn fire<S, R, E, RV, T, H>(
    worker: &mut Worker<S, R, E, RV, T>,
    calls: &CallContext,
    handler: &mut H,
    mut before_each: impl FnMut(),
) -> ControlFlow<Option<RV>>
where
    H: Service<Request = S, Reply = R, Error = E, Output = RV, Timer = T>,
{
    let Worker {
        context,
        due,
        recorder,
        ..
    } = worker;
    due.begin(context.clock.now());
    while let Some(token) = due.pop() {
        // Before the stream is dropped: if it has yielded, its drop restores the budget.
        consume_budget().await;
        before_each();
        match call_handler(recorder, calls, "on_timer", || handler.on_timer(token)).await {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(rv)) => return ControlFlow::Break(Some(rv)),
            Err(_) => return ControlFlow::Break(None),
        }
    }
    ControlFlow::Continue(())
}
