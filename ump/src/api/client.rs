//! The asking end.

#![forbid(unsafe_code)]

use std::{fmt, future::Future, ops::Deref, panic::Location, time::Duration};

use crate::{
    api::closed::Closed,
    api::request::{Post, Request},
    api::wait_reply::WaitReply,
    channel::Channel,
    error::Error,
    hooks::ChannelId,
    inflight::pending::{OutcomeVtable, without_details},
    inflight::pool::SlotPool,
    stats::Stats,
    sync::Arc,
    time::clock::Clock,
};

/// The end of a channel that asks.
///
/// Clones ask the same server, independently of each other; one client can also be used from
/// several threads and tasks at a time. Once the last one is dropped the server gets what is still
/// queued, and then learns that [no client is left](Error::ClientsDisappeared).
///
/// # Order
/// Requests of one thread (or task) that enter one lane of the queue are taken in that order.
///
/// # Blocking and async code
/// `req`, `wait` and `req_async` on a full bounded channel block the thread: not for code that runs
/// on an async executor, where they would keep every other task of that worker thread from running,
/// perhaps the one that has to answer. There, await: [`areq`](Self::areq), or
/// [`request`](Self::request) with `.await`.
///
/// # A default time-out
/// Requests of a client wait without bound unless
/// [`Builder::default_timeout`](crate::Builder::default_timeout) or
/// [`with_timeout`](Self::with_timeout) gives it a default: then each request (not a post) has that
/// time-out, unless it has [its own](Request::timeout). Clones and weak clients carry the default
/// along.
pub struct Client<S, R, E> {
    pool: Arc<SlotPool<S, R, E>>,
    /// Of requests that say nothing else.
    timeout: Option<Duration>,
}

impl<S, R, E> Client<S, R, E> {
    /// Makes a client of a channel, which has counted it already.
    pub(crate) fn counted(channel: Arc<Channel<S, R, E>>, timeout: Option<Duration>) -> Self {
        Self {
            pool: SlotPool::new(channel),
            timeout,
        }
    }

    #[inline]
    pub(crate) fn channel(&self) -> &Arc<Channel<S, R, E>> {
        &self.pool.channel
    }

    /// Returns the pool of its slots.
    #[inline]
    pub(crate) fn pool(&self) -> &Arc<SlotPool<S, R, E>> {
        &self.pool
    }

    /// Sends a message, waits for the reply and returns it. Blocks the thread; allocates nothing
    /// (but at the client's first request).
    ///
    /// On a bounded channel that is full it waits for room first.
    ///
    /// # Errors
    /// - [`Error::ServerDisappeared`]: the server went before it took the request.
    /// - [`Error::NoReply`]: a handler let go of it without an answer; or, on the thread of a loop
    ///   that [watches](crate::hooks), one would have waited for oneself; or the client's [default
    ///   time-out](Self::with_timeout) has passed. Which of them, and whether it was executed, a
    ///   [`request`](Self::request) tells.
    /// - [`Error::App`]: the handler refused it.
    #[inline]
    #[track_caller]
    pub fn req(&self, out: S) -> Result<R, Error<E>> {
        self.request(out).wait().map_err(without_details)
    }

    /// Sends a message and awaits the reply. Nothing is sent before the first poll.
    ///
    /// # Errors
    /// Those of [`req`](Self::req).
    ///
    /// # Cancel safety
    /// Dropping the future cancels the request: if it is still queued it is never executed,
    /// otherwise its handler can see it.
    #[inline]
    #[track_caller]
    pub fn areq(&self, out: S) -> impl Future<Output = Result<R, Error<E>>>
    where
        S: Send,
    {
        self.request(out).into_asking()
    }

    /// Sends a message and returns at once, with what to wait for the reply with. Despite its name
    /// it is not an `async` function.
    ///
    /// On a bounded channel that is full it blocks until there is room; use
    /// [`request`](Self::request) with [`submit`](Request::submit) to choose otherwise.
    ///
    /// # Errors
    /// [`Error::ServerDisappeared`]: the server is gone or closed.
    #[track_caller]
    pub fn req_async(&self, out: S) -> Result<WaitReply<R, E>, Error<E>>
    where
        S: Send + 'static,
    {
        // `S: Send`: a pending request with the plain report may drop the message on any thread to
        // which it is sent; `'static`: at any time.
        self.request(out)
            .submit_with(&OutcomeVtable::DETACHED)
            .map_err(|error| without_details(error.into()))
    }

