//! What the tests share: polling by hand, wakers that count, drops that count.

use std::{
    future::{Future, IntoFuture},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::{Duration, Instant},
};

/// The code in the README of the repository is tested as well.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// Longer than anything in a test takes, shorter than the patience of who runs it.
pub const LONG: Duration = Duration::from_secs(60);

/// A waker that counts how often it was woken. `Arc::strong_count` less one tells how many clones of its waker are alive.
#[derive(Debug, Default)]
pub struct Bell(AtomicUsize);

impl Bell {
    /// A new one.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A waker that rings it.
    #[must_use]
    pub fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }

    /// How often it rang.
    #[must_use]
    pub fn rings(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// How many wakers of it exist.
    #[must_use]
    pub fn wakers(self: &Arc<Self>) -> usize {
        Arc::strong_count(self) - 1
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Polls once, with a waker that does nothing.
pub fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls once, with a waker of `bell`.
pub fn poll_with<F: Future + Unpin>(future: &mut F, bell: &Arc<Bell>) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(&bell.waker()))
}

/// Runs a future on this thread, without any runtime.
pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future.into_future());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}

/// Waits until `holds`. For conditions that another thread brings about and nothing announces.
///
/// # Panics
/// If it does not happen within [`LONG`].
#[track_caller]
pub fn eventually(holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LONG, "it did not happen");
        thread::yield_now();
    }
}

/// Counts how many of its [`Counted`] values are alive and how many were made.
#[derive(Clone, Debug, Default)]
pub struct Census(Arc<(AtomicUsize, AtomicUsize)>);

impl Census {
    /// A new value that is counted until it is dropped.
    #[must_use]
    pub fn born(&self) -> Counted {
        self.0.0.fetch_add(1, Ordering::SeqCst);
        Counted(self.clone())
    }

    /// How many were made.
    #[must_use]
    pub fn births(&self) -> usize {
        self.0.0.load(Ordering::SeqCst)
    }

    /// How many were dropped.
    #[must_use]
    pub fn deaths(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }
}

/// A value whose drop is counted.
#[derive(Debug)]
pub struct Counted(Census);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.1.fetch_add(1, Ordering::SeqCst);
    }
}
