//! A message to be published: how, and what came of it.

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
};
use crate::{
    error::{Error, PublishError},
    protocol::Message,
    topic::{Pattern, TopicError},
};

/// A message that has not been published yet: say how, then wait for it or await it. From [`Router::publish`](crate::Router::publish).
///
/// Only subscriptions that [block](crate::WhenFull::Block) are waited for, and only while they are full; else both return at once.
#[must_use = "nothing is published before it is waited for or awaited"]
pub struct Publish<M: Message> {
    bus: Result<Arc<Bus<M>>, Error>,
    topic: Result<Pattern, TopicError>,
    message: M,
    is_retained: bool,
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
            is_retained: false,
            limit: WaitLimit::Unlimited,
        }
    }

    /// Keeps the message as the last value of its topic: who subscribes later receives it first. It takes the place of the former one, and is
    /// kept until the next one, until it is [forgotten](crate::Router::forget), or as long as the router.
    ///
    /// The topic has to be concrete.
    pub fn retain(mut self) -> Self {
        self.is_retained = true;
        self
    }

    /// Waits for at most so long from now for those who want to be waited for, however long they want. See [`deadline`](Self::deadline).
    ///
    /// A time beyond what the clock can tell is no limit.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        if let Ok(bus) = &self.bus {
            let deadline = bus.clock().now().checked_add(timeout);
            self.limit_to(deadline.map_or(WaitLimit::Unlimited, WaitLimit::Until));
        }
        self
    }

    /// Waits until `deadline` at most, by the clock of the router, for those who want to be waited for: as long as each of them
    /// [wants](crate::WhenFull::Block), or until then. Who has no room by then misses the message, and is told.
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.limit_to(WaitLimit::Until(deadline));
        self
    }

    /// Waits for nobody, whatever [`timeout`](Self::timeout) and [`deadline`](Self::deadline) say: who has no room misses the message, and is told.
    pub fn if_room(mut self) -> Self {
        self.limit = WaitLimit::NoWait;
        self
    }

    /// Publishes it; blocks while a subscription wants to be waited for.
    ///
    /// # Errors
    /// Nothing was published, and why; the message comes back.
    pub fn wait(self) -> Result<Published, PublishError<M>> {
        let delivery = self.deliver()?;
        Ok(match delivery.outcome() {
            Some(published) => published,
            None => delivery.complete_blocking(),
        })
    }

    /// Who does not wait has no deadline.
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
            is_retained,
            limit,
        } = self;
        match bus {
            Ok(bus) => bus.publish(topic, message, is_retained, limit),
            Err(error) => Err(PublishError { message, error }),
        }
    }
}

/// # Cancel safety
/// A future that was polled has published its message to all who had room. If it is dropped then, those that it waited for miss the message,
/// and learn of it. One that is neither dropped nor polled holds up nobody: its message stays in line, beyond its time too, and is received in its turn.
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
            .field("is_retained", &self.is_retained)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// Publishes a message. From awaiting a [`Publish`].
///
/// # Panics
/// If it is polled after it was ready.
#[must_use = "futures do nothing unless awaited"]
pub struct PublishFuture<M: Message> {
    progress: Progress<M>,
    coop: Coop,
}

enum Progress<M: Message> {
    New(Option<Publish<M>>),
    Waiting(Pin<Box<dyn Future<Output = Published> + Send>>),
}

// What it pins is in a box.
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
            let publish = publish.take().expect("it is not polled after it was ready");
            let delivery = publish.deliver()?;
            if let Some(published) = delivery.outcome() {
                return Poll::Ready(Ok(published));
            }
            *self = Self::Waiting(Box::pin(delivery.complete()));
        }
        match self {
            Self::Waiting(all) => all.as_mut().poll(cx).map(Ok),
            Self::New(_) => unreachable!("it has been published above"),
        }
    }
}

impl<M: Message> fmt::Debug for PublishFuture<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublishFuture(..)")
    }
}

/// What has become of a message: how many subscriptions it reached.
///
/// `matched == queued + dropped`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Published {
    /// Subscriptions that it fits.
    pub matched: usize,
    /// Into whose queues it went, if need be in place of another.
    pub queued: usize,
    /// That had no room for it. They are told.
    pub dropped: usize,
}
