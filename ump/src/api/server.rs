//! The end of a channel that receives and answers requests.
//!
//! The file is long because of its documentation: the code of receivers is in `receive`.

#![forbid(unsafe_code)]

use std::{
    fmt,
    iter::FusedIterator,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures_core::Stream;

use crate::{
    api::deserted::Deserted,
    api::drained::Drained,
    api::loop_requests::LoopRequests,
    api::receive::{
        Receive, Received, Requests, await_handoff, first, into_poll, into_result, look,
    },
    api::reply_context::ReplyContext,
    channel::Channel,
    channel::queue::WaitMode,
    channel::receive::{ReceiverKind, Taken},
    coop::{State, consume_budget},
    error::Error,
    hooks::{ChannelId, RequestId, Wait},
    slot::list::Batch,
    stats::Stats,
    sync::{Arc, AtomicU64, Ordering, current},
    time::clock::Clock,
    wait::spin_until,
    wait::wait_queue::WaiterKey,
    wait::waiter::Waiter,
};

/// The end of a channel that receives and answers requests.
///
/// Several threads and tasks may wait on one server, by reference or through an `Arc`, as a pool of
/// workers. Each request goes to one of them, and the worker that has waited longest is woken
/// first.
///
/// Dropping the server ends every queued request with `ServerDisappeared`, at once. Requests that
/// were taken are not affected: their [`ReplyContext`]s stay valid. To accept no more requests and
/// still serve the queued ones, [`close`](Self::close) the server first.
///
/// Everything that a client did before it sent a request happens before the request is taken.
pub struct Server<S, R, E> {
    channel: Arc<Channel<S, R, E>>,
    /// The state of the task budget of [`poll_wait`](Self::poll_wait), as a number.
    coop: AtomicU64,
}

impl<S, R, E> Server<S, R, E> {
    pub(crate) fn new(channel: Arc<Channel<S, R, E>>) -> Self {
        Self {
            channel,
            coop: AtomicU64::new(State::Fresh.to_number()),
        }
    }

    /// Blocks until there is a request and takes it.
    ///
    /// # Errors
    /// Returns [`Error::ClientsDisappeared`] if the queue is empty, and no client is left or the
    /// server was [closed](Self::close).
    #[inline]
    pub fn wait(&self) -> Result<Received<S, R, E>, Error<E>> {
        self.receive(1, Limit::None).map(some).map(first)
    }

    /// Blocks until there is a request and takes it. Returns `Ok(None)` if `timeout` passes first,
    /// or if the call is [interrupted](Self::interrupt).
    ///
    /// If `timeout` is beyond the range of the clock, there is no deadline.
    ///
    /// # Errors
    /// Returns [`Error::ClientsDisappeared`] if the queue is empty, and no client is left or the
    /// server was [closed](Self::close).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<Option<Received<S, R, E>>, Error<E>> {
        self.wait_until(self.clock().after(timeout))
    }

    /// Blocks until there is a request and takes it. Returns `Ok(None)` if `deadline` passes first,
    /// or if the call is [interrupted](Self::interrupt).
    ///
    /// # Errors
    /// Returns [`Error::ClientsDisappeared`] if the queue is empty, and no client is left or the
    /// server was [closed](Self::close).
    pub fn wait_deadline(&self, deadline: Instant) -> Result<Option<Received<S, R, E>>, Error<E>> {
        self.wait_until(Some(deadline))
    }

    /// Blocks until there is a request and takes it. Returns `Ok(None)` if `deadline`, if there is
    /// one, passes first, or if the call is [interrupted](Self::interrupt).
    ///
    /// For loops that wait for something else as well.
    ///
    /// # Errors
    /// Returns [`Error::ClientsDisappeared`] if the queue is empty, and no client is left or the
    /// server was [closed](Self::close).
    pub fn wait_until(
        &self,
        deadline: Option<Instant>,
    ) -> Result<Option<Received<S, R, E>>, Error<E>> {
        optional(self.receive(1, Limit::Until(deadline, None)))
    }

    /// Implements [`LoopView::wait_since`](crate::hooks::LoopView::wait_since).
    #[inline]
    pub(crate) fn wait_since(
        &self,
        known: usize,
        deadline: Option<Instant>,
    ) -> Result<Option<Received<S, R, E>>, Error<E>> {
        optional(self.receive(1, Limit::Until(deadline, Some(known))))
    }

    /// Implements [`LoopView::requests`](crate::hooks::LoopView::requests).
    pub(crate) fn loop_requests(&self) -> LoopRequests<'_, S, R, E> {
        LoopRequests::new(&self.channel)
    }

    /// Implements [`LoopView::interruptions`](crate::hooks::LoopView::interruptions).
    #[inline]
    pub(crate) fn interruptions(&self) -> usize {
        self.channel.interruptions.count()
    }

    /// Blocks until there is a request, then takes all requests that are there, up to `max`, and
    /// appends them to `batch`. Returns how many it took: at least one, unless `max` is zero.
    ///
    /// Urgent requests come first, by the same rule as if the requests were taken one by one.
    ///
    /// # Errors
    /// Returns [`Error::ClientsDisappeared`] if the queue is empty, and no client is left or the
    /// server was [closed](Self::close).
    pub fn wait_many(
        &self,
        batch: &mut Vec<Received<S, R, E>>,
        max: usize,
    ) -> Result<usize, Error<E>> {
        if max == 0 {
            return Ok(0);
        }
        let taken = self.receive(max, Limit::None).map(some)?;
        Ok(append(taken, batch))
    }

    /// Awaits a request and takes it.
    ///
    /// # Errors
    /// Returns [`Error::ClientsDisappeared`] if the queue is empty, and no client is left or the
    /// server was [closed](Self::close).
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing. Only the poll that returns a request takes it. If the
    /// future was woken and does not use the wake-up, the next receiver in the wait queue is woken.
    pub async fn async_wait(&self) -> Result<Received<S, R, E>, Error<E>> {
        Receive::new(&self.channel, 1).await.map(first)
    }

    /// Awaits a request, then takes all requests that are there, up to `max`, and appends them to
    /// `batch`. See [`wait_many`](Self::wait_many).
    ///
    /// # Errors
    /// Returns [`Error::ClientsDisappeared`] if the queue is empty, and no client is left or the
    /// server was [closed](Self::close).
    ///
    /// # Cancel safety
    /// Dropping the future loses no request, as with [`async_wait`](Self::async_wait).
    pub async fn async_wait_many(
        &self,
        batch: &mut Vec<Received<S, R, E>>,
        max: usize,
    ) -> Result<usize, Error<E>> {
        if max == 0 {
            consume_budget().await;
            return Ok(0);
        }
        let taken = Receive::new(&self.channel, max).await?;
        Ok(append(taken, batch))
    }

    /// Takes a request if there is one.
    ///
    /// # Errors
    /// Returns [`Error::ClientsDisappeared`] if the queue is empty, and no client is left or the
    /// server was [closed](Self::close).
    pub fn try_pop(&self) -> Result<Option<Received<S, R, E>>, Error<E>> {
        // The loop skips overdue requests. Requests that arrive meanwhile do not matter.
        for _ in 0..=self.len() {
            match self
                .channel
                .take(1, WaitMode::NoWait, None, ReceiverKind::Passing)
            {
                Taken::Overdue => {}
                taken => return optional(into_result(taken)),
            }
        }
        Ok(None)
    }

    /// Takes a request, or registers the task to be woken when there is one.
    ///
    /// For event loops and hand-written futures. A server keeps *one* waker that was registered in
    /// this way, the latest, until a request comes, no client is left, or the server is closed or
    /// dropped. If several tasks wait at once, each of them uses [`async_wait`](Self::async_wait)
    /// or a [`stream`](Self::stream).
    ///
    /// # Errors
    /// Returns [`Error::ClientsDisappeared`] if the queue is empty, and no client is left or the
    /// server was [closed](Self::close).
    pub fn poll_wait(&self, cx: &mut Context<'_>) -> Poll<Result<Received<S, R, E>, Error<E>>> {
        // ORDERING: Relaxed, here and for the store below: there is one poller at a time, and
        // otherwise the number is a hint.
        let before = State::from_number(self.coop.load(Ordering::Relaxed));
        let mut coop = before;
        let polled = if coop.begin(cx.waker()) {
            let polled = self.look_or_wait(cx);
            match &polled {
                Poll::Ready(_) => coop.end(1),
                Poll::Pending => coop = State::Waited,
            }
            polled
        } else {
            Poll::Pending
        };
        if coop != before {
            self.coop.store(coop.to_number(), Ordering::Relaxed);
        }
        polled
    }

    fn look_or_wait(&self, cx: &mut Context<'_>) -> Poll<Result<Received<S, R, E>, Error<E>>> {
        if let Some(job) = self.try_pop()? {
            return Poll::Ready(Ok(job));
        }
        let mode = WaitMode::Poller(Some(Waiter::task(cx.waker())));
        into_poll(self.channel.take(1, mode, None, ReceiverKind::Passing), cx).map_ok(first)
    }

    /// Returns a blocking iterator over the requests. It ends when no client is left or the server
    /// was [closed](Self::close), and the queue is empty.
    ///
    /// ```
    /// let (server, client) = ump::channel::<u32, u32, ()>();
    /// let server = std::thread::spawn(move || {
    ///     for (n, rctx) in &server {
    ///         let _ = rctx.reply(n * n);
    ///     }
    /// });
    /// assert_eq!(client.req(7), Ok(49));
    /// drop(client);
    /// server.join().unwrap();
    /// ```
    #[must_use = "iterators are lazy"]
    pub fn iter(&self) -> Iter<'_, S, R, E> {
        Iter(self)
    }

    /// Returns a stream of the requests, which ends as [`iter`](Self::iter) does. There can be many
    /// streams at once, and each request goes to one of them.
    #[must_use = "streams do nothing unless polled"]
    pub fn stream(&self) -> Requests<'_, S, R, E> {
        Requests(Receive::new(&self.channel, 1))
    }

    /// Stops accepting requests. Queued requests can still be taken; after that, receivers get
    /// [`Error::ClientsDisappeared`], as if no client were left.
    ///
    /// - A request that is sent later, or that waits for room, ends in `ServerDisappeared`: it was
    ///   not executed, and its message comes back wherever the error has room for it. A request
    ///   that is sent during the call is either queued or refused.
    /// - [`Client::is_closed`](crate::Client::is_closed) is true when this returns. Other receivers
    ///   may get the error later than that.
    /// - Requests that are queued or taken keep their deadlines and can be cancelled. Requests that
    ///   are still queued when the server is dropped end as always.
    /// - Any thread may call it, also while receivers wait. Further calls do nothing.
    ///
    /// Everything that happened before the call happens before whatever a receiver does after it
    /// gets [`Error::ClientsDisappeared`].
    ///
    /// ```
    /// let (server, client) = ump::channel::<u32, u32, ()>();
    /// let queued = client.req_async(1).unwrap();
    /// server.close();
    /// assert!(client.is_closed());
    /// assert_eq!(client.req(2), Err(ump::Error::ServerDisappeared));
    /// for (n, rctx) in &server {
    ///     rctx.reply(n * 10).unwrap();
    /// }
    /// assert_eq!(queued.wait(), Ok(10));
    /// ```
    pub fn close(&self) {
        self.channel.close();
    }

    /// Stops accepting requests and turns down the queued ones. It does what [`close`](Self::close)
    /// does, and then what dropping the server does.
    ///
    /// For an owner that shares the server and so cannot drop it.
    ///
    /// - Queued requests end in `ServerDisappeared` at once; they were not executed, and their
    ///   messages come back. Requests that were taken are not affected.
    /// - Receivers that wait get [`Error::ClientsDisappeared`]. A receiver that is taking a request
    ///   at that moment may still get the request.
    ///
    /// ```
    /// let (server, client) = ump::channel::<u32, u32, ()>();
    /// let queued = client.req_async(1).unwrap();
    /// server.refuse();
    /// assert_eq!(queued.wait(), Err(ump::Error::ServerDisappeared));
    /// assert!(server.wait().is_err());
    /// ```
    pub fn refuse(&self) {
        self.channel.close();
        self.channel.leave();
    }

    /// Makes calls of [`wait_until`](Self::wait_until), [`wait_deadline`](Self::wait_deadline) and
    /// [`wait_timeout`](Self::wait_timeout) return early, with `Ok(None)`.
    ///
    /// - All of these calls that sleep now return. If none sleeps, the interruption is kept, and
    ///   the next of these calls that finds no request returns at once instead of sleeping. Kept
    ///   interruptions do not add up.
    /// - A request comes first: if an interrupted call finds a request, it returns the request, and
    ///   interrupts the other calls that sleep; if none sleeps, the interruption is kept. So after
    ///   an interruption, at least one call returns `Ok(None)` before it sleeps.
    /// - If several workers wait and some of them sleep, a worker that is awake at that moment (its
    ///   call just begins, or it was woken for a request) misses the interruption. Workers that
    ///   share a server use [`LoopView::wait_since`](crate::hooks::LoopView::wait_since), which
    ///   misses none.
    /// - Calls that wait only for a request are not affected: [`wait`](Self::wait),
    ///   [`wait_many`](Self::wait_many), [`iter`](Self::iter), and tasks.
    ///
    /// Everything that happened before the call happens before whatever the interrupted call does
    /// next. So if a thread sets a flag and then interrupts, a loop that checks the flag before
    /// each wait sees it. This method never blocks, and any thread may call it.
    ///
    /// ```
    /// # use std::{sync::atomic::{AtomicBool, Ordering}, thread};
    /// let (server, client) = ump::channel::<u32, u32, ()>();
    /// let refresh = AtomicBool::new(false);
    /// thread::scope(|scope| {
    ///     let worker = scope.spawn(|| {
    ///         while !refresh.load(Ordering::Relaxed) {
    ///             if let Some((n, rctx)) = server.wait_until(None).unwrap() {
    ///                 let _ = rctx.reply(n + 1);
    ///             }
    ///         }
    ///     });
    ///     assert_eq!(client.req(1), Ok(2));
    ///     refresh.store(true, Ordering::Relaxed);
    ///     server.interrupt();
    /// });
    /// ```
    pub fn interrupt(&self) {
        self.channel.interruptions.raise();
    }

    /// Returns a future that resolves when no client is left, at once if there is none. It takes no
    /// requests.
    ///
    /// For loops that take no requests for a while: if the queue is empty once this has resolved,
    /// no request will ever come. The counterpart of [`Client::closed`](crate::Client::closed).
    ///
    /// [`WeakClient`](crate::WeakClient)s do not count. Requests that were sent before stay in the
    /// queue. The future does not borrow the server.
    ///
    /// ```
    /// let (server, client) = ump::channel::<u32, u32, ()>();
    /// client.post(1).wait().unwrap();
    /// let leaving = std::thread::spawn(move || drop(client));
    /// server.deserted().wait();
    /// assert_eq!(server.try_pop().unwrap().unwrap().0, 1);
    /// assert_eq!(server.try_pop().err(), Some(ump::Error::ClientsDisappeared));
    /// # leaving.join().unwrap();
    /// ```
    pub fn deserted(&self) -> Deserted<S, R, E> {
        Deserted::new(Arc::clone(&self.channel))
    }

    /// Returns a future that resolves when no client is left and no request is queued, at once if
    /// that is so. It takes no requests.
    ///
    /// For loops that take no requests for a while: once this has resolved, there is nothing more
    /// to do.
    ///
    /// A queued request leaves the queue when another receiver takes it, when its caller drops it,
    /// or when its deadline passes. The future does not borrow the server.
    ///
    /// ```
    /// let (server, client) = ump::channel::<u32, u32, ()>();
    /// let asked = client.req_async(1).unwrap();
    /// let leaving = std::thread::spawn(move || drop((client, asked)));
    /// server.drained().wait();
    /// assert_eq!(server.try_pop().err(), Some(ump::Error::ClientsDisappeared));
    /// # leaving.join().unwrap();
    /// ```
    pub fn drained(&self) -> Drained<S, R, E> {
        Drained::new(Arc::clone(&self.channel))
    }

    /// Returns the number of requests in the queue, in both lanes. The number may be out of date at
    /// once.
    #[must_use]
    pub fn len(&self) -> usize {
        self.channel.len()
    }

    /// Returns whether the queue is empty. The answer may be out of date at once.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether the queue was empty at the time of the call. This is
    /// [`is_empty`](Self::is_empty) by the name of the published crate.
    #[must_use]
    pub fn was_empty(&self) -> bool {
        self.is_empty()
    }

    /// Returns the id of the channel, for [`hooks`](crate::hooks).
    #[must_use]
    pub fn id(&self) -> ChannelId {
        self.channel.id()
    }

    /// Implements [`LoopView::is_queued`](crate::hooks::LoopView::is_queued).
    pub(crate) fn is_queued(&self, request: RequestId) -> bool {
        self.channel.is_queued(request)
    }

    /// Implements [`LoopView::without_room`](crate::hooks::LoopView::without_room).
    pub(crate) fn without_room(&self, wait: &Wait) -> Option<Vec<RequestId>> {
        self.channel.without_room(wait.lane, MAX_REVOCABLE)
    }

    /// Returns how many requests each lane can hold; `None` if the channel is unbounded.
    #[must_use]
    pub fn capacity(&self) -> Option<usize> {
        self.channel.capacity()
    }

    /// Returns the clock of the channel.
    #[inline]
    #[must_use]
    pub fn clock(&self) -> &Clock {
        self.channel.clock()
    }

    /// Returns statistics of what has happened on this channel so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.channel.stats()
    }

    /// Receives up to `max` requests. Returns `None` if no request comes within the limit.
    #[inline]
    fn receive(&self, max: usize, limit: Limit) -> Result<Option<Batch<S, R, E>>, Error<E>> {
        let channel = &*self.channel;
        let mut key = WaiterKey::default();
        loop {
            let lease = channel.lease_handoff();
            if let Some(call) = await_handoff(channel, lease.as_ref(), &channel.wait_policy.threads)
            {
                return Ok(Some(call.into()));
            }
            if lease.is_none() {
                spin_until(&channel.wait_policy.threads, || !channel.looks_empty());
            }
            let waiter = || Waiter::Thread(current());
            let woken = match look(channel, max, &mut key, waiter, lease, ReceiverKind::Thread) {
                Taken::Empty => {
                    let asleep = channel.wait_policy.threads.sleeps();
                    let woken = self.sleep(limit);
                    channel.wait_policy.threads.woken(asleep);
                    woken
                }
                Taken::Overdue if channel.clock().has_passed(limit.deadline()) => Woken::TimedOut,
                Taken::Overdue => Woken::Early,
                taken => return into_result(taken),
            };
            if woken != Woken::Early {
                // A request may have come at the last moment.
                let taken = channel.take(
                    max,
                    WaitMode::InLine(&mut key, None),
                    None,
                    ReceiverKind::Passing,
                );
                if let Taken::Empty | Taken::Overdue = taken {
                    channel.stop_receiving(&mut key);
                } else if woken == Woken::Interrupted {
                    channel.interruptions.raise();
                }
                return into_result(taken);
            }
        }
    }

    /// Sleeps until woken. The caller has a place in the wait queue of receivers.
    fn sleep(&self, limit: Limit) -> Woken {
        let Limit::Until(deadline, known) = limit else {
            self.clock().park_until(None);
            return Woken::Early;
        };
        let interruptions = &self.channel.interruptions;
        let mut key = WaiterKey::default();
        if !interruptions.register(&mut key, Waiter::Thread(current()), known) {
            return Woken::Interrupted;
        }
        let late = self.clock().park_until(deadline);
        if interruptions.remove(&mut key) {
            Woken::Interrupted
        } else if late {
            Woken::TimedOut
        } else {
            Woken::Early
        }
    }
}

