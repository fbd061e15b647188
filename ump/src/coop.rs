//! Cooperative scheduling: a task that always finds something ready lets other tasks run.
//!
//! An executor runs a task until the task returns `Pending`. A task that takes requests from a
//! queue that is never empty would never do so, and on an executor of one thread nothing else would
//! run. So the futures and streams of these crates have a **budget**: after [`BUDGET`] results that
//! came without waiting, the next poll wakes its own waker and returns `Pending`, once. This is how
//! tokio does it (see its [`coop`](https://docs.rs/tokio/latest/tokio/task/coop/index.html) module;
//! the article
//! [*Reducing tail latencies with automatic cooperative task yielding*](https://tokio.rs/blog/2020-04-preemption)
//! explains why). Here it works on any executor, and in addition to tokio's own budget.
//!
//! - A poll that yields does nothing else. It takes no request, sends no message, gives up no place
//!   in a wait queue, and uses up no wake-up.
//! - The budget belongs to the thread. So a task that uses several of these futures in turn has one
//!   budget for all of them. A result for which its future has waited is not counted: tasks that
//!   wait pay nothing.
//! - Blocking calls have no budget. A poll with a waker that has no data, such as [`Waker::noop`],
//!   has none either: nothing would poll again.
//! - Code that polls a future once to check whether it is ready (`poll!`,
//!   `timeout(Duration::ZERO, ..)`) may for this reason find the future pending although there is a
//!   result. [`Server::try_pop`](crate::Server::try_pop),
//!   [`WaitReply::try_get`](crate::WaitReply::try_get) and similar methods check without waiting.
//!
//! Executors, and loops that drive futures, can give each turn of a task
//! [a budget of its own](with_budget). Other futures can use the same budget through [`Coop`]:
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
//! assert!(turn()); // although there always is a request
//! assert_eq!(taken.get(), 10);
//! ```
//!
//! # When the budget is restored
//!
//! Only the executor knows when the turn of a task is over. When the budget is spent, every future
//! that is polled yields, so that a task that selects among several streams yields as a whole. A
//! future that has yielded and is polled again has let other tasks run: it restores the budget. So
//! does one that is dropped instead. Futures of other tasks that are polled before that yield as
//! well, but only a few of them: a thread of a thousand tasks does not do everything twice because
//! one of the tasks is busy.
//!
//! (To restore it whenever a future has waited was tried: 64 tasks and their server on one thread
//! make a quarter fewer polls, in the same time, and a result that was ready cost 25 ns more.)

#![forbid(unsafe_code)]

use std::{
    cell::Cell,
    future::poll_fn,
    task::{Context, Poll, Waker},
};

use crate::sync::of_each_thread;

/// The number of results that each thread has at first. A loom model has no limit, unless the model
/// sets one. A shuttle model has a small one, so that models of a few requests show what happens
/// when the budget is spent.
const INITIAL_BUDGET: u32 = if cfg!(loom) {
    u32::MAX
} else if cfg!(shuttle) {
    3
} else {
    BUDGET
};

/// The number of results that may come without waiting before a future yields, unless an executor
/// or a loop sets another one. It is the same as tokio's.
pub const BUDGET: u32 = 128;

/// The number of futures of other tasks that yield before the budget is restored.
const OTHERS: u8 = 4;
/// The number of futures of the same task that yield before the budget is restored.
const OWN: u8 = 64;

of_each_thread! {
    /// The number of results that are left.
    static LEFT: Cell<u32> = Cell::new(INITIAL_BUDGET);
    /// The scope of the current budget.
    static SCOPE: Cell<Scope> = Cell::new(Scope::of(INITIAL_BUDGET, false));
}

/// The part of the state that is needed only when the budget is spent.
#[derive(Clone, Copy, Debug)]
struct Scope {
    /// The whole budget.
    budget: u32,
    /// Whether the task is polled again after each `Pending`, whatever its waker.
    is_driven: bool,
    /// The data of the waker of the first future that yielded since the budget was spent.
    task: usize,
    /// The number of futures of that task that have yielded since.
    own: u8,
    /// The number of futures of other tasks that have yielded since.
    others: u8,
}

impl Scope {
    /// Creates a scope in which no future has yielded.
    const fn of(budget: u32, is_driven: bool) -> Self {
        Self {
            budget,
            is_driven,
            task: 0,
            own: 0,
            others: 0,
        }
    }

