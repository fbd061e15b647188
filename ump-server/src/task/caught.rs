//! Catches the panics of a future.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use ump::{PanicMessage, coop, hooks};

use crate::{catch, deadlock::awaits::Awaits};

/// Runs a future that is user code, and returns the message of its panic. The watcher sees the
/// requests of the future, whether they are awaited or not.
///
/// The future is the whole of a task, so each poll is a turn of the task, with a budget of its own.
///
/// A future that has panicked is dropped at the end, outside of `catch_panic_message`. That drop
/// does not run user code, because the state of the future is gone.
pub(super) async fn caught<T>(
    awaits: Arc<Awaits>,
    budget: u32,
    future: impl Future<Output = T>,
) -> Result<T, PanicMessage> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let _watched = hooks::watch(awaits.clone());
        let mut turn = || coop::with_budget(budget, || future.as_mut().poll(cx));
        match catch::catch_panic_message(&mut turn) {
            Ok(poll) => poll.map(Ok),
            Err(message) => Poll::Ready(Err(message)),
        }
    })
    .await
}
