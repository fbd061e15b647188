//! A future against a deadline.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Instant,
};

use ump::Clock;

/// Whether the future is ready before the deadline. If the system refuses the timer that this needs, it is as if the deadline had passed.
pub(crate) async fn timeout_at(
    future: impl Future,
    deadline: Option<Instant>,
    clock: &Clock,
) -> bool {
    let mut future = pin!(future);
    let mut timer = deadline.map(|deadline| clock.sleep_until(deadline));
    poll_fn(|cx| {
        if future.as_mut().poll(cx).is_ready() {
            return Poll::Ready(true);
        }
        let timer = timer.as_mut().map(|timer| pin!(timer).poll(cx));
        timer.map_or(Poll::Pending, |timer| timer.map(|_| false))
    })
    .await
}
