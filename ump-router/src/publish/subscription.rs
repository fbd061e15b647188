//! What a subscriber holds.

use std::{
    error::Error as StdError,
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use futures_core::{FusedStream, Stream};
use ump::{Clock, coop::Coop};

use super::{
    bus::{Bus, Seat},
    queue::Queue,
    received::Received,
};
use crate::{protocol::Message, topic::Pattern};

/// Receives what is published on topics that its pattern fits. From [`Router::subscribe`](crate::Router::subscribe).
///
/// It is an iterator, which blocks, and a stream. Its messages come in the order in which each publisher published them on each topic. Dropping it ends
/// this subscription and no other, an equal one neither. A subscription does not keep its router: when that is gone, it ends.
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
///     let price = price?; // or RecvError::Missed: so many came too fast
///     assert_eq!((price.topic().as_str(), price.0), ("eth/eur", 3000.0));
/// }
/// # Ok(())
/// # }
/// ```
pub struct Subscription<M: Message> {
    queue: Arc<Queue<M>>,
    bus: Weak<Bus<M>>,
    seat: Option<Seat>,
    clock: Clock,
    /// The end has been told by the iterator or the stream.
    is_over: bool,
    coop: Coop,
}

impl<M: Message> Subscription<M> {
    pub(super) fn new(queue: Arc<Queue<M>>, bus: Weak<Bus<M>>, seat: Seat, clock: Clock) -> Self {
        Self {
            queue,
            bus,
            seat: Some(seat),
            clock,
            is_over: false,
            coop: Coop::new(),
        }
    }

    /// Blocks until there is a message.
    ///
    /// # Errors
    /// See [`RecvError`]. After [`Missed`](RecvError::Missed) it goes on; the other two are the end.
    pub fn recv(&mut self) -> Result<Received<M>, RecvError> {
        loop {
            if let Some(received) = self.recv_by(None)? {
                return Ok(received);
            }
        }
    }

    /// The same, for so long at most: then there is none.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<Received<M>>, RecvError> {
        self.recv_by(self.clock.now().checked_add(timeout))
    }

    /// The same until an instant, by the router's clock.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_deadline(&mut self, deadline: Instant) -> Result<Option<Received<M>>, RecvError> {
        self.recv_by(Some(deadline))
    }

    fn recv_by(&mut self, deadline: Option<Instant>) -> Result<Option<Received<M>>, RecvError> {
        let queue = &self.queue;
        let received = poll_fn(|cx| queue.poll_pop(cx));
        self.clock.block_on(received, deadline).transpose()
    }

    /// Waits for a message, as a task does.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    /// A future that is dropped has received nothing, and keeps no waker.
    pub fn recv_async(&mut self) -> impl Future<Output = Result<Received<M>, RecvError>> {
        let mut receiving = Receiving {
            subscription: self,
            is_registered: false,
        };
        poll_fn(move |cx| receiving.poll(cx))
    }

    /// Looks for a message; if there is none, the task is woken when there is, or at the end. Of two tasks that look, the later one is woken.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Received<M>, RecvError>> {
        let Self { queue, coop, .. } = self;
        coop.poll(cx, |cx| queue.poll_pop(cx))
    }

    /// The next message, if there is one already.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn try_recv(&mut self) -> Result<Option<Received<M>>, RecvError> {
        self.queue.try_pop()
    }

    /// To what it is subscribed, without the prefix of its type.
    #[must_use]
    pub fn pattern(&self) -> &Pattern {
        self.queue.pattern()
    }

    /// How many messages wait to be received.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.counts().depth
    }

    /// Whether none does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What an iterator makes of an outcome: the end is told once, and not at all when there was nothing wrong.
    fn item(
        &mut self,
        outcome: Result<Received<M>, RecvError>,
    ) -> Option<Result<Received<M>, RecvError>> {
        self.is_over = matches!(outcome, Err(RecvError::Closed | RecvError::Disconnected));
        Some(outcome).filter(|outcome| !matches!(outcome, Err(RecvError::Closed)))
    }
}

/// Awaits one message. Dropped, it removes the waker that it has registered.
struct Receiving<'a, M: Message> {
    subscription: &'a mut Subscription<M>,
    is_registered: bool,
}

impl<M: Message> Receiving<'_, M> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Received<M>, RecvError>> {
        let received = self.subscription.poll_recv(cx);
        self.is_registered = received.is_pending();
        received
    }
}

impl<M: Message> Drop for Receiving<'_, M> {
    fn drop(&mut self) {
        if self.is_registered {
            self.subscription.queue.forget_subscriber();
        }
    }
}

impl<M: Message> Iterator for Subscription<M> {
    type Item = Result<Received<M>, RecvError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let outcome = self.recv();
        self.item(outcome)
    }
}

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
        let seat = self.seat.take().expect("it is dropped once");
        Bus::leave(&self.bus, seat, &self.queue);
    }
}

impl<M: Message> fmt::Debug for Subscription<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("pattern", self.pattern())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// Why there is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum RecvError {
    /// So many messages are missing here: there was no room for them. What comes next came after them.
    Missed(u64),
    /// There was no room, so the subscription was ended, as it had been [asked](crate::WhenFull::Disconnect) to. Subscribe again.
    Disconnected,
    /// The router was closed, and everything was received.
    Closed,
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missed(messages) => write!(f, "{messages} messages were missed"),
            Self::Disconnected => f.write_str("the subscription was too slow and has ended"),
            Self::Closed => f.write_str("the router was closed"),
        }
    }
}

impl StdError for RecvError {}
