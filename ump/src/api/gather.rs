//! A set of pending replies, which yields outcomes in order of arrival.

#![forbid(unsafe_code)]

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use futures_core::Stream;

use crate::{
    api::wait_reply::WaitReply,
    coop::Coop,
    error::Error,
    error::cycle::Cycle,
    hooks::{self, MANY, Wait},
    sync::{Mutex, WakerArc, current},
    time::clock::Clock,
    wait::waiter::Waiter,
};

/// A set of requests under way, which yields their outcomes in order of arrival.
///
/// Each request has a key, which is returned with its outcome. The cost of taking an outcome does
/// not depend on how many requests are still pending. Dropping the set cancels all requests that
/// have not ended.
///
/// ```
/// use ump::Gather;
///
/// let (server, client) = ump::channel::<u32, u32, ()>();
/// let mut replies = Gather::new();
/// for n in 0..3 {
///     replies.push(n, client.req_async(n)?);
/// }
/// let (_, zero) = server.wait()?;
/// let (_, one) = server.wait()?;
/// one.reply(10)?;
/// zero.fail(())?;
/// drop(server);
/// assert_eq!(replies.wait(), Some((1, Ok(10))));
/// assert_eq!(replies.wait(), Some((0, Err(ump::Error::App(())))));
/// assert_eq!(replies.wait(), Some((2, Err(ump::Error::ServerDisappeared))));
/// assert_eq!(replies.wait(), None);
/// # Ok::<(), ump::Error<()>>(())
/// ```
#[must_use = "dropping it cancels the requests"]
pub struct Gather<K, R, E, X = Error<E>> {
    tracked: Vec<Tracked<K, R, E, X>>,
    vacant: Vec<usize>,
    /// The clock of the requests.
    clock: Clock,
    /// Whether a task has registered its waker.
    has_registered: bool,
    ready_queue: WakerArc<ReadyQueue>,
    coop: Coop,
}

/// The entry of one request.
enum Tracked<K, R, E, X> {
    Vacant,
    /// The request is pending and has a [`ReadyWaker`].
    Waiting(K, WaitReply<R, E, X>),
    /// The request had ended when it was pushed.
    Ended(K, Result<R, X>),
}

/// The queue of entries whose requests may have ended, and the waiter to wake when there is one.
struct ReadyQueue {
    state: Mutex<ReadyState>,
}

struct ReadyState {
    ready: VecDeque<usize>,
    reader: Option<Waiter>,
}

/// The waker of one request. It adds the index of the request's entry to the ready queue.
struct ReadyWaker {
    index: usize,
    ready_queue: WakerArc<ReadyQueue>,
}

impl Wake for ReadyWaker {
    fn wake(self: WakerArc<Self>) {
        self.ready_queue.post(self.index);
    }
}

impl ReadyQueue {
    fn post(&self, index: usize) {
        let mut state = self.state.lock();
        state.ready.push_back(index);
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    fn clear(&self) {
        self.state.lock().ready = VecDeque::new();
    }

    fn read(&self) -> Option<usize> {
        self.state.lock().ready.pop_front()
    }
}

impl<K, R, E, X> Gather<K, R, E, X> {
    /// Creates an empty set.
    pub fn new() -> Self {
        Self {
            tracked: Vec::new(),
            vacant: Vec::new(),
            clock: Clock::system(),
            has_registered: false,
            ready_queue: WakerArc::new(ReadyQueue {
                state: Mutex::new(ReadyState {
                    ready: VecDeque::new(),
                    reader: None,
                }),
            }),
            coop: Coop::new(),
        }
    }

    /// Adds a request. If the request has ended already, its outcome takes this place in the order.
    pub fn push(&mut self, key: K, mut reply: WaitReply<R, E, X>) {
        if self.is_empty() {
            self.clock = reply.clock().clone();
        }
        let index = self.vacant.last().copied().unwrap_or(self.tracked.len());
        // The outcomes come in order of arrival only if each request registers its waker.
        reply.registers_at_once();
        // The poll may run the user's code. If that panics, nothing has changed yet.
        let tracked = match self.poll(index, &mut reply) {
            Poll::Pending => Tracked::Waiting(key, reply),
            Poll::Ready(outcome) => {
                self.ready_queue.post(index);
                Tracked::Ended(key, outcome)
            }
        };
        if self.vacant.pop().is_some() {
            self.tracked[index] = tracked;
        } else {
            self.tracked.push(tracked);
        }
    }