    /// Begins a request that is made when it is waited for, awaited, submitted or posted: with a
    /// deadline, urgent, …
    ///
    /// Its handler sees this call as [its caller](crate::ReplyContext::caller).
    #[inline]
    #[track_caller]
    pub fn request(&self, message: S) -> Request<'_, S, R, E> {
        Request::new(ClientRef::Borrowed(self), message, Location::caller())
    }

    /// The same, without borrowing the client: the request, and the future that it becomes, own it
    /// together with others.
    ///
    /// So such a future can be kept in a structure, or be given to an executor, without an
    /// allocation. It keeps the client until it is dropped, not only until it is ready; so the
    /// server does not learn before that [no client is left](Error::ClientsDisappeared). A
    /// [`WaitReply`] that it is submitted for does not.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use ump::Client;
    ///
    /// # #[derive(Clone)]
    /// struct Squares(Arc<Client<u32, u32, ()>>);
    ///
    /// impl Squares {
    ///     fn call(&self, n: u32) -> ump::RequestFuture<'static, u32, u32, ()> {
    ///         Client::request_owned(Arc::clone(&self.0), n).into_future()
    ///     }
    /// }
    /// # use std::future::IntoFuture;
    /// # let (server, client) = ump::channel();
    /// # let squares = Squares(Arc::new(client));
    /// # let future = squares.call(3);
    /// # drop(squares);
    /// # let serving = std::thread::spawn(move || for (n, rctx) in &server { let _ = rctx.reply(n * n); });
    /// # assert_eq!(ump::Clock::system().block_on(future, None).unwrap().ok(), Some(9));
    /// # serving.join().unwrap();
    /// ```
    #[inline]
    #[track_caller]
    pub fn request_owned(this: Arc<Self>, message: S) -> Request<'static, S, R, E> {
        Request::new(ClientRef::OwnedSlot(this), message, Location::caller())
    }

    /// Begins a post: a message whose reply nobody waits for. The same as
    /// `request(message).post()`.
    ///
    /// # Memory
    /// A queued post has a slot of its own, which is freed once it is handled or has expired (a few
    /// are kept for the next ones): 384 bytes for a message of 8 bytes, 512 for one of 128, with
    /// the error `()` and small replies; allocators add to that, as slots begin at multiples of 128
    /// bytes. The slot has room for a reply and for who waits for it, and what the two ends touch
    /// lies in cache lines of its own. An unbounded queue of many small posts costs less with
    /// several of them in a message.
    ///
    /// A post whose deadline has passed is dropped by whoever looks first: a receiver; a sender
    /// that finds its lane full; or, bounded or not, the sender of every 64th post with a deadline.
    /// Senders look at the head of the lane only, so behind a request that has not expired, expired
    /// posts stay until it is taken.
    #[track_caller]
    pub fn post(&self, message: S) -> Post<'_, S, R, E> {
        self.request(message).post()
    }

    /// Gives this client a default time-out, which each of its requests has unless it has its
    /// [own](Request::timeout).
    ///
    /// It counts from the call that makes the request, and includes waiting for room. It holds for
    /// plain calls as well: [`req`](Self::req), [`areq`](Self::areq) and
    /// [`req_async`](Self::req_async) end in [`Error::NoReply`] then, as their error knows no
    /// time-out; a [`request`](Self::request) tells more, in
    /// [`TimeoutQueued`](crate::RequestError::TimeoutQueued) or
    /// [`TimeoutTaken`](crate::RequestError::TimeoutTaken). It does not hold for posts: nobody
    /// would learn that one had expired.
    ///
    /// Other clients of the channel keep theirs; clones of this one have this. A request with
    /// `timeout(Duration::MAX)` has none.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ump::{Error, RequestError};
    ///
    /// let (server, client) = ump::channel::<&str, (), ()>();
    /// let client = client.with_timeout(Duration::from_millis(5));
    /// assert_eq!(client.req("plain"), Err(Error::NoReply)); // nobody has taken it in time, and nobody will
    /// assert_eq!(client.request("mine").wait(), Err(RequestError::TimeoutQueued("mine")));
    /// assert!(server.is_empty());
    /// ```
    #[must_use = "it is this client that has the time-out"]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Takes its default time-out away: its requests wait without bound unless they say otherwise.
    #[must_use = "it is this client that has no time-out"]
    pub fn without_timeout(mut self) -> Self {
        self.timeout = None;
        self
    }

    /// Returns its default time-out, if it has one: see [`with_timeout`](Self::with_timeout).
    #[inline]
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Returns a client that does not keep the channel going. The same as [`weak`](Self::weak), by
    /// the name that `Arc` has for it.
    ///
    /// ```
    /// let (server, client) = ump::channel::<u32, u32, ()>();
    /// let weak = client.downgrade();
    /// assert!(weak.upgrade().is_some());
    /// drop(client);
    /// assert!(weak.upgrade().is_none());
    /// # drop(server);
    /// ```
    #[must_use]
    pub fn downgrade(&self) -> WeakClient<S, R, E> {
        self.weak()
    }

    /// Returns a client that does not keep the channel going. The same as
    /// [`downgrade`](Self::downgrade).
    #[must_use]
    pub fn weak(&self) -> WeakClient<S, R, E> {
        WeakClient {
            timeout: self.timeout,
            channel: Arc::clone(self.channel()),
        }
    }

    /// Returns the number of requests in the queue, in both lanes. Out of date as soon as it is
    /// known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.channel().len()
    }

    /// Returns whether the queue is empty. Out of date as soon as it is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Names the channel, for [`hooks`](crate::hooks).
    #[must_use]
    pub fn id(&self) -> ChannelId {
        self.channel().id()
    }

    /// Returns how many requests each lane can hold; none if it is unbounded.
    #[must_use]
    pub fn capacity(&self) -> Option<usize> {
        self.channel().capacity()
    }

    /// Returns whether the server is gone or [closed](crate::Server::close), so that every request
    /// would end in [`Error::ServerDisappeared`].
    #[must_use]
    pub fn is_closed(&self) -> bool {
        !self.channel().is_open()
    }

    /// Waits until that is so: until the server is gone or closed. For whoever wants to know
    /// without asking it anything.
    ///
    /// ```
    /// let (server, client) = ump::channel::<u32, u32, ()>();
    /// # let watcher =
    /// std::thread::spawn(move || {
    ///     client.closed().wait();
    ///     println!("the server has gone");
    /// });
    /// drop(server);
    /// # watcher.join().unwrap();
    /// ```
    pub fn closed(&self) -> Closed<S, R, E> {
        Closed::new(Arc::clone(self.channel()))
    }

    /// Returns the clock of its channel.
    #[inline]
    #[must_use]
    pub fn clock(&self) -> &Clock {
        self.channel().clock()
    }

    /// Returns what has happened on this channel so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.channel().stats()
    }

    /// The former name of [`req`](Self::req).
    ///
    /// # Errors
    /// Those of [`req`](Self::req).
    #[deprecated(since = "0.1.0", note = "use `req`")]
    #[track_caller]
    pub fn send(&self, out: S) -> Result<R, Error<E>> {
        self.req(out)
    }

    /// The former name of [`areq`](Self::areq).
    ///
    /// # Errors
    /// Those of [`req`](Self::req).
    #[deprecated(since = "0.1.0", note = "use `areq`")]
    #[track_caller]
    pub fn asend(&self, out: S) -> impl Future<Output = Result<R, Error<E>>>
    where
        S: Send,
    {
        self.areq(out)
    }
}

