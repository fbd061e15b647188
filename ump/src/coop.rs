//! Cooperative scheduling: a task that always finds something ready lets other tasks run.
//!
//! An executor runs a task until that returns `Pending`. A task that takes requests from a queue which is never empty would never do so, and on an
//! executor of one thread nothing else would run. So the futures and streams of these crates have a **budget**: after [`BUDGET`] results that came
//! without waiting, the next poll wakes its own waker and returns `Pending`, once. That is how tokio does it (its
//! [`coop`](https://docs.rs/tokio/latest/tokio/task/coop/index.html) module; the article
//! [*Reducing tail latencies with automatic cooperative task yielding*](https://tokio.rs/blog/2020-04-preemption) has the reasons). Here it works on any
//! executor, and beside tokio's own budget.
//!
//! - A poll that yields does nothing else: no request is taken, no message sent, no place in a wait queue given up, and no wake-up used up.
//! - The budget belongs to the thread. So a task that uses several of these futures in turn has one budget for all of them. A result that its future waited for is not
//!   counted: tasks that wait pay nothing.
//! - Blocking calls have no budget. Neither has a poll with a waker that has no data, such as [`Waker::noop`]: nobody would poll again.
//! - Code that polls a future once, to look whether it is ready (`poll!`, `timeout(Duration::ZERO, ..)`), may for this reason find it pending although there is something.
//!   [`Server::try_pop`](crate::Server::try_pop), [`WaitReply::try_get`](crate::WaitReply::try_get) and the like look without waiting.
//!
//! Executors, and loops that drive futures, can give each turn of a task [a budget of its own](with_budget); futures of your own use the same budget
//! through [`Coop`]:
//!
//! ```
//! use std::{cell::Cell, pin::pin, task::{Context, Waker}};
//! use ump::coop;
//!
//! let (server, client) = ump::channel::<u32, (), ()>();
//! let taken = Cell::new(0);
//! let mut task = pin!(async {
//!     loop {
//!         client.post(1).wait().unwrap();
//!         server.async_wait().await.unwrap();
//!         taken.set(taken.get() + 1);
//!     }
//! });
//! let mut turn = || {
//!     let mut cx = Context::from_waker(Waker::noop());
//!     coop::with_budget(10, || task.as_mut().poll(&mut cx)).is_pending()
//! };
//! assert!(turn()); // though there always is a request
//! assert_eq!(taken.get(), 10);
//! ```
//!
//! # When the budget is restored
//!
//! Only the executor knows when the turn of a task is over. What shows it to a future is that it returned `Pending` and is polled again:
//!
//! - A future that has waited and returns a result restores the budget, if no result was counted on the thread in between. (Its task had nothing
//!   else to do, so it let others run. A task that selects among several streams, of which one waits and another is always ready, spends its budget
//!   all the same.)
//! - When the budget is spent, each future that is polled yields, whichever it is, so that a task that selects among several streams yields as a
//!   whole. A future that has yielded and is polled again, or is dropped instead, restores the budget. Futures of other tasks that are polled before
//!   that yield as well, but only a few: a thread of a thousand tasks does not do everything twice because one of them is busy.

#![forbid(unsafe_code)]

use std::{
    cell::Cell,
    future::poll_fn,
    task::{Context, Poll, Waker},
};

use crate::sync::of_each_thread;

/// How many results each thread has at first. In a model of loom no limit, unless the model sets one; in one of shuttle a small one, so that models of a few
/// requests see what happens when it is spent.
const INITIAL_BUDGET: u32 = if cfg!(loom) {
    u32::MAX
} else if cfg!(shuttle) {
    3
} else {
    BUDGET
};

/// How many results may come without waiting before a future yields, unless an executor or a loop says otherwise. The same as tokio's.
pub const BUDGET: u32 = 128;

/// So many futures of other tasks yield before the budget is restored.
const OTHERS: u8 = 4;
/// So many futures of the same task do.
const OWN: u8 = 64;

of_each_thread! {
    /// How many results are left.
    static LEFT: Cell<u32> = Cell::new(INITIAL_BUDGET);
    static SCOPE: Cell<Scope> = Cell::new(Scope::of(INITIAL_BUDGET, false));
}