    /// Counts a future that yields. Returns false if enough futures have yielded.
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

    /// Restores the whole budget.
    fn restore() {
        let Self {
            budget, is_driven, ..
        } = SCOPE.with(Cell::get);
        LEFT.with(|left| left.set(budget));
        SCOPE.with(|scope| scope.set(Self::of(budget, is_driven)));
    }
}

/// Runs `f`, which polls a task, with a budget of `results` results. After that the thread has its
/// previous budget again.
///
/// Use it in executors and in other code that drives futures and polls them again after each
/// `Pending`. [`Clock::block_on`](crate::Clock::block_on) does so, and so do the loops of
/// `ump-server`. With zero each future yields before its first result; `u32::MAX` is no limit.
pub fn with_budget<T>(results: u32, f: impl FnOnce() -> T) -> T {
    /// Restores the previous budget, also if `f` panics.
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

/// Counts one result against the budget, and yields first if the budget is spent.
///
/// For loops that do work of their own between their awaits, like tokio's `consume_budget`.
///
/// # Cancel safety
/// The future can be dropped at any time.
pub async fn consume_budget() {
    let mut coop = Coop::new();
    poll_fn(|cx| coop.poll(cx, |_| Poll::Ready(()))).await;
}

/// The state of one future or stream with regard to the budget.
///
/// Use it in futures of your own: one for each future, kept from poll to poll.
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
    /// The future has returned nothing yet, or a result.
    #[default]
    Fresh,
    /// The future has returned `Pending`. Its next result is not counted.
    Waited,
    /// The future has returned `Pending`, but only to let other tasks run.
    Yielded,
}

impl Coop {
    /// Creates the state of a future that has not been polled.
    #[must_use]
    pub const fn new() -> Self {
        Self(State::Fresh)
    }

    /// Calls `poll`, unless it is time to yield.
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

    /// Returns whether to go on. If it returns false, it is time to yield.
    #[inline]
    pub(crate) fn begin(&mut self, cx: &Context<'_>) -> bool {
        self.0.begin(cx.waker())
    }

    /// Records the outcome of a poll.
    #[inline]
    pub(crate) fn end<T>(&mut self, polled: &Poll<T>) {
        self.end_many(polled, |_| 1);
    }

    /// Records the outcome of a poll that may return several results in one.
    #[inline]
    pub(crate) fn end_many<T>(&mut self, polled: &Poll<T>, results: impl FnOnce(&T) -> usize) {
        match polled {
            Poll::Ready(result) => self.0.end(results(result)),
            Poll::Pending => self.0 = State::Waited,
        }
    }
}

impl State {
    /// Returns the state as a number, for a future whose state several threads share.
    #[inline]
    pub(crate) const fn to_number(self) -> u64 {
        self as u64
    }

    /// Returns the state that [`to_number`](Self::to_number) turned into this number.
    #[inline]
    pub(crate) const fn from_number(number: u64) -> Self {
        match number {
            0 => Self::Fresh,
            1 => Self::Waited,
            _ => Self::Yielded,
        }
    }

    /// Returns whether to go on. If it returns false, the task has been woken so that it is polled
    /// again.
    #[inline]
    pub(crate) fn begin(&mut self, waker: &Waker) -> bool {
        LEFT.with(Cell::get) > 0 || self.goes_on(waker)
    }

    #[cold]
    fn goes_on(&mut self, waker: &Waker) -> bool {
        let mut scope = SCOPE.with(Cell::get);
        if !scope.is_driven && waker.data().is_null() {
            // The future is polled by hand, perhaps by a task that is busy otherwise. That task
            // still has to yield.
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

    /// Records that the future returns this number of results.
    #[inline]
    pub(crate) fn end(&mut self, results: usize) {
        if *self != Self::Waited {
            let results = u32::try_from(results).unwrap_or(u32::MAX);
            LEFT.with(|left| left.set(left.get().saturating_sub(results)));
        }
        *self = Self::Fresh;
    }
}

/// Restores the budget if the future has yielded and is not polled again.
impl Drop for Coop {
    #[inline]
    fn drop(&mut self) {
        if self.0 == State::Yielded {
            Scope::restore();
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
