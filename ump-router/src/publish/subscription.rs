//! The receiving end of a subscription.

use std::{
    fmt,
    future::{Future, poll_fn},
    iter::FusedIterator,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use futures_core::{FusedStream, Stream};
use ump::{Clock, coop::Coop};

use super::{
    bus::Bus,
    deferred::Deferred,
    expiry::ExpiryTimer,
    options::SubscribeOptions,
    owner::QueueOwner,
    queue::{End, MemberId, Queue, Waits},
    received::Received,
    recv_error::RecvError,
    routes::Membership,
};
use crate::{
    close_handle::{Close, CloseHandle},
    deferred::DeferredWakes,
    error::Error,
    index::TopicKey,
    protocol::Message,
    topic::Pattern,
};

/// Receives the messages whose topics match a pattern, or one of several. From
/// [`Router::subscribe`](crate::Router::subscribe).
///
/// - [`recv`](Self::recv) receives one message: `.recv().wait()` blocks, `.recv().await` suspends
///   the task.
/// - [`iter`](Self::iter) blocks for each message, [`stream`](Self::stream) awaits each; the
///   subscription is a stream itself, too.
///
/// Messages come in the order in which each publisher published them on each topic. Dropping the
/// subscription ends it, as does its [handle](Self::close_handle) from outside; another
/// subscription with the same pattern is not affected. A subscription does not keep its router
/// alive: when the router is gone, it ends.
///
/// ```
/// # use ump_router::{Message, Router};
/// # struct Price(f64);
/// # impl Message for Price { const PREFIX: &str = "price"; }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let router = Router::new();
/// let mut euros = router.subscribe::<Price>("*/eur")?;
///
/// router.publish("eth/eur", Price(3000.0)).wait()?;
/// router.publish("eth/usd", Price(3300.0)).wait()?;
/// router.close();
///
/// for price in &mut euros {
///     let price = price?; // or RecvError::Missed(n), if n messages found no room
///     assert_eq!((price.topic().as_str(), price.0), ("eth/eur", 3000.0));
/// }
/// # Ok(())
/// # }
/// ```
pub struct Subscription<M: Message> {
    membership: Membership<M>,
    bus: Weak<Bus<M>>,
    clock: Clock,
    /// Used if the subscription receives removals.
    expiry: ExpiryTimer,
    /// The iterator or the stream has returned the end.
    is_over: bool,
    coop: Coop,
}

impl<M: Message> Subscription<M> {
    pub(crate) fn open(
        bus: &Arc<Bus<M>>,
        patterns: Vec<Pattern>,
        options: SubscribeOptions,
        owner: QueueOwner,
    ) -> Result<Self, Error> {
        let membership = bus.subscribe(patterns, options, owner)?;
        Ok(Self {
            membership,
            bus: Arc::downgrade(bus),
            clock: bus.clock().clone(),
            expiry: ExpiryTimer::default(),
            is_over: false,
            coop: Coop::new(),
        })
    }

    /// Receives the next message, when the returned value is waited for (`.wait()`) or awaited.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ump_router::{Bytes, Router};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let router = Router::new();
    /// let mut all = router.subscribe::<Bytes>("**")?;
    /// # router.publish("a", Bytes::from(*b"b")).wait()?;
    /// let message = all.recv().wait()?; // or `all.recv().await?`
    /// # assert_eq!(&**message, b"b");
    /// let none = all.recv().wait_timeout(Duration::from_millis(1))?;
    /// # assert!(none.is_none());
    /// # Ok(())
    /// # }
    /// ```
    pub fn recv(&mut self) -> Recv<'_, M> {
        Recv {
            subscription: self,
            is_registered: false,
        }
    }

    /// Returns the next message, if it is in the queue already.
    ///
    /// # Errors
    /// See [`RecvError`]. After [`Missed`](RecvError::Missed) the subscription goes on; it has
    /// ended after the other ones.
    pub fn try_recv(&mut self) -> Result<Option<Received<M>>, RecvError> {
        let Membership { queue, member, .. } = &self.membership;
        let received = queue.try_pop(*member);
        if !queue.options().removals || !matches!(received, Ok(None)) {
            return received;
        }
        if let Some(bus) = self.bus.upgrade() {
            bus.remove_expired();
        }
        queue.try_pop(*member)
    }

    /// Polls for a message. If there is none, the task is woken when one comes, or when the
    /// subscription ends.
    ///
    /// Of two tasks that poll, only the later one is woken. A member of a
    /// [group](crate::Router::subscribe_shared) that is polled in this way, or as a stream, may be
    /// woken for a message that another member receives.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Received<M>, RecvError>> {
        self.poll_next_message(Waits::ByPolling, cx)
    }

    fn poll_next_message(
        &mut self,
        waits: Waits,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Received<M>, RecvError>> {
        let Self {
            membership,
            bus,
            expiry,
            coop,
            ..
        } = self;
        coop.poll(cx, |cx| poll_queue(membership, bus, expiry, waits, cx))
    }

    fn queue(&self) -> &Queue<M> {
        &self.membership.queue
    }

    /// Removes the waker, if it is still there. Otherwise it was woken, perhaps for a message that
    /// is left to another member of its group.
    fn stop_receiving(&mut self) {
        self.expiry.cancel();
        self.queue().stop_receiving(self.membership.member);
    }

    /// Returns an iterator over the messages, which blocks for each.
    ///
    /// It ends when the router is closed, or the subscription by its
    /// [handle](Self::close_handle). [`Missed`](RecvError::Missed) is an item, after which it
    /// goes on; [`Disconnected`](RecvError::Disconnected) is the last item.
    #[must_use = "iterators are lazy"]
    pub fn iter(&mut self) -> Iter<'_, M> {
        Iter(self)
    }

    /// Returns a stream of the messages, which has the same items as [`iter`](Self::iter).
    #[must_use = "streams do nothing unless polled"]
    pub fn stream(&mut self) -> Messages<'_, M> {
        Messages(self)
    }

    /// Returns a handle that ends the subscription from outside. Its owner, which may wait for a
    /// message, receives the queued messages, then [`RecvError::Unsubscribed`]. In a
    /// [group](crate::Router::subscribe_shared) the other members receive the queued messages.
    #[must_use]
    pub fn close_handle(&self) -> CloseHandle {
        CloseHandle::new(CloseSubscription {
            queue: Arc::downgrade(&self.membership.queue),
            bus: Weak::clone(&self.bus),
            keys: Arc::clone(&self.membership.keys),
            member: self.membership.member,
        })
    }

    /// Returns the pattern, without the prefix of its type: the first one, if there are
    /// [several](Self::patterns).
    #[must_use]
    pub fn pattern(&self) -> &Pattern {
        &self.queue().patterns()[0]
    }

    /// Returns all patterns, without the prefix of their type, each once.
    #[must_use]
    pub fn patterns(&self) -> &[Pattern] {
        self.queue().patterns()
    }

    /// Returns the number of messages in the queue, and of those that were
    /// [retained](crate::Publish::retain) before.
    #[must_use]
    pub fn len(&self) -> usize {
        let counts = self.queue().counts();
        counts.backlog + counts.depth
    }

    /// Returns whether there is no message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns what an iterator makes of an outcome. The end is an item only if it is an error.
    fn item(
        &mut self,
        outcome: Result<Received<M>, RecvError>,
    ) -> Option<Result<Received<M>, RecvError>> {
        self.is_over = outcome.as_ref().is_err_and(RecvError::is_end);
        let is_error = !matches!(outcome, Err(RecvError::Closed | RecvError::Unsubscribed));
        is_error.then_some(outcome)
    }
}

