//! A future with a deadline.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
    time::Instant,
};

use super::clock::Clock;
use crate::coop;

/// Returns the output of the future, or `None` if it is not ready by the deadline. Without a
/// deadline it waits without a limit.
///
/// If the system refuses the timer thread, that counts as the deadline: the alternative would be to
/// wait without a limit.
pub async fn timeout_at<F: Future>(
    clock: &Clock,
    deadline: Option<Instant>,
    future: F,
) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut timer = deadline.map(|deadline| clock.sleep_until(deadline));
    poll_fn(|cx| {
        // The future has a budget of its own: so it does not yield at the deadline if it is ready
        // then.
        let poll = coop::with_budget(coop::BUDGET, || future.as_mut().poll(cx));
        if let Poll::Ready(output) = poll {
            return Poll::Ready(Some(output));
        }
        match &mut timer {
            Some(timer) => Pin::new(timer).poll(cx).map(|_| None),
            None => Poll::Pending,
        }
    })
    .await
}
