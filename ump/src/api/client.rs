//! The end of a channel that sends requests.

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

/// The end of a channel that sends requests.
///
/// Clones send to the same server, independently of each other. One client can also be used by
/// several threads and tasks at once. When the last client is dropped, the server can still take
/// the queued requests, and then gets [`Error::ClientsDisappeared`].
///
/// # Order
/// Requests of one thread (or task) that enter the same lane of the queue are taken in the order in
/// which they enter it.
///
/// # Blocking and async code
/// `req` and `wait` block the thread, and so does `req_async` on a full bounded channel. Do not
/// call them in code that runs on an async executor: they would keep every other task of that
/// worker thread from running, perhaps the task that has to answer. Await there instead: use
/// [`areq`](Self::areq), or [`request`](Self::request) with `.await`.
///
/// # A default time-out
/// Requests of a client wait without bound unless
/// [`Builder::default_timeout`](crate::Builder::default_timeout) or
/// [`with_timeout`](Self::with_timeout) sets a default. Then each request (not a post) has that
/// time-out, unless it has [its own](Request::timeout). Clones and weak clients inherit the
/// default.
pub struct Client<S, R, E> {
    pool: Arc<SlotPool<S, R, E>>,
    /// The time-out of requests that do not set one.
    timeout: Option<Duration>,
}

impl<S, R, E> Client<S, R, E> {
    /// Creates a client that the channel has counted already.
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

    /// Returns the slot pool of this client.
    #[inline]
    pub(crate) fn pool(&self) -> &Arc<SlotPool<S, R, E>> {
        &self.pool
    }

    /// Sends a message, waits for the reply and returns it. Blocks the thread. Allocates nothing,
    /// except for the client's first request.
    ///
    /// If a bounded channel is full, it waits for room first.
    ///
    /// # Errors
    /// - [`Error::ServerDisappeared`]: the server is gone or closed, and did not take the request.
    /// - [`Error::NoReply`]: a handler took the request and ended it without an answer; or, on the
    ///   thread of a loop that [watches](crate::hooks), the caller would have waited for itself; or
    ///   the client's [default time-out](Self::with_timeout) has passed. A
    ///   [`request`](Self::request) returns an error that tells these causes apart, and whether the
    ///   request was executed.
    /// - [`Error::App`]: the handler refused the request.
    #[inline]
    #[track_caller]
    pub fn req(&self, out: S) -> Result<R, Error<E>> {
        self.request(out).wait().map_err(without_details)
    }

    /// Sends a message and awaits the reply. Nothing is sent before the first poll.
    ///
    /// # Errors
    /// Returns the errors of [`req`](Self::req).
    ///
    /// # Cancel safety
    /// Dropping the future cancels the request. If the request is still queued, it is never
    /// executed; otherwise, its handler can see the cancellation.
    #[inline]
    #[track_caller]
    pub fn areq(&self, out: S) -> impl Future<Output = Result<R, Error<E>>>
    where
        S: Send,
    {
        self.request(out).into_asking()
    }

    /// Sends a message and returns a handle for the reply at once. Despite its name, it is not an
    /// `async` function.
    ///
    /// If a bounded channel is full, it blocks until there is room. Use [`request`](Self::request)
    /// with [`submit`](Request::submit) to choose otherwise.
    ///
    /// # Errors
    /// Returns [`Error::ServerDisappeared`] if the server is gone or closed.
    #[track_caller]
    pub fn req_async(&self, out: S) -> Result<WaitReply<R, E>, Error<E>>
    where
        S: Send + 'static,
    {
        // `S: Send`: a pending request with the detached outcome vtable may drop the message on any
        // thread to which it is sent. `S: 'static`: it may do so at any time.
        self.request(out)
            .submit_with(&OutcomeVtable::DETACHED)
            .map_err(|error| without_details(error.into()))
    }