impl<S, R, E> Clone for Client<S, R, E> {
    fn clone(&self) -> Self {
        self.channel().add_client();
        Self::counted(Arc::clone(self.channel()), self.timeout)
    }
}

impl<S, R, E> Drop for Client<S, R, E> {
    fn drop(&mut self) {
        self.pool.close();
        self.channel().remove_client();
    }
}

impl<S, R, E> fmt::Debug for Client<S, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// How a request has its client.
pub(crate) enum ClientRef<'a, S, R, E> {
    Borrowed(&'a Client<S, R, E>),
    OwnedSlot(Arc<Client<S, R, E>>),
}

impl<S, R, E> AsRef<Channel<S, R, E>> for ClientRef<'_, S, R, E> {
    #[inline]
    fn as_ref(&self) -> &Channel<S, R, E> {
        self.channel()
    }
}

impl<S, R, E> Deref for ClientRef<'_, S, R, E> {
    type Target = Client<S, R, E>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        match self {
            Self::Borrowed(client) => client,
            Self::OwnedSlot(client) => client,
        }
    }
}

/// A client that does not keep the channel going: it can become a [`Client`] while there still is
/// one.
pub struct WeakClient<S, R, E> {
    timeout: Option<Duration>,
    channel: Arc<Channel<S, R, E>>,
}

impl<S, R, E> WeakClient<S, R, E> {
    /// Makes it a client, unless the last one has gone: a channel without clients stays so.
    ///
    /// ```
    /// let (_server, client) = ump::channel::<(), (), ()>();
    /// let weak = client.weak();
    /// assert!(weak.upgrade().is_some());
    /// drop(client);
    /// assert!(weak.upgrade().is_none());
    /// ```
    #[must_use]
    pub fn upgrade(&self) -> Option<Client<S, R, E>> {
        self.channel
            .revive_client()
            .then(|| Client::counted(Arc::clone(&self.channel), self.timeout))
    }

    /// Names the channel, for [`hooks`](crate::hooks).
    #[must_use]
    pub fn id(&self) -> ChannelId {
        self.channel.id()
    }
}

impl<S, R, E> Clone for WeakClient<S, R, E> {
    fn clone(&self) -> Self {
        Self {
            timeout: self.timeout,
            channel: Arc::clone(&self.channel),
        }
    }
}

impl<S, R, E> fmt::Debug for WeakClient<S, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakClient").finish_non_exhaustive()
    }
}
