//! Drives a worker that waits for sockets as well: see the turns in [`net`](crate::net).
//!
//! The loop differs from that without sockets in where it sleeps: in its selector, and not in the
//! wait queue of its channel. There it has a waker instead.

use std::{ops::ControlFlow, sync::Arc};

use ump::hooks::LoopView;

use super::{fire::fire, work::Work};
use crate::{
    net::poller::Poller,
    worker::lifecycle::{Served, Worker},
    worker::recorder::WorkerRecorder,
};

/// The number of requests between two turns of events, if there are more events.
const BETWEEN_TURNS: u32 = 16;
/// The number of requests after which the loop asks its selector, if it knows of no event: a system
/// call, which is to be a small part of what a request costs.
const BETWEEN_LOOKS: u32 = 64;

/// Serves until the handler returns `Break` or is to be rebuilt, or until there is nothing more to
/// serve.
pub(super) fn serve_with_sockets<S, R, E, RV, T, H: Work<S, R, E, RV, T>>(
    worker: &mut Worker<S, R, E, RV, T>,
    handler: &mut H,
    hand: &mut H::Hand,
) -> Served<RV> {
    let server = Arc::clone(&worker.server);
    let mut requests = LoopView::new(&server).requests();
    // The number of requests until the loop begins a turn of events.
    let mut left = BETWEEN_LOOKS;
    // Whether a request has come since the last sleep: then the next one may come soon.
    let mut spins = true;
    loop {
        if worker.is_to_renew() {
            return Served::Renew;
        }
        if !worker.due.is_idle() {
            // Meanwhile other workers take the requests.
            if let ControlFlow::Break(rv) = fire(worker, handler, || requests.leave()) {
                return Served::Finished(Some(rv));
            }
        }
        let Worker {
            sockets,
            recorder,
            due,
            participant,
            ..
        } = &mut *worker;
        let poller = sockets.poller().expect("there are sockets");
        if left == 0 {
            poller.begin_turn();
            // Meanwhile other workers take the requests.
            requests.leave();
            if let ControlFlow::Break(rv) = deliver(poller, handler, recorder) {
                return Served::Finished(Some(rv));
            }
            left = BETWEEN_LOOKS;
        }
        let is_due = poller.is_due();
        let job = if is_due {
            // There are more events, so the loop does not wait for a request.
            left = left.min(BETWEEN_TURNS);
            requests.try_take()
        } else if spins && participant.is_none() {
            // What a sleep needs is prepared only if no request comes meanwhile.
            requests.take_awake()
        } else {
            Ok(None)
        };
        let job = match job {
            Ok(None) if !is_due => {
                // A thread that arms an earlier timer from here on wakes the loop.
                let timer = if due.is_idle() {
                    None
                } else {
                    due.sleep_until()
                };
                let until = timer.into_iter().chain(poller.next_deadline()).min();
                if let Some(participant) = participant {
                    participant.waits(until);
                }
                // A participant has said that it waits before it waits awake.
                let job = requests.take_or_register(poller.waker(), spins && participant.is_some());
                if let Ok(None) = job {
                    poller.sleep(until);
                }
                if let Some(participant) = participant {
                    participant.is_back(matches!(job, Ok(Some(_))));
                }
                if let Ok(None) = job {
                    spins = false;
                    left = BETWEEN_LOOKS;
                    poller.begin_turn_after_sleep();
                    if poller.is_due() {
                        // Meanwhile other workers take the requests.
                        requests.leave();
                        if let ControlFlow::Break(rv) = deliver(poller, handler, recorder) {
                            return Served::Finished(Some(rv));
                        }
                    }
                    continue;
                }
                job
            }
            job => job,
        };
        match job {
            Ok(Some(job)) => {
                spins = true;
                left -= 1;
                if let ControlFlow::Break(rv) = handler.handle(hand, &server, recorder, job) {
                    return Served::Finished(Some(rv));
                }
            }
            Ok(None) => left = 0,
            Err(_) => return Served::Finished(None),
        }
    }
}

/// Calls the handler for the events of this turn.
fn deliver<S, R, E, RV, T, H: Work<S, R, E, RV, T>>(
    poller: &mut Poller,
    handler: &mut H,
    recorder: &mut WorkerRecorder,
) -> ControlFlow<RV> {
    while let Some((event, delivery)) = poller.next() {
        recorder.call("on_socket", || handler.on_socket(event))?;
        drop(delivery);
    }
    ControlFlow::Continue(())
}
