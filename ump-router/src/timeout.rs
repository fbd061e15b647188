//! A future with a deadline.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Instant,
};

use ump::Clock;

/// Returns the output of the future, or `None` if it is not ready by the deadline. Without a deadline it waits for ever.
///
/// If the system refuses the thread of the timer, that counts as the deadline: better than to wait for ever.
pub(crate) async fn timeout_at<F: Future>(
    deadline: Option<Instant>,
    clock: &Clock,
    future: F,
) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut timer = deadline.map(|deadline| clock.sleep_until(deadline));
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        let timer = timer.as_mut().map(|timer| pin!(timer).poll(cx));
        timer.map_or(Poll::Pending, |timer| timer.map(|_| None))
    })
    .await
}