/// Receives one message: call [`wait`](Self::wait) or `.await` it. From [`Subscription::recv`].
///
/// # Cancel safety
/// A future that is dropped has received nothing, and leaves no waker behind. In a
/// [group](crate::Router::subscribe_shared) it passes its wake-up on.
#[must_use = "nothing is received before `wait` or `.await`"]
pub struct Recv<'a, M: Message> {
    subscription: &'a mut Subscription<M>,
    /// The queue may have a waker of this future.
    is_registered: bool,
}

impl<M: Message> Recv<'_, M> {
    /// Blocks until there is a message.
    ///
    /// # Errors
    /// See [`RecvError`]. After [`Missed`](RecvError::Missed) the subscription goes on; it has
    /// ended after the other ones.
    pub fn wait(mut self) -> Result<Received<M>, RecvError> {
        loop {
            if let Some(received) = self.wait_until(None)? {
                return Ok(received);
            }
        }
    }

    /// Blocks until there is a message, or for `timeout` at most. Returns `None` when the time is
    /// over.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_timeout(mut self, timeout: Duration) -> Result<Option<Received<M>>, RecvError> {
        let deadline = self.subscription.clock.now().checked_add(timeout);
        self.wait_until(deadline)
    }

    /// Blocks until there is a message, or until `deadline` by the router's clock. Returns `None`
    /// after the deadline.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_deadline(mut self, deadline: Instant) -> Result<Option<Received<M>>, RecvError> {
        self.wait_until(Some(deadline))
    }

    fn wait_until(&mut self, deadline: Option<Instant>) -> Result<Option<Received<M>>, RecvError> {
        let Subscription {
            membership,
            bus,
            clock,
            expiry,
            ..
        } = &mut *self.subscription;
        let received = poll_fn(|cx| poll_queue(membership, bus, expiry, Waits::Reliably, cx));
        let received = clock.block_on(received, deadline).transpose();
        if let Ok(None) = received {
            self.subscription.stop_receiving();
        }
        received
    }
}

impl<M: Message> Future for Recv<'_, M> {
    type Output = Result<Received<M>, RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let received = self.subscription.poll_next_message(Waits::Reliably, cx);
        self.is_registered = received.is_pending();
        received
    }
}

impl<M: Message> Drop for Recv<'_, M> {
    fn drop(&mut self) {
        if self.is_registered {
            self.subscription.stop_receiving();
        }
    }
}

