//! Drives a worker on its thread.

use std::ops::ControlFlow;

use ump::{Clock, hooks::LoopView};

use super::{fire::fire, sockets::serve_with_sockets, work::Work};
use crate::{
    Context,
    catch::catch_panic_message,
    deadlock,
    worker::join_error::JoinErrorKind,
    worker::lifecycle::{HandlerFactory, Served, Serving, Step, Worker},
};

/// Runs a worker on this thread, from its first handler to its end.
pub(super) fn run<S, R, E, RV, T, H: Work<S, R, E, RV, T>, X: Send + 'static>(
    mut worker: Worker<S, R, E, RV, T>,
    mut handler_factory: HandlerFactory<impl FnMut(&Context<S, R, E, T>) -> Result<H, X>, X>,
) {
    let _watched = deadlock::watch(&worker.wait_node);
    let mut step = Step::Make;
    let outcome = loop {
        step = match step {
            Step::Make => worker.make(&mut handler_factory),
            Step::Serve(mut serving) => {
                // Outside of `catch_panic_message`, because the requests in hand have to survive a
                // panic.
                let mut hand = H::hand(&worker.wait_node);
                let served = catch_panic_message(|| serve(&mut worker, &mut serving, &mut hand));
                worker.after_serving(serving, served, H::owed(hand))
            }
            Step::Pause(pause) => {
                Clock::system().block_on(worker.pause(pause), None);
                worker.after_pause()
            }
            Step::Finish(mut handler, rv) => {
                let recorder = &mut worker.recorder;
                let finished =
                    catch_panic_message(|| recorder.call("term", || handler.get_mut().term(rv)));
                let finished = finished.map_err(JoinErrorKind::Panicked);
                // The handler is dropped on its own, because both `term` and the drop may panic.
                worker.finished(finished, handler.drop_now())
            }
            Step::End(outcome) => break outcome,
        }
    };
    drop(handler_factory);
    worker.report_end(outcome);
}

/// Serves until the handler returns `Break` or is to be rebuilt, or until there is nothing more to
/// serve. One `catch_unwind` surrounds all requests, rather than one each.
fn serve<S, R, E, RV, T, H: Work<S, R, E, RV, T>>(
    worker: &mut Worker<S, R, E, RV, T>,
    Serving { handler, is_ready }: &mut Serving<H>,
    hand: &mut H::Hand,
) -> Served<RV> {
    let handler = handler.get_mut();
    if !*is_ready {
        let Worker {
            context, recorder, ..
        } = &mut *worker;
        recorder.call("init", || handler.init(context));
        *is_ready = true;
        worker.started();
    }
    loop {
        if worker.sockets.are_used() {
            return serve_with_sockets(worker, handler, hand);
        }
        // Read the number of interruptions before the state that they announce: a timer armed
        // elsewhere, or a renewal. A later interruption then ends the wait below.
        let known = LoopView::new(&worker.server).interruptions();
        if worker.is_to_renew() {
            return Served::Renew;
        }
        let mut until = None;
        if !worker.due.is_idle() {
            if let ControlFlow::Break(rv) = fire(worker, handler, || {}) {
                return Served::Finished(Some(rv));
            }
            until = worker.due.sleep_until();
        }
        if let Some(participant) = &worker.participant {
            participant.waits(until);
        }
        let taken = LoopView::new(&worker.server).wait_since(known, until);
        if let Some(participant) = &worker.participant {
            participant.is_back(matches!(taken, Ok(Some(_))));
        }
        match taken {
            Ok(Some(job)) => {
                if let ControlFlow::Break(rv) =
                    handler.handle(hand, &worker.server, &mut worker.recorder, job)
                {
                    return Served::Finished(Some(rv));
                }
            }
            Ok(None) => {}
            Err(_) => return Served::Finished(None),
        }
    }
}
