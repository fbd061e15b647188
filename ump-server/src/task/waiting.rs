//! The wait of a loop: for a request, a timer, or what its handler waits for itself.

use std::{
    future::{Future, poll_fn},
    io,
    mem::needs_drop,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use ump::{ReplyContext, Requests};

use super::{
    Service,
    alternation::Alternation,
    loop_waker::{LoopWaker, RegisteredWaker},
    sleep::NextSleep,
};
use crate::{catch::catch_user_panic, worker::lifecycle::Worker};

/// An event that ends the wait of a loop.
pub(super) enum Event<J, E> {
    Taken(Result<J, ump::Error<E>>),
    /// A timer is due, or the loop has to look again.
    Timer(io::Result<()>),
    /// The event that the handler has waited for itself.
    Ready,
}

/// The state that a loop keeps from one wait to the next.
pub(super) struct Waiting<'a> {
    loop_waker: &'a LoopWaker,
    listening: RegisteredWaker,
    sleep: NextSleep,
    turns: Alternation,
}

impl<'a> Waiting<'a> {
    pub(super) fn new(loop_waker: &'a LoopWaker) -> Self {
        Self {
            loop_waker,
            listening: RegisteredWaker::default(),
            sleep: NextSleep::default(),
            turns: Alternation::default(),
        }
    }

    /// Waits for the next event.
    #[inline]
    pub(super) async fn next<S, R, E, RV, T, H>(
        &mut self,
        worker: &mut Worker<S, R, E, RV, T>,
        handler: &mut H,
        requests: &mut Requests<'_, S, R, E>,
    ) -> Event<(S, ReplyContext<R, E>), E>
    where
        H: Service<Request = S, Reply = R, Error = E, Output = RV, Timer = T>,
    {
        let Self {
            loop_waker,
            listening,
            sleep,
            turns,
        } = self;
        // It is not a call: it holds up no request, so it may wait for as long as it likes.
        let mut ready = pin!(Some(handler.ready()));
        let event = poll_fn(|cx| {
            let mut poll_ready = |cx: &mut Context<'_>| {
                let ready = ready.as_mut().as_pin_mut();
                ready.is_some_and(|ready| ready.poll(cx).is_ready())
            };
            let is_handlers_turn = turns.is_handlers_turn();
            if is_handlers_turn {
                if poll_ready(cx) {
                    return Poll::Ready(Event::Ready);
                }
                turns.pass();
            }
            if let Poll::Ready(taken) = requests.poll_wait(cx) {
                return Poll::Ready(Event::Taken(taken));
            }
            if !is_handlers_turn && poll_ready(cx) {
                return Poll::Ready(Event::Ready);
            }
            loop_waker.register(listening, cx.waker());
            // By its fields, since a whole worker cannot be shared with other threads.
            if worker.control.renewals() != worker.renewals {
                return Poll::Ready(Event::Timer(Ok(())));
            }
            let until = worker.due.sleep_until();
            if let Some(participant) = &worker.participant {
                participant.waits(until);
            }
            sleep
                .poll(&worker.context.clock, until, cx)
                .map(Event::Timer)
        })
        .await;
        drop_future(ready);
        match &event {
            Event::Taken(_) => turns.took_request(),
            Event::Ready => turns.took_event(),
            Event::Timer(_) => {}
        }
        if let Some(participant) = &worker.participant {
            participant.is_back(matches!(event, Event::Taken(Ok(_))));
        }
        event
    }
}

/// Drops a future where it waits. A panic of that drop is not one of the request that has come.
#[inline]
fn drop_future<F>(mut future: Pin<&mut Option<F>>) {
    if needs_drop::<F>() {
        catch_user_panic(|| future.set(None));
    }
}