    /// Returns the number of requests whose outcomes have not been yielded.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tracked.len() - self.vacant.len()
    }

    /// Returns whether all outcomes have been yielded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Blocks until the next outcome. Returns `None` if no request is left.
    ///
    /// If every request of the set would make the caller wait for itself, one of the requests ends
    /// for that reason: see [`hooks`](crate::hooks).
    pub fn wait(&mut self) -> Option<(K, Result<R, X>)> {
        self.next_until(None)
    }

    /// Blocks until the next outcome, for at most `timeout`. Returns `None` if no request is left,
    /// or if no outcome came in time; see [`is_empty`](Self::is_empty).
    ///
    /// The time is measured by the clock of the channel of the first request, the one that was
    /// pushed into the empty set.
    pub fn wait_timeout(&mut self, timeout: Duration) -> Option<(K, Result<R, X>)> {
        self.next_until(self.clock.after(timeout))
    }

    /// Returns the next outcome if there is one.
    pub fn try_next(&mut self) -> Option<(K, Result<R, X>)> {
        while let Some(index) = self.ready_queue.read() {
            if let Some(outcome) = self.look_at(index) {
                return Some(outcome);
            }
        }
        None
    }

    fn next_until(&mut self, deadline: Option<Instant>) -> Option<(K, Result<R, X>)> {
        let mut watched = None;
        loop {
            if let Some(outcome) = self.try_next() {
                return Some(outcome);
            }
            if self.is_empty() {
                return None;
            }
            if !self.register(Waiter::Thread(current())) {
                continue;
            }
            // A wait that is bounded by its own call ends by itself, and the requests go on.
            if deadline.is_none() && watched.is_none() {
                match hooks::before_any(|| self.waits()) {
                    Ok(told) => watched = Some(told),
                    Err(cycle) => return self.would_deadlock(cycle),
                }
                if watched.as_ref().is_some_and(Option::is_some) {
                    // A watcher is the user's code, and may have used up the unpark.
                    continue;
                }
            }
            if self.clock.park_until(deadline) {
                return self.try_next();
            }
        }
    }

    /// Returns the waits for the next outcome, or `None` if there are too many.
    fn waits(&self) -> Option<Vec<Wait>> {
        if self.len() > MANY {
            return None;
        }
        let waits = self.tracked.iter().filter_map(|tracked| match tracked {
            Tracked::Waiting(_, reply) => Some(reply.awaited().again(self.has_registered)),
            Tracked::Vacant | Tracked::Ended(..) => None,
        });
        Some(waits.collect())
    }

    /// Ends one of the pending requests, as the caller would wait for itself.
    fn would_deadlock(&mut self, cycle: Cycle) -> Option<(K, Result<R, X>)> {
        let is_waiting = |tracked: &Tracked<_, _, _, _>| matches!(tracked, Tracked::Waiting(..));
        let index = self.tracked.iter().position(is_waiting)?;
        let tracked = std::mem::replace(&mut self.tracked[index], Tracked::Vacant);
        self.vacant.push(index);
        let Tracked::Waiting(key, mut reply) = tracked else {
            unreachable!("it was waiting");
        };
        let outcome = reply.would_deadlock(cycle);
        self.shrink();
        Some((key, outcome))
    }

    /// Frees the memory of a burst if no request is left. Any index that is still in the ready
    /// queue then belongs to a vacant entry.
    fn shrink(&mut self) {
        if self.is_empty() {
            self.has_registered = false;
            self.tracked = Vec::new();
            self.vacant = Vec::new();
            self.ready_queue.clear();
        }
    }