/// What is needed only when nothing is left.
#[derive(Clone, Copy, Debug)]
struct Scope {
    /// The whole budget.
    budget: u32,
    /// Whether somebody polls again after each `Pending`, whatever the waker.
    is_driven: bool,
    /// The data of the waker of the first future that yielded since the budget was spent.
    task: usize,
    /// How many futures have yielded since: of that task, and of others.
    own: u8,
    others: u8,
}

impl Scope {
    const fn of(budget: u32, is_driven: bool) -> Self {
        Self {
            budget,
            is_driven,
            task: 0,
            own: 0,
            others: 0,
        }
    }

    /// Counts a future that yields. False if there have been enough.
    fn count(&mut self, waker: &Waker) -> bool {
        let task = waker.data().addr();
        if self.own == 0 {
            self.task = task;
        }
        let (count, most) = if task == self.task {
            (&mut self.own, OWN)
        } else {
            (&mut self.others, OTHERS)
        };
        let more = *count < most;
        *count += u8::from(more);
        more
    }

    /// Begins anew, with the whole budget.
    fn restore() {
        let Self {
            budget, is_driven, ..
        } = SCOPE.with(Cell::get);
        LEFT.with(|left| left.set(budget));
        SCOPE.with(|scope| scope.set(Self::of(budget, is_driven)));
    }
}

/// Runs `f`, which polls a task, with a budget of so many results; then the thread has the budget again that it had before.
///
/// For executors and whatever else drives futures and polls them again after each `Pending`. [`Clock::block_on`](crate::Clock::block_on) does so, and so do
/// the loops of `ump-server`. With zero each future yields before its first result; `u32::MAX` is no limit.
pub fn with_budget<T>(results: u32, f: impl FnOnce() -> T) -> T {
    /// Also if it panics.
    struct Restore(u32, Scope);

    impl Drop for Restore {
        fn drop(&mut self) {
            LEFT.with(|left| left.set(self.0));
            SCOPE.with(|scope| scope.set(self.1));
        }
    }

    let _restore = Restore(
        LEFT.with(|left| left.replace(results)),
        SCOPE.with(|scope| scope.replace(Scope::of(results, true))),
    );
    f()
}

/// Counts one result against the budget, and yields first if it is spent: for loops that do something of their own between their awaits. As
/// tokio's `consume_budget`.
///
/// # Cancel safety
/// It can be dropped at any time.
pub async fn consume_budget() {
    let mut coop = Coop::new();
    poll_fn(|cx| coop.poll(cx, |_| Poll::Ready(()))).await;
}

/// How one future or stream stands with the budget. For futures of your own: one for each, kept from poll to poll.
///
/// ```
/// use std::{pin::Pin, task::{Context, Poll}};
/// use ump::coop::Coop;
///
/// /// A stream of numbers that never waits.
/// struct Numbers(u64, Coop);
///
/// impl futures_core::Stream for Numbers {
///     type Item = u64;
///
///     fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<u64>> {
///         let Self(number, coop) = &mut *self;
///         coop.poll(cx, |_| {
///             *number += 1;
///             Poll::Ready(Some(*number))
///         })
///     }
/// }
/// ```
#[derive(Debug, Default)]
pub struct Coop(State);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// It has returned nothing, or a result.
    #[default]
    Fresh,
    /// It has returned `Pending` while so many results were left. Its next result is not counted.
    Waited(u32),
    /// It has returned `Pending`, but only to let others run.
    Yielded,
}

impl Coop {
    /// Of a future that has not been polled.
    #[must_use]
    pub const fn new() -> Self {
        Self(State::Fresh)
    }

    /// Polls, unless it is time to yield.
    #[inline]
    pub fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        if !self.begin(cx) {
            return Poll::Pending;
        }
        let polled = poll(cx);
        self.end(&polled);
        polled
    }

    /// Whether to go on; else it is time to yield.
    #[inline]
    pub(crate) fn begin(&mut self, cx: &Context<'_>) -> bool {
        self.0.begin(cx.waker())
    }

    /// Notes what came of it.
    #[inline]
    pub(crate) fn end<T>(&mut self, polled: &Poll<T>) {
        self.end_many(polled, |_| 1);
    }

    /// The same, for something that may be several results in one.
    #[inline]
    pub(crate) fn end_many<T>(&mut self, polled: &Poll<T>, results: impl FnOnce(&T) -> usize) {
        match polled {
            Poll::Ready(result) => self.0.end(results(result)),
            Poll::Pending => self.0 = State::waited(),
        }
    }
}

