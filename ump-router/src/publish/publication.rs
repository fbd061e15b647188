//! A message that is about to be published.

use std::{
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use ump::coop::Coop;

use super::{
    bus::Bus,
    delivery::{Delivery, WaitLimit},
    published::Published,
    retained::Retention,
};
use crate::{
    error::{Error, PublishError},
    protocol::Message,
    topic::{Pattern, TopicError},
};

/// A message to be published: choose the options, then call [`wait`](Self::wait) or `.await` it.
/// From [`Router::publish`](crate::Router::publish).
///
/// Publishing waits only for subscriptions with [`WhenFull::Block`](crate::WhenFull::Block), and
/// only while their queues are full.
///
/// # Cancel safety
/// Once the future was polled, the message is published to every subscription that had room. If the
/// future is dropped then, the subscriptions that it waited for miss the message, and learn of it.
/// A future that is neither dropped nor polled delays no other: its message keeps its place in the
/// wait queues, even after its deadline, and is received in its turn.
#[must_use = "nothing is published before `wait` or `.await`"]
pub struct Publish<M: Message> {
    bus: Result<Arc<Bus<M>>, Error>,
    topic: Result<Pattern, TopicError>,
    message: M,
    retention: Option<Retention>,
    limit: WaitLimit,
}

impl<M: Message> Publish<M> {
    pub(crate) fn new(
        bus: Result<Arc<Bus<M>>, Error>,
        topic: Result<Pattern, TopicError>,
        message: M,
    ) -> Self {
        Self {
            bus,
            topic,
            message,
            retention: None,
            limit: WaitLimit::Unlimited,
        }
    }

    /// Retains the message: a later subscription to its topic receives it first. The topic must be
    /// concrete; otherwise publishing returns an error.
    ///
    /// - It **replaces** the retained message of its topic. It stays until it is replaced or
    ///   [removed](crate::Router::remove_retained), its [time to live](Self::retain_for) is over,
    ///   or the router is closed.
    /// - A later message on the topic that is **not retained** leaves it as it is: a later
    ///   subscription receives the retained one, which is older, and not the other one. So a topic
    ///   that stands for a state has all its messages retained.
    /// - A later subscription receives **all** retained messages that match, however small its
    ///   queue is, in the order in which they were published, before any message that is published
    ///   after it began. [`Received::is_retained`](crate::Received::is_retained) tells them from
    ///   those.
    /// - [`Router::read_retained`](crate::Router::read_retained) reads them without a subscription.
    pub fn retain(mut self) -> Self {
        self.retention = Some(Retention::Unlimited);
        self
    }

    /// [Retains](Self::retain) the message for a limited time to live, by the clock of the router,
    /// from its publication.
    ///
    /// When the time is over, a later subscription does not receive the message, nobody reads it,
    /// and subscriptions that [ask for it](crate::SubscribeOptions::removals) are told. What a
    /// subscription has in its queue by then is received still. The former message of the topic
    /// does not come back.
    ///
    /// The router has no thread of its own. So the message is dropped with the next change of the
    /// retained messages of its type, a subscription, or the wake-up of a subscription that asks.
    ///
    /// If the clock cannot represent the end, there is no limit.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ump_router::{Bytes, Router, ump::ManualClock};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let clock = ManualClock::new();
    /// let router = Router::with_clock(clock.clock());
    /// let alive = router.publish("alive/pump", Bytes::from(*b"yes"));
    /// alive.retain_for(Duration::from_secs(10)).wait()?;
    /// assert_eq!(router.read_retained::<Bytes>("alive/*")?.count(), 1);
    /// clock.advance(Duration::from_secs(10));
    /// assert_eq!(router.read_retained::<Bytes>("alive/*")?.count(), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn retain_for(mut self, time_to_live: Duration) -> Self {
        self.retention = Some(Retention::For(time_to_live));
        self
    }

    /// [Retains](Self::retain) the message until an instant, by the clock of the router. Otherwise
    /// like [`retain_for`](Self::retain_for).
    pub fn retain_until(mut self, expires_at: Instant) -> Self {
        self.retention = Some(Retention::Until(expires_at));
        self
    }

    /// Limits the wait for full subscriptions to this time from now. See
    /// [`deadline`](Self::deadline).
    ///
    /// If the clock cannot represent the deadline, there is no limit.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        if let Ok(bus) = &self.bus {
            let deadline = bus.clock().now().checked_add(timeout);
            self.limit_to(deadline.map_or(WaitLimit::Unlimited, WaitLimit::Until));
        }
        self
    }

    /// Limits the wait for full subscriptions: until `deadline`, by the clock of the router, or as
    /// long as each subscription [says](crate::WhenFull::Block), whichever is shorter. A
    /// subscription that has no room by then misses the message.
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.limit_to(WaitLimit::Until(deadline));
        self
    }

    /// Never waits, whatever [`timeout`](Self::timeout) and [`deadline`](Self::deadline) say. A
    /// full subscription misses the message.
    pub fn if_room(mut self) -> Self {
        self.limit = WaitLimit::NoWait;
        self
    }

    /// Publishes the message. Blocks while a full subscription makes it wait.
    ///
    /// # Errors
    /// Returns the message and the reason, if it was not published: the topic is not valid, or not
    /// concrete although the message is [retained](Self::retain); the prefix of its type is not
    /// valid or not unique; or the router was closed.
    pub fn wait(self) -> Result<Published, PublishError<M>> {
        let delivery = self.deliver()?;
        Ok(match delivery.published() {
            Some(published) => published,
            None => delivery.complete_blocking(),
        })
    }

    /// Sets a limit, unless it never waits.
    fn limit_to(&mut self, limit: WaitLimit) {
        if self.limit != WaitLimit::NoWait {
            self.limit = limit;
        }
    }

    fn deliver(self) -> Result<Delivery<M>, PublishError<M>> {
        let Self {
            bus,
            topic,
            message,
            retention,
            limit,
        } = self;
        match bus {
            Ok(bus) => bus.publish(topic, message, retention, limit),
            Err(error) => Err(PublishError { message, error }),
        }
    }
}

