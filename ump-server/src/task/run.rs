//! Drives a worker on its task.

use std::{future::poll_fn, io, ops::ControlFlow, sync::Arc, task::Poll};

use ump::ReplyContext as Owed;

use super::{
    Handler,
    bell::{Bell, Listening},
    caught::caught,
    sleep::NextSleep,
};
use crate::{
    Context, ReplyContext, panics,
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
    let outcome = loop {
        step = match step {
            Step::Make => worker.make(&mut maker),
            Step::Serve(mut serving) => {
                // Not within what is caught: it has to survive the panic.
                let mut owed = None;
                let seat = Arc::clone(&worker.seat);
                let serving_it = serve(&mut worker, &bell, &mut serving, &mut owed);
                let served = caught(seat, serving_it).await;
                worker.after_serving(serving, served, owed)
            }
            Step::Pause(pause) => {
                worker.pause(pause).await;
                worker.after_pause()
            }
            Step::Finish(handler, rv) => Step::finished(
                caught(Arc::clone(&worker.seat), async {
                    let mut handler = handler;
                    handler.term(rv).await
                })
                .await,
            ),
            Step::End(outcome) => break outcome,
        }
    };
    let _ = panics::caught(|| drop(maker));
    worker.tell(outcome);
}

/// Serves until the handler breaks off, or until there is nothing more to serve.
async fn serve<S, R, E, RV, T, H>(
    worker: &mut Worker<S, R, E, RV, T>,
    bell: &Bell,
    Serving { handler, is_ready }: &mut Serving<H>,
    owed: &mut Option<Owed<R, E>>,
) -> Served<RV>
where
    RV: Send,
    T: Send,
    H: Handler<S, R, E, RV, T>,
{
    if !*is_ready {
        handler.init(worker.context.weak_client()).await;
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
                if let ControlFlow::Break(rv) = handler.on_timer(token).await {
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
                if let ControlFlow::Break(rv) = handler.proc_req(msg, lent).await {
                    return Served::Up(Some(rv));
                }
                // Had it been forgotten, it would be owed for ever.
                *owed = None;
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
