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
    sockets::{self, SocketTurns},
};
use crate::{catch::catch_user_panic, worker::lifecycle::Worker};

/// An event that ends the wait of a loop.
pub(super) enum Event<J, E> {
    Taken(Result<J, ump::Error<E>>),
    /// A timer is due, or the loop has to look again.
    Timer(io::Result<()>),
    /// The event that the handler has waited for itself.
    Ready,
    /// There are events of the loop's sockets.
    Sockets,
}

/// The state that a loop keeps from one wait to the next.
pub(super) struct Waiting<'a> {
    loop_waker: &'a LoopWaker,
    listening: RegisteredWaker,
    sleep: NextSleep,
    turns: Alternation,
    socket_turns: SocketTurns,
}

impl<'a> Waiting<'a> {
    pub(super) fn new(loop_waker: &'a LoopWaker) -> Self {
        Self {
            loop_waker,
            listening: RegisteredWaker::default(),
            sleep: NextSleep::default(),
            turns: Alternation::default(),
            socket_turns: SocketTurns::default(),
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
            socket_turns,
        } = self;
        // It is not a call: it holds up no request, so it may wait for as long as it likes.
        let mut ready = pin!(Some(handler.ready()));
        let event = poll_fn(|cx| {
            let mut is_due = false;
            if worker.sockets.are_used() {
                if socket_turns.is_next(&mut worker.sockets) {
                    return Poll::Ready(Event::Sockets);
                }
                is_due = sockets::is_due(&mut worker.sockets);
            }
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
            let taken = if is_due {
                // A stream that is new may let others run before it looks.
                socket_turns.take_at_once(&worker.server, cx)
            } else {
                requests.poll_wait(cx)
            };
            if let Poll::Ready(taken) = taken {
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
            let mut until = worker.due.sleep_until();
            if worker.sockets.are_used() {
                if sockets::poll_due(&mut worker.sockets, cx) {
                    return Poll::Ready(Event::Sockets);
                }
                let next = sockets::next_deadline(&mut worker.sockets);
                until = until.into_iter().chain(next).min();
            }
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
            Event::Taken(_) => {
                turns.took_request();
                socket_turns.took_request();
            }
            Event::Ready => turns.took_event(),
            Event::Timer(_) | Event::Sockets => {}
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