impl<M: Message> IntoFuture for Publish<M> {
    type Output = Result<Published, PublishError<M>>;
    type IntoFuture = PublishFuture<M>;

    fn into_future(self) -> PublishFuture<M> {
        PublishFuture {
            progress: Progress::New(Some(self)),
            coop: Coop::new(),
        }
    }
}

impl<M: Message> fmt::Debug for Publish<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish")
            .field("topic", &self.topic)
            .field("retention", &self.retention)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// The future of a [`Publish`], which publishes its message.
///
/// # Panics
/// Panics if the future is polled after it was ready.
#[must_use = "futures do nothing unless awaited"]
pub struct PublishFuture<M: Message> {
    progress: Progress<M>,
    coop: Coop,
}

enum Progress<M: Message> {
    New(Option<Publish<M>>),
    Waiting(Pin<Box<dyn Future<Output = Published> + Send>>),
}

// The only pinned future is in a box.
impl<M: Message> Unpin for PublishFuture<M> {}

impl<M: Message> Future for PublishFuture<M> {
    type Output = Result<Published, PublishError<M>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { progress, coop } = &mut *self;
        coop.poll(cx, |cx| progress.poll(cx))
    }
}

impl<M: Message> Progress<M> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Published, PublishError<M>>> {
        if let Self::New(publish) = self {
            let publish = publish.take();
            let publish = publish.expect("`PublishFuture` polled after it was ready");
            let delivery = publish.deliver()?;
            if let Some(published) = delivery.published() {
                return Poll::Ready(Ok(published));
            }
            *self = Self::Waiting(Box::pin(delivery.complete()));
        }
        match self {
            Self::Waiting(waits) => waits.as_mut().poll(cx).map(Ok),
            Self::New(_) => unreachable!("a new message was published above"),
        }
    }
}

impl<M: Message> fmt::Debug for PublishFuture<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublishFuture(..)")
    }
}