    /// Returns the outcome of the entry at `index`, if there is one. There may be none: a waker may
    /// be woken twice, or for a request that had this entry before.
    fn look_at(&mut self, index: usize) -> Option<(K, Result<R, X>)> {
        let tracked = std::mem::replace(self.tracked.get_mut(index)?, Tracked::Vacant);
        if !matches!(tracked, Tracked::Vacant) {
            // This comes before the poll, which may run the user's code: if that panics, the entry
            // is vacant.
            self.vacant.push(index);
        }
        let ready_queue = match tracked {
            Tracked::Vacant => return None,
            Tracked::Ended(key, outcome) => (key, outcome),
            Tracked::Waiting(key, mut reply) => match self.poll(index, &mut reply) {
                Poll::Ready(outcome) => (key, outcome),
                Poll::Pending => {
                    self.vacant.pop();
                    self.tracked[index] = Tracked::Waiting(key, reply);
                    return None;
                }
            },
        };
        self.shrink();
        Some(ready_queue)
    }

    /// Polls with the waker of `index`, which puts the entry into the ready queue when it is time
    /// to poll again.
    fn poll(&self, index: usize, reply: &mut WaitReply<R, E, X>) -> Poll<Result<R, X>> {
        let waker = Waker::from(WakerArc::new(ReadyWaker {
            index,
            ready_queue: WakerArc::clone(&self.ready_queue),
        }));
        reply.poll_without_budget(&mut Context::from_waker(&waker))
    }

    /// Registers a waiter for the next outcome. Returns false if the ready queue is not empty.
    fn register(&self, waiter: Waiter) -> bool {
        let mut state = self.ready_queue.state.lock();
        if !state.ready.is_empty() {
            return false;
        }
        let old = state.reader.replace(waiter);
        drop(state);
        if old.is_none() {
            return true;
        }
        // Dropping the old waiter runs the user's code, which may use up the unpark.
        drop(old);
        self.ready_queue.state.lock().ready.is_empty()
    }
}

impl<K, R, E, X> Default for Gather<K, R, E, X> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, R, E, X> Extend<(K, WaitReply<R, E, X>)> for Gather<K, R, E, X> {
    fn extend<T: IntoIterator<Item = (K, WaitReply<R, E, X>)>>(&mut self, replies: T) {
        replies
            .into_iter()
            .for_each(|(key, reply)| self.push(key, reply));
    }
}

impl<K, R, E, X> FromIterator<(K, WaitReply<R, E, X>)> for Gather<K, R, E, X> {
    fn from_iter<T: IntoIterator<Item = (K, WaitReply<R, E, X>)>>(replies: T) -> Self {
        let mut gather = Self::new();
        gather.extend(replies);
        gather
    }
}

impl<K, R, E, X> Unpin for Gather<K, R, E, X> {}

/// The async counterpart of [`wait`](Gather::wait).
///
/// # Cancel safety
/// Only the poll that returns an outcome takes it.
impl<K, R, E, X> Stream for Gather<K, R, E, X> {
    type Item = (K, Result<R, X>);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !self.coop.begin(cx) {
            return Poll::Pending;
        }
        let polled = self.poll_without_budget(cx);
        self.coop.end(&polled);
        polled
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), Some(self.len()))
    }
}

impl<K, R, E, X> Gather<K, R, E, X> {
    fn poll_without_budget(&mut self, cx: &mut Context<'_>) -> Poll<Option<(K, Result<R, X>)>> {
        loop {
            if let Some(outcome) = self.try_next() {
                return Poll::Ready(Some(outcome));
            }
            if self.is_empty() {
                return Poll::Ready(None);
            }
            let wait = || self.waits();
            let exchanged = match hooks::polled_any(cx.waker(), wait) {
                Ok(exchanged) => exchanged,
                Err(cycle) => return Poll::Ready(self.would_deadlock(cycle)),
            };
            self.has_registered = true;
            let waker = exchanged.as_ref().unwrap_or(cx.waker());
            if self.register(Waiter::task(waker)) {
                return Poll::Pending;
            }
        }
    }
}

impl<K, R, E, X> fmt::Debug for Gather<K, R, E, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gather")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
