//! The participants of a model: threads and tasks with the same abilities.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use shuttle::{future, thread};

/// A running thread or task.
#[derive(Debug)]
pub enum Actor<T> {
    /// A thread.
    Thread(thread::JoinHandle<T>),
    /// A task.
    Task(future::JoinHandle<T>),
}

impl<T: Send + 'static> Actor<T> {
    /// Spawns a thread.
    pub fn thread(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self::Thread(thread::spawn(|| block_on(work)))
    }

    /// Spawns a task.
    pub fn task(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self::Task(future::spawn(with_gaps(work)))
    }

    /// Spawns a thread if `n` is even, otherwise a task.
    pub fn nth(n: usize, work: impl Future<Output = T> + Send + 'static) -> Self {
        if n % 2 == 0 {
            Self::thread(work)
        } else {
            Self::task(work)
        }
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it panicked.
    #[expect(clippy::must_use_candidate, reason = "most callers only wait")]
    pub fn join(self) -> T {
        match self {
            Self::Thread(thread) => thread.join().expect("it did not panic"),
            Self::Task(task) => future::block_on(task).expect("it is not aborted"),
        }
    }
}

/// Waits for the end of all actors.
pub fn join<T: Send + 'static>(actors: impl IntoIterator<Item = Actor<T>>) -> Vec<T> {
    let actors: Vec<_> = actors.into_iter().collect();
    actors.into_iter().map(Actor::join).collect()
}

/// Blocks until the future is ready.
pub fn block_on<F: Future>(work: F) -> F::Output {
    future::block_on(with_gaps(work))
}

/// Lets other threads run before each wake-up, which shuttle's own wakers do not.
async fn with_gaps<F: Future>(work: F) -> F::Output {
    let mut work = pin!(work);
    let mut waker = None;
    poll_fn(|cx| {
        let waker = waker.get_or_insert_with(|| Waker::from(Arc::new(Gap(cx.waker().clone()))));
        work.as_mut().poll(&mut Context::from_waker(waker))
    })
    .await
}

struct Gap(Waker);

impl Wake for Gap {
    fn wake(self: Arc<Self>) {
        thread::sleep(Duration::ZERO);
        self.0.wake_by_ref();
    }
}

/// Polls up to `times` times, and lets other threads run in between.
pub async fn poll_times<F: Future + Unpin>(times: usize, future: &mut F) -> Poll<F::Output> {
    for _ in 0..times {
        // With its own budget: a poll that yields would not send the request, which counts as sent.
        let mut poll =
            |cx: &mut Context<'_>| ump::coop::with_budget(1, || Pin::new(&mut *future).poll(cx));
        let polled = poll_fn(|cx| Poll::Ready(poll(cx))).await;
        if polled.is_ready() {
            return polled;
        }
        thread::yield_now();
    }
    Poll::Pending
}