    /// Creates a request with options: a deadline, urgent, …
    ///
    /// Nothing is sent before the request is waited for, awaited, submitted or posted.
    ///
    /// The handler sees the location of this call as [the caller](crate::ReplyContext::caller).
    #[inline]
    #[track_caller]
    pub fn request(&self, message: S) -> Request<'_, S, R, E> {
        Request::new(ClientRef::Borrowed(self), message, Location::caller())
    }

    /// Creates a request that shares ownership of the client instead of borrowing it. So does the
    /// future that the request becomes.
    ///
    /// Such a future can be kept in a structure, or given to an executor, without an allocation.
    /// The future keeps the client until it is dropped, not only until it is ready. So the server
    /// does not get [`Error::ClientsDisappeared`] before. If the request is submitted, its
    /// [`WaitReply`] does not keep the client.
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
        Request::new(ClientRef::Owned(this), message, Location::caller())
    }

    /// Creates a post: a message whose reply no caller waits for. It stands for
    /// `request(message).post()`.
    ///
    /// # Memory
    /// A queued post has a slot of its own, which is freed once the post is handled or has expired
    /// (a few slots are kept for the next posts). With the error `()` and small replies, a slot
    /// takes 384 bytes for a message of 8 bytes, and 512 for a message of 128. Allocators add to
    /// that, as slots begin at multiples of 128 bytes. The slot has room for a reply and for the
    /// waiter for it, and the data that each of the two ends touches lies in cache lines of its
    /// own. If an unbounded queue holds many small posts, it needs less memory with several of them
    /// in one message.
    ///
    /// An expired post is dropped by the first of these that finds it: a receiver; a sender that
    /// finds its lane full; or, on bounded and unbounded channels, the sender of every 64th post
    /// with a deadline. Senders look at the head of the lane only. So expired posts behind a
    /// request that has not expired stay until that request is taken.
    #[track_caller]
    pub fn post(&self, message: S) -> Post<'_, S, R, E> {
        self.request(message).post()
    }

    /// Sets the default time-out of this client, for each request that does not set
    /// [its own](Request::timeout).
    ///
    /// The time-out counts from the call that creates the request, and includes the wait for room.
    /// It applies to plain calls as well: [`req`](Self::req), [`areq`](Self::areq) and
    /// [`req_async`](Self::req_async) then end in [`Error::NoReply`], as their error has no variant
    /// for a time-out. A [`request`](Self::request) ends in
    /// [`TimeoutQueued`](crate::RequestError::TimeoutQueued) or
    /// [`TimeoutTaken`](crate::RequestError::TimeoutTaken). The time-out does not apply to posts:
    /// no caller would learn that a post had expired.
    ///
    /// Other clients of the channel keep their default; clones of this client have this one. A
    /// request with `timeout(Duration::MAX)` has no time-out.
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

    /// Removes the default time-out: requests of this client wait without bound unless they set a
    /// time-out.
    #[must_use = "it is this client that has no time-out"]
    pub fn without_timeout(mut self) -> Self {
        self.timeout = None;
        self
    }

    /// Returns the default time-out of this client, if it has one: see
    /// [`with_timeout`](Self::with_timeout).
    #[inline]
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Returns a client that does not keep the channel alive. This is [`weak`](Self::weak) by
    /// the name that `Arc` uses.
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

    /// Returns a client that does not keep the channel alive. This is
    /// [`downgrade`](Self::downgrade) by the name of the published crate.
    #[must_use]
    pub fn weak(&self) -> WeakClient<S, R, E> {
        WeakClient {
            timeout: self.timeout,
            channel: Arc::clone(self.channel()),
        }
    }

    /// Returns the number of requests in the queue, in both lanes. The number may be out of date at
    /// once.
    #[must_use]
    pub fn len(&self) -> usize {
        self.channel().len()
    }

    /// Returns whether the queue is empty. The answer may be out of date at once.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the id of the channel, for [`hooks`](crate::hooks).
    #[must_use]
    pub fn id(&self) -> ChannelId {
        self.channel().id()
    }

    /// Returns how many requests each lane can hold; `None` if the channel is unbounded.
    #[must_use]
    pub fn capacity(&self) -> Option<usize> {
        self.channel().capacity()
    }

    /// Returns whether the server is gone or [closed](crate::Server::close), so that every new
    /// request ends in [`Error::ServerDisappeared`].
    #[must_use]
    pub fn is_closed(&self) -> bool {
        !self.channel().is_open()
    }

    /// Returns a future that resolves when the server is gone or closed. Use it to observe shutdown
    /// without sending a request; [`Closed::wait`] blocks.
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

    /// Returns the clock of the channel.
    #[inline]
    #[must_use]
    pub fn clock(&self) -> &Clock {
        self.channel().clock()
    }

    /// Returns statistics of what has happened on this channel so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.channel().stats()
    }

    /// The former name of [`req`](Self::req).
    ///
    /// # Errors
    /// Returns the errors of [`req`](Self::req).
    #[deprecated(since = "0.1.0", note = "use `req`")]
    #[track_caller]
    pub fn send(&self, out: S) -> Result<R, Error<E>> {
        self.req(out)
    }

    /// The former name of [`areq`](Self::areq).
    ///
    /// # Errors
    /// Returns the errors of [`req`](Self::req).
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

/// The client of a request: borrowed, or shared.
pub(crate) enum ClientRef<'a, S, R, E> {
    Borrowed(&'a Client<S, R, E>),
    Owned(Arc<Client<S, R, E>>),
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
            Self::Owned(client) => client,
        }
    }
}

/// A client that does not keep the channel alive. It can be upgraded to a [`Client`] while another
/// [`Client`] exists.
pub struct WeakClient<S, R, E> {
    timeout: Option<Duration>,
    channel: Arc<Channel<S, R, E>>,
}

impl<S, R, E> WeakClient<S, R, E> {
    /// Returns a [`Client`], unless the last client has been dropped: a channel without clients
    /// stays so.
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

    /// Returns the id of the channel, for [`hooks`](crate::hooks).
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
