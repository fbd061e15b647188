//! The timers of a worker on a thread.

use std::ops::ControlFlow;

use super::work::Work;
use crate::worker::lifecycle::Worker;

/// Calls the handler for each timer that is due now, and `before_each` before each call.
#[cold]
pub(super) fn fire<S, R, E, RV, T, H: Work<S, R, E, RV, T>>(
    Worker {
        context,
        due,
        recorder,
        ..
    }: &mut Worker<S, R, E, RV, T>,
    handler: &mut H,
    mut before_each: impl FnMut(),
) -> ControlFlow<RV> {
    due.begin(context.clock.now());
    while let Some(token) = due.pop() {
        before_each();
        recorder.call("on_timer", || handler.on_timer(token))?;
    }
    ControlFlow::Continue(())
}
