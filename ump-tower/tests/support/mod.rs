//! The common parts of the tests.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::{
    future::IntoFuture,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::{Duration, Instant},
};

use tower_service::Service;

/// The time after which a test has failed.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Counts wake-ups.
#[derive(Debug, Default)]
pub(crate) struct CountingWaker(AtomicUsize);

impl CountingWaker {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn wakes(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Polls a service for readiness once.
pub(crate) fn poll_ready<S: Service<u32>>(service: &mut S) -> Poll<Result<(), S::Error>> {
    service.poll_ready(&mut Context::from_waker(Waker::noop()))
}

/// Polls a service for readiness once, with a waker of `counter`.
pub(crate) fn poll_ready_with<S: Service<u32>>(
    service: &mut S,
    counter: &Arc<CountingWaker>,
) -> Poll<Result<(), S::Error>> {
    let waker = Waker::from(Arc::clone(counter));
    service.poll_ready(&mut Context::from_waker(&waker))
}

/// Polls once.
pub(crate) fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Waits until `holds` returns true.
#[track_caller]
pub(crate) fn eventually(holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LONG, "it did not happen");
        thread::yield_now();
    }
}

/// Waits until `holds` returns true, and lets other tasks run meanwhile.
pub(crate) async fn eventually_async(holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LONG, "it did not happen");
        tokio::task::yield_now().await;
    }
}

/// Awaits a future, which must end.
pub(crate) async fn must_end<F: IntoFuture>(future: F) -> F::Output {
    let ended = tokio::time::timeout(LONG, future).await;
    ended.expect("it hangs")
}