impl State {
    const YIELDED: u64 = 1;
    const WAITED: u64 = 2;

    /// Returns the state as a number, for a future whose state several threads share.
    #[inline]
    pub(crate) const fn to_number(self) -> u64 {
        match self {
            Self::Fresh => 0,
            Self::Yielded => Self::YIELDED,
            Self::Waited(left) => (left as u64) << 2 | Self::WAITED,
        }
    }

    #[inline]
    pub(crate) const fn from_number(number: u64) -> Self {
        match number {
            0 => Self::Fresh,
            Self::YIELDED => Self::Yielded,
            #[expect(clippy::cast_possible_truncation)]
            _ => Self::Waited((number >> 2) as u32),
        }
    }

    /// The state after `Pending`.
    #[inline]
    pub(crate) fn waited() -> Self {
        Self::Waited(LEFT.with(Cell::get))
    }

    /// Whether to go on; else it has arranged to be polled again.
    #[inline]
    pub(crate) fn begin(&mut self, waker: &Waker) -> bool {
        LEFT.with(Cell::get) > 0 || self.goes_on(waker)
    }

    #[cold]
    fn goes_on(&mut self, waker: &Waker) -> bool {
        let mut scope = SCOPE.with(Cell::get);
        if !scope.is_driven && waker.data().is_null() {
            // Polled by hand, perhaps by a task that is busy otherwise: that has to yield all the same.
            return true;
        }
        if *self == Self::Yielded || !scope.count(waker) {
            Scope::restore();
            return true;
        }
        SCOPE.with(|own| own.set(scope));
        *self = Self::Yielded;
        crate::wait::waiter::request_repoll(waker);
        false
    }

    /// It returns so many results.
    #[inline]
    pub(crate) fn end(&mut self, results: usize) {
        LEFT.with(|left| match *self {
            Self::Waited(before) if before == left.get() => left.set(SCOPE.with(Cell::get).budget),
            Self::Waited(_) => {}
            Self::Fresh | Self::Yielded => {
                let results = u32::try_from(results).unwrap_or(u32::MAX);
                left.set(left.get().saturating_sub(results));
            }
        });
        *self = Self::Fresh;
    }
}

