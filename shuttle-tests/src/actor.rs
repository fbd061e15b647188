//! Who takes part in a model: a thread or a task, all the same in what it can do.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use shuttle::{future, thread};

/// Somebody at work.
#[derive(Debug)]
pub enum Actor<T> {
    /// On a thread.
    Thread(thread::JoinHandle<T>),
    /// As a task.
    Task(future::JoinHandle<T>),
}

impl<T: Send + 'static> Actor<T> {
    /// Sets somebody to work on a thread.
    pub fn thread(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self::Thread(thread::spawn(|| block_on(work)))
    }

    /// Sets somebody to work as a task.
    pub fn task(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self::Task(future::spawn(with_gaps(work)))
    }

    /// By turns a thread and a task.
    pub fn nth(n: usize, work: impl Future<Output = T> + Send + 'static) -> Self {
        if n % 2 == 0 {
            Self::thread(work)
        } else {
            Self::task(work)
        }
    }

    /// Waits until its work is done.
    ///
    /// # Panics
    /// If it did.
    #[expect(clippy::must_use_candidate, reason = "to wait is all that most want")]
    pub fn join(self) -> T {
        match self {
            Self::Thread(thread) => thread.join().expect("it did not panic"),
            Self::Task(task) => future::block_on(task).expect("nobody aborts it"),
        }
    }
}

/// Waits for all of them.
pub fn join<T: Send + 'static>(actors: impl IntoIterator<Item = Actor<T>>) -> Vec<T> {
    let actors: Vec<_> = actors.into_iter().collect();
    actors.into_iter().map(Actor::join).collect()
}

/// Blocks until the future is ready.
pub fn block_on<F: Future>(work: F) -> F::Output {
    future::block_on(with_gaps(work))
}

/// Lets others run before the task is woken, which shuttle's own wakers do not.
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

/// Polls so often, if it is not ready before, and lets others run after each time.
pub async fn look<F: Future + Unpin>(times: usize, future: &mut F) -> Poll<F::Output> {
    for _ in 0..times {
        // With a budget of its own: a poll that yields would send nothing, and the book has it as sent.
        let mut poll =
            |cx: &mut Context<'_>| ump::coop::with_budget(1, || Pin::new(&mut *future).poll(cx));
        let look = poll_fn(|cx| Poll::Ready(poll(cx))).await;
        if look.is_ready() {
            return look;
        }
        thread::yield_now();
    }
    Poll::Pending
}