impl<M: Message> fmt::Debug for Recv<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Recv").field(self.subscription).finish()
    }
}

/// A blocking iterator over the messages of a [`Subscription`]. From [`Subscription::iter`].
pub struct Iter<'a, M: Message>(&'a mut Subscription<M>);

impl<M: Message> Iterator for Iter<'_, M> {
    type Item = Result<Received<M>, RecvError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Self(subscription) = self;
        if subscription.is_over {
            return None;
        }
        let outcome = subscription.recv().wait();
        subscription.item(outcome)
    }
}

impl<M: Message> FusedIterator for Iter<'_, M> {}

impl<M: Message> fmt::Debug for Iter<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Iter").field(self.0).finish()
    }
}

/// Blocks for each message, as [`iter`](Subscription::iter) does.
#[expect(
    clippy::into_iter_without_iter,
    reason = "receiving needs `&mut self`, so `iter` is what would be `iter_mut`"
)]
impl<'a, M: Message> IntoIterator for &'a mut Subscription<M> {
    type Item = Result<Received<M>, RecvError>;
    type IntoIter = Iter<'a, M>;

    fn into_iter(self) -> Iter<'a, M> {
        self.iter()
    }
}

/// A stream of the messages of a [`Subscription`]. From [`Subscription::stream`].
#[must_use = "streams do nothing unless polled"]
pub struct Messages<'a, M: Message>(&'a mut Subscription<M>);

impl<M: Message> Stream for Messages<'_, M> {
    type Item = Result<Received<M>, RecvError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut *self.0).poll_next(cx)
    }
}

impl<M: Message> FusedStream for Messages<'_, M> {
    fn is_terminated(&self) -> bool {
        self.0.is_terminated()
    }
}

impl<M: Message> fmt::Debug for Messages<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Messages").field(self.0).finish()
    }
}

/// Yields what [`stream`](Subscription::stream) yields, and owns the subscription.
impl<M: Message> Stream for Subscription<M> {
    type Item = Result<Received<M>, RecvError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return self.coop.poll(cx, |_| Poll::Ready(None));
        }
        let outcome = ready!(self.poll_recv(cx));
        Poll::Ready(self.item(outcome))
    }
}

impl<M: Message> FusedStream for Subscription<M> {
    fn is_terminated(&self) -> bool {
        self.is_over
    }
}

impl<M: Message> Drop for Subscription<M> {
    fn drop(&mut self) {
        end(&self.membership, &self.bus, End::Dropped);
        self.stop_receiving();
    }
}

/// Polls for a message. If the subscription receives removals, it is woken for an expiry, too.
fn poll_queue<M: Message>(
    membership: &Membership<M>,
    bus: &Weak<Bus<M>>,
    expiry: &mut ExpiryTimer,
    waits: Waits,
    cx: &mut Context<'_>,
) -> Poll<Result<Received<M>, RecvError>> {
    let Membership { queue, member, .. } = membership;
    loop {
        let received = queue.poll_pop(*member, waits, cx);
        if !queue.options().removals {
            return received;
        }
        if received.is_ready() {
            expiry.cancel();
            return received;
        }
        ready!(expiry.poll_expired(bus, cx));
    }
}

/// Ends a subscription, or one member of a shared one, and removes it from the bus, unless it was
/// removed before.
fn end<M: Message>(membership: &Membership<M>, bus: &Weak<Bus<M>>, end: End) {
    let mut deferred = Deferred::default();
    let queue = &membership.queue;
    // A shared queue may have other members.
    if queue.group().is_none() {
        queue.end(end, &mut deferred);
    }
    // If the bus is gone, so is its index, and the queue has ended.
    let mut wakes = bus.upgrade().map_or_else(DeferredWakes::default, |bus| {
        bus.unsubscribe(membership, end, &mut deferred)
    });
    deferred.run();
    wakes.wake_all();
}

/// Ends a subscription from outside.
struct CloseSubscription<M: Message> {
    queue: Weak<Queue<M>>,
    bus: Weak<Bus<M>>,
    keys: Arc<[TopicKey]>,
    member: MemberId,
}

impl<M: Message> CloseSubscription<M> {
    fn membership(&self) -> Option<Membership<M>> {
        Some(Membership {
            queue: self.queue.upgrade()?,
            keys: Arc::clone(&self.keys),
            member: self.member,
        })
    }
}

impl<M: Message> Close for CloseSubscription<M> {
    fn close(&self) {
        if let Some(membership) = self.membership() {
            end(&membership, &self.bus, End::Unsubscribed);
        }
    }

    fn is_closed(&self) -> bool {
        let Some(membership) = self.membership() else {
            return true;
        };
        if membership.queue.has_ended() {
            return true;
        }
        // A member of a group that others stay in.
        let is_shared = membership.queue.group().is_some();
        let bus = self.bus.upgrade();
        is_shared && bus.is_none_or(|bus| !bus.is_member(&membership))
    }
}

impl<M: Message> fmt::Debug for Subscription<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("patterns", &self.patterns())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
