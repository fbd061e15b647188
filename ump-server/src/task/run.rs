//! Drives a worker on its task.

use std::{future::poll_fn, io, ops::ControlFlow, pin::pin, sync::Arc, task::Poll};

use super::{
    Handler,
    attend::{Attend, attend},
    bell::{Bell, Listening},
    caught::caught,
    sleep::NextSleep,
};
use crate::{
    Context, ReplyContext,
    deadlock::awaits::Awaits,
    reply_context::Owed,
    test_clock::Member,
    worker::{Maker, Served, Serving, Step, Worker},
};

/// From the first handler to the end of the last one.
pub(super) async fn run<S, R, E, RV, T, H, X>(
    mut worker: Worker<S, R, E, RV, T>,
    bell: Arc<Bell>,
    mut maker: Maker<impl FnMut(&Context<S, R, E, T>) -> Result<H, X>, X>,
    mut step: Step<H, RV>,
) where
    RV: Send,
    T: Send,
    H: Handler<S, R, E, RV, T>,
{
    let awaits = poll_fn(|cx| {
        let observer = worker.member.as_ref().map(Member::observer);
        Poll::Ready(Awaits::new(&worker.seat, cx.waker(), observer))
    });
    let awaits = Arc::new(awaits.await);
    let outcome = loop {
        step = match step {
            Step::Make => worker.make(&mut maker),
            Step::Serve(mut serving) => {
                // Not within what is caught: it has to survive the panic.
                let mut owed = Owed::nothing(&worker.seat);
                let serving_it = serve(&mut worker, &awaits, &bell, &mut serving, &mut owed);
                let served = caught(Arc::clone(&awaits), serving_it).await;
                worker.after_serving(serving, served, owed.into_duty())
            }
            Step::Pause(pause) => {
                worker.pause(pause).await;
                worker.after_pause()
            }
            Step::Finish(mut handler, rv) => {
                let clerk = &mut worker.clerk;
                let term = attend(clerk, &awaits, "term", || handler.get_mut().term(rv));
                let finished = caught(Arc::clone(&awaits), term).await;
                // Apart, as both may panic.
                worker.finished(finished, handler.drop_now())
            }
            Step::End(outcome) => break outcome,
        }
    };
    drop(maker);
    drop(awaits);
    worker.tell(outcome);
}

/// Serves until the handler breaks off, or until there is nothing more to serve.
async fn serve<S, R, E, RV, T, H>(
    worker: &mut Worker<S, R, E, RV, T>,
    awaits: &Awaits,
    bell: &Bell,
    Serving { handler, is_ready }: &mut Serving<H>,
    owed: &mut Owed<R, E>,
) -> Served<RV>
where
    RV: Send,
    T: Send,
    H: Handler<S, R, E, RV, T>,
{
    let handler = handler.get_mut();
    if !*is_ready {
        let client = worker.context.weak_client();
        attend(&mut worker.clerk, awaits, "init", || handler.init(client)).await;
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
    let mut listening = Listening::default();
    loop {
        if control.renewals() != *renewals {
            return Served::Enough;
        }
        if !due.is_idle() {
            due.begin(context.clock.now());
            while let Some(token) = due.pop() {
                let flow = attend(clerk, awaits, "on_timer", || handler.on_timer(token)).await;
                if let ControlFlow::Break(rv) = flow {
                    return Served::Up(Some(rv));
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
                let flow = {
                    let call = pin!(Some(handler.proc_req(msg, lent)));
                    Attend::new(clerk, awaits, call).await
                };
                clerk.end(owed.settle());
                if let ControlFlow::Break(rv) = flow {
                    return Served::Up(Some(rv));
                }
            }
            Event::Taken(Err(_)) => return Served::Up(None),
            Event::Timer(Ok(())) => {}
            Event::Timer(Err(refusal)) => {
                panic!("its timers cannot be kept: the system refused a thread: {refusal}")
            }
        }
    }
}

/// What a loop waits for.
enum Event<J, E> {
    Taken(Result<J, ump::Error<E>>),
    Timer(io::Result<()>),
}
