//! What the models share. Built without `--cfg loom` this package is empty.
#![cfg(loom)]

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use loom::thread;
use ump::{ReplyContext, Server, Stats};

/// A server for models: messages are numbers, the reply is the number plus one.
pub type NumberServer = Server<u32, u32, ()>;

/// Explores all interleavings of `model`, with at most `LOOM_MAX_PREEMPTIONS` preemptions (2 if it is not set).
pub fn explore(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(2);
    builder.check(model);
}

/// Answers until no client is left; returns the messages in the order in which they were taken.
#[must_use]
pub fn serve(server: &NumberServer) -> Vec<u32> {
    let mut taken = Vec::new();
    while let Ok((n, rctx)) = server.wait() {
        taken.push(n);
        answer(n, rctx);
    }
    taken
}

/// The same as a thread that owns the server.
#[must_use]
pub fn spawn_server(server: NumberServer) -> thread::JoinHandle<(Vec<u32>, NumberServer)> {
    thread::spawn(move || (serve(&server), server))
}

/// Answers one request, whether anybody waits for it or not.
pub fn answer(n: u32, rctx: ReplyContext<u32, ()>) {
    let _ = rctx.answer(Ok(n + 1));
}

/// Polls once, with a waker that does nothing.
pub fn poll_once<F: std::future::Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Asserts that the books are closed: all that was accepted has ended.
///
/// # Panics
/// If they are not.
pub fn assert_settled(stats: Stats) {
    assert_eq!((stats.queued, stats.taken), (0, 0), "{stats:?}");
    assert_eq!(stats.accepted, stats.ended(), "{stats:?}");
}

/// Counts values that are alive. (Not one of loom's atomics: it is not part of what is modelled.)
#[derive(Clone, Debug, Default)]
pub struct Census(Arc<AtomicUsize>);

impl Census {
    /// A value that counts until it is dropped.
    #[must_use]
    pub fn born(&self) -> Counted {
        self.0.fetch_add(1, Ordering::SeqCst);
        Counted(self.clone())
    }

    /// How many are alive.
    #[must_use]
    pub fn alive(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// A value of a [`Census`].
#[derive(Debug)]
pub struct Counted(Census);

impl Drop for Counted {
    fn drop(&mut self) {
        let before = self.0.0.fetch_sub(1, Ordering::SeqCst);
        assert!(before > 0, "dropped twice");
    }
}