/// How long a receiver waits for a request.
#[derive(Clone, Copy)]
enum Limit {
    None,
    /// The receiver waits until the deadline, if there is one, or until an interruption: a kept
    /// one, or, if the number of known interruptions is given, one more than that.
    Until(Option<Instant>, Option<usize>),
}

impl Limit {
    fn deadline(self) -> Option<Instant> {
        match self {
            Self::None => None,
            Self::Until(deadline, _) => deadline,
        }
    }
}

/// Why a receiver stopped sleeping.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Woken {
    /// There may be a request.
    Early,
    TimedOut,
    Interrupted,
}

impl<S, R, E> Drop for Server<S, R, E> {
    fn drop(&mut self) {
        self.channel.leave();
    }
}

impl<S, R, E> fmt::Debug for Server<S, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

/// The owned form of [`stream`](Server::stream). It waits with [`poll_wait`](Server::poll_wait).
impl<S, R, E> Stream for Server<S, R, E> {
    type Item = Received<S, R, E>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_wait(cx).map(Result::ok)
    }
}

impl<'a, S, R, E> IntoIterator for &'a Server<S, R, E> {
    type Item = Received<S, R, E>;
    type IntoIter = Iter<'a, S, R, E>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// A blocking iterator over the requests of a [`Server`]. From [`Server::iter`].
#[derive(Clone)]
pub struct Iter<'a, S, R, E>(&'a Server<S, R, E>);

impl<S, R, E> Iterator for Iter<'_, S, R, E> {
    type Item = Received<S, R, E>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.wait().ok()
    }
}

/// A channel without clients stays so, and a closed channel stays closed.
impl<S, R, E> FusedIterator for Iter<'_, S, R, E> {}

impl<S, R, E> fmt::Debug for Iter<'_, S, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Iter").field(self.0).finish()
    }
}

/// The maximum number of requests that
/// [`LoopView::without_room`](crate::hooks::LoopView::without_room) returns.
const MAX_REVOCABLE: usize = 64;

/// Returns the result of a receive without a limit.
#[inline]
fn some<T>(taken: Option<T>) -> T {
    taken.expect("it returns empty-handed only at a limit")
}

fn optional<S, R, E>(
    taken: Result<Option<Batch<S, R, E>>, Error<E>>,
) -> Result<Option<Received<S, R, E>>, Error<E>> {
    taken.map(|taken| taken.map(first))
}

fn append<S, R, E>(mut taken: Batch<S, R, E>, batch: &mut Vec<Received<S, R, E>>) -> usize {
    let count = taken.len();
    batch.reserve(count);
    while let Some(entry) = taken.pop_front() {
        batch.push(entry.take(ReplyContext::new));
    }
    count
}