/// One that has yielded in vain restores the budget.
impl Drop for Coop {
    #[inline]
    fn drop(&mut self) {
        if self.0 == State::Yielded {
            Scope::restore();
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::Wake,
        thread,
    };

    use super::*;

    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn poll(coop: &mut Coop, task: &Arc<Task>) -> bool {
        let waker = Waker::from(Arc::clone(task));
        let mut cx = Context::from_waker(&waker);
        coop.poll(&mut cx, |_| Poll::Ready(())).is_ready()
    }

    /// On a thread whose budget nobody else uses.
    fn alone(test: impl FnOnce() + Send + 'static) {
        thread::spawn(test).join().unwrap();
    }

    fn spend(task: &Arc<Task>) {
        for _ in 0..BUDGET {
            assert!(poll(&mut Coop::new(), task));
        }
    }

    #[test]
    fn after_its_budget_a_future_yields_once() {
        alone(|| {
            let task = Arc::new(Task::default());
            let mut stream = Coop::new();
            for turn in 0..3 {
                for _ in 0..BUDGET {
                    assert!(poll(&mut stream, &task));
                }
                assert!(!poll(&mut stream, &task));
                assert_eq!(task.0.load(Ordering::Relaxed), turn + 1);
            }
        });
    }

    #[test]
    fn all_futures_of_a_task_yield_together() {
        alone(|| {
            let task = Arc::new(Task::default());
            let mut streams = [(); 3].map(|()| Coop::new());
            for _ in 0..3 {
                let mut results = 0;
                // Whichever is ready first, as `select!` does, from a task that goes on as long as one is.
                while streams.iter_mut().any(|stream| poll(stream, &task)) {
                    results += 1;
                }
                // Each may have yielded in an earlier turn.
                assert!(results <= 4 * BUDGET, "{results}");
            }
        });
    }

    #[test]
    fn few_futures_of_other_tasks_yield() {
        alone(|| {
            let tasks: Vec<_> = (0..100).map(|_| Arc::new(Task::default())).collect();
            spend(&tasks[0]);
            let mut futures: Vec<_> = tasks.iter().map(|_| Coop::new()).collect();
            let both = futures.iter_mut().zip(&tasks);
            let yielded = both
                .map(|(coop, task)| poll(coop, task))
                .filter(|ready| !ready);
            let yielded = yielded.count();
            std::mem::forget(futures);
            assert_eq!(yielded, 1 + usize::from(OTHERS));
        });
    }

    #[test]
    fn what_is_dropped_after_it_yielded_restores_the_budget() {
        alone(|| {
            let task = Arc::new(Task::default());
            spend(&task);
            assert!(!poll(&mut Coop::new(), &task));
            spend(&task);
            assert!(!poll(&mut Coop::new(), &task));
        });
    }

    #[test]
    fn results_that_were_waited_for_are_not_counted() {
        alone(|| {
            let task = Arc::new(Task::default());
            let waker = Waker::from(Arc::clone(&task));
            let mut cx = Context::from_waker(&waker);
            let mut stream = Coop::new();
            for _ in 0..10 * BUDGET {
                assert!(stream.poll(&mut cx, |_| Poll::<()>::Pending).is_pending());
                assert!(poll(&mut stream, &task));
            }
            assert_eq!(task.0.load(Ordering::Relaxed), 0);
            spend(&task);
            assert!(stream.poll(&mut cx, |_| Poll::<()>::Pending).is_pending());
            assert_eq!(task.0.load(Ordering::Relaxed), 1);
        });
    }

    #[test]
    fn a_result_after_a_wait_restores_the_budget() {
        alone(|| {
            let task = Arc::new(Task::default());
            let waker = Waker::from(Arc::clone(&task));
            let mut cx = Context::from_waker(&waker);
            let mut stream = Coop::new();
            for _ in 0..10 {
                assert!(stream.poll(&mut cx, |_| Poll::<()>::Pending).is_pending());
                for _ in 0..BUDGET {
                    assert!(poll(&mut stream, &task));
                }
            }
            assert!(poll(&mut stream, &task));
            assert!(!poll(&mut stream, &task));
        });
    }

    #[test]
    fn a_wait_beside_a_busy_stream_restores_nothing() {
        alone(|| {
            let task = Arc::new(Task::default());
            let waker = Waker::from(Arc::clone(&task));
            let mut cx = Context::from_waker(&waker);
            let (mut waiting, mut busy) = (Coop::new(), Coop::new());
            for _ in 1..BUDGET {
                assert!(waiting.poll(&mut cx, |_| Poll::<()>::Pending).is_pending());
                assert!(poll(&mut busy, &task));
                assert!(poll(&mut waiting, &task));
            }
            assert!(poll(&mut busy, &task));
            assert!(!poll(&mut busy, &task));
            assert!(!poll(&mut waiting, &task));
        });
    }

    #[test]
    fn states_are_numbers_and_back() {
        for state in [
            State::Fresh,
            State::Yielded,
            State::Waited(0),
            State::Waited(u32::MAX),
        ] {
            assert_eq!(State::from_number(state.to_number()), state);
        }
    }

    #[test]
    fn nobody_yields_to_a_waker_that_wakes_nobody() {
        alone(|| {
            let mut cx = Context::from_waker(Waker::noop());
            let mut ready = || Coop::new().poll(&mut cx, |_| Poll::Ready(())).is_ready();
            assert!((0..10 * BUDGET).all(|_| ready()));
            assert!(with_budget(0, || !ready()));
            assert!(ready());
            // It does not restore the budget of the task that polls so.
            let task = Arc::new(Task::default());
            assert!(!poll(&mut Coop::new(), &task));
        });
    }

    #[test]
    fn a_budget_within_another_leaves_that_as_it_was() {
        alone(|| {
            let task = Arc::new(Task::default());
            for _ in 1..BUDGET {
                assert!(poll(&mut Coop::new(), &task));
            }
            with_budget(u32::MAX, || (0..9).for_each(|_| spend(&task)));
            assert!(with_budget(1, || poll(&mut Coop::new(), &task)));
            assert!(poll(&mut Coop::new(), &task));
            assert!(!poll(&mut Coop::new(), &task));
        });
    }
}
