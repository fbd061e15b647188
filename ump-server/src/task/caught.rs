//! Panics of a future, caught.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use ump::{PanicMessage, coop, hooks};

use crate::{catch, deadlock::awaits::Awaits};

/// Runs the user's code, which may wait; a panic comes back as its message. Its requests, awaited
/// or not, are seen by the watcher.
///
/// It is the whole of a task, so each poll is a turn of that, with a budget of its own.
///
/// What is left of a future that has panicked is dropped at the end, outside; that does not run the
/// user's code, as its state is gone.
pub(super) async fn caught<T>(
    awaits: Arc<Awaits>,
    budget: u32,
    future: impl Future<Output = T>,
) -> Result<T, PanicMessage> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let _watched = hooks::watch(awaits.clone());
        let mut turn = || coop::with_budget(budget, || future.as_mut().poll(cx));
        match catch::catch_user_panic(&mut turn) {
            Ok(poll) => poll.map(Ok),
            Err(message) => Poll::Ready(Err(message)),
        }
    })
    .await
}
