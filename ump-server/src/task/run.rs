//! Drives a worker on its task.

use std::{future::poll_fn, io, ops::ControlFlow, pin::pin, sync::Arc, task::Poll};

use ump::{coop::consume_budget, waits};

use super::{
    Handler,
    attend::{Attend, Calls, Cut, Limit, assert_timer, attend},
    bell::{Bell, Listening},
    caught::caught,
    sleep::NextSleep,
    timeout::{OnTimeout, RequestLimit},
};
use crate::{
    Context, ReplyContext,
    deadlock::awaits::Awaits,
    testing::test_clock::Member,
    worker::join::JoinErrorKind,
    worker::lifecycle::{Maker, Served, Serving, Step, Worker},
    worker::reply_context::Owed,
};

/// From the first handler to the end of the last one.
pub(super) async fn run<S, R, E, RV, T, H, X>(
    mut worker: Worker<S, R, E, RV, T>,
    bell: Arc<Bell>,
    budget: u32,
    mut maker: Maker<impl FnMut(&Context<S, R, E, T>) -> Result<H, X>, X>,
    mut step: Step<H, RV>,
    limit: RequestLimit,
) where
    RV: Send,
    T: Send,
    H: Handler<S, R, E, RV, T>,
    X: Send + 'static,
{
    let calls = poll_fn(|cx| {
        let observer = worker.member.as_ref().map(Member::observer);
        let awaits = Awaits::of_task(&worker.seat, cx.waker(), observer);
        let aborts = &worker.control.aborts;
        Poll::Ready(Calls::new(awaits, aborts, cx.waker().clone()))
    });
    let calls = calls.await;
    let awaits = || Arc::clone(&calls.awaits);
    let outcome = loop {
        step = match step {
            Step::Make => {
                let _watched = waits::watch(awaits());
                worker.make(&mut maker)
            }
            Step::Serve(mut serving) => {
                // Not within what is caught: it has to survive the panic.
                let mut owed = Owed::nothing(&worker.seat);
                let serving_it = serve(&mut worker, &calls, &bell, &mut serving, &mut owed, limit);
                let served = caught(awaits(), budget, serving_it).await;
                worker.after_serving(serving, served, owed.into_duty())
            }
            Step::Pause(pause) => {
                worker.pause(pause).await;
                worker.after_pause()
            }
            Step::Finish(mut handler, rv) => {
                let clerk = &mut worker.clerk;
                calls.begin_clean_up();
                let term = attend(clerk, &calls, "term", || handler.get_mut().term(rv));
                let finished = match caught(awaits(), budget, term).await {
                    Ok(term) => term.map_err(|_| JoinErrorKind::Aborted),
                    Err(message) => Err(JoinErrorKind::Panicked(message)),
                };
                // Apart, as both may panic.
                worker.finished(finished, handler.drop_now())
            }
            Step::End(outcome) => break outcome,
        }
    };
    drop(maker);
    drop(calls);
    worker.tell(outcome);
}

/// Serves until the handler breaks off, or until there is nothing more to serve.
async fn serve<S, R, E, RV, T, H>(
    worker: &mut Worker<S, R, E, RV, T>,
    calls: &Calls,
    bell: &Bell,
    Serving { handler, is_ready }: &mut Serving<H>,
    owed: &mut Owed<R, E>,
    RequestLimit {
        timeout,
        on_timeout,
    }: RequestLimit,
) -> Served<RV>
where
    RV: Send,
    T: Send,
    H: Handler<S, R, E, RV, T>,
{
    let handler = handler.get_mut();
    if !*is_ready {
        let client = worker.context.weak_client();
        let clerk = &mut worker.clerk;
        if attend(clerk, calls, "init", || handler.init(client))
            .await
            .is_err()
        {
            return Served::Up(None);
        }
        *is_ready = true;
        worker.started();
    }
    let Worker {
        server,
        context,
        due,
        member,
        control,
        renewals,
        clerk,
        ..
    } = worker;
    let mut requests = server.stream();
    let mut sleep = NextSleep::default();
    let mut sleep_of_request = NextSleep::default();
    let mut listening = Listening::default();
    loop {
        if control.renewals() != *renewals {
            return Served::Enough;
        }
        if !due.is_idle() {
            due.begin(context.clock.now());
            while let Some(token) = due.pop() {
                consume_budget().await;
                match attend(clerk, calls, "on_timer", || handler.on_timer(token)).await {
                    Ok(ControlFlow::Continue(())) => {}
                    Ok(ControlFlow::Break(rv)) => return Served::Up(Some(rv)),
                    Err(_) => return Served::Up(None),
                }
            }
        }
        let event = poll_fn(|cx| {
            if let Poll::Ready(taken) = requests.poll_wait(cx) {
                return Poll::Ready(Event::Taken(taken));
            }
            bell.listen(&mut listening, cx.waker());
            if control.renewals() != *renewals {
                return Poll::Ready(Event::Timer(Ok(())));
            }
            let until = due.sleep_until();
            if let Some(member) = member {
                member.waits(until);
            }
            sleep.poll(&context.clock, until, cx).map(Event::Timer)
        });
        let event = event.await;
        if let Some(member) = member {
            member.is_back(matches!(event, Event::Taken(Ok(_))));
        }
        match event {
            Event::Taken(Ok((msg, rctx))) => {
                let lent = ReplyContext::lend(owed, rctx);
                clerk.begin_request(handler.kind(&msg), (lent.owed(), 1), || server.len());
                let until = timeout.and_then(|timeout| context.clock.now().checked_add(timeout));
                let flow = {
                    let call = pin!(Some(handler.proc_req(msg, lent)));
                    let limit = until.map(|until| Limit {
                        clock: &context.clock,
                        until,
                        sleep: &mut sleep_of_request,
                    });
                    Attend::new(clerk, calls, call, limit).await
                };
                let cut = match flow {
                    Ok(flow) => {
                        clerk.end(owed.settle());
                        match flow {
                            ControlFlow::Continue(()) => continue,
                            ControlFlow::Break(rv) => return Served::Up(Some(rv)),
                        }
                    }
                    Err(cut) => cut,
                };
                // What it has forgotten is owed still.
                let settled = cut.reason().scope(|| owed.settle());
                let called_for = clerk.called_for();
                clerk.end(cut.outcome(settled));
                match (cut, on_timeout) {
                    (Cut::Aborted, _) => return Served::Up(None),
                    (Cut::TimedOut, OnTimeout::Continue) => {}
                    (Cut::TimedOut, OnTimeout::Fail) => return Served::TimedOut(called_for),
                }
            }
            Event::Taken(Err(_)) => return Served::Up(None),
            Event::Timer(slept) => assert_timer(slept),
        }
    }
}

/// What a loop waits for.
enum Event<J, E> {
    Taken(Result<J, ump::Error<E>>),
    Timer(io::Result<()>),
}
