//! Whether anybody listens: watches of the subscriptions to a topic or pattern.

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

use super::{bus::Bus, recv_error::RecvError, watched::Watched};
use crate::{error::Error, index::TopicKey, protocol::Message, topic::Pattern};

/// Tells whether anybody subscribes to a topic, or to any topic of a pattern: as a value, and each
/// time that this changes. From [`Router::watch_subscribers`](crate::Router::watch_subscribers).
///
/// A publisher whose messages are costly to make starts when the first subscriber comes, and stops
/// when the last one is gone:
///
/// ```
/// # use ump_router::{Bytes, Router};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let router = Router::new();
/// let mut watch = router.watch_subscribers::<Bytes>("camera/**")?;
/// assert!(!watch.has_subscribers());
///
/// let viewer = router.subscribe::<Bytes>("camera/door")?;
/// assert!(watch.changed().wait()?); // or `.await?`: start the camera
/// drop(viewer);
/// assert!(!watch.changed().wait()?); // stop it
///
/// router.close();
/// for is_wanted in &mut watch { // blocks for each; `watch.stream()` awaits each
///     println!("{is_wanted}");
/// }
/// # Ok(())
/// # }
/// ```
///
/// - A watch starts from "nobody": if there is a subscriber already, its first change is `true`.
/// - Changes that come faster than they are received are merged, and the last value is received. It
///   can be the one that was received before: if the last subscriber goes and another one comes
///   meanwhile, `true` follows `true`, so that the publisher can start anew for the new one.
/// - A subscription counts until it is dropped, [closed](crate::CloseHandle), or
///   [disconnected](crate::WhenFull::Disconnect).
/// - A watch does not keep its router alive. It costs publishers nothing, and it costs subscribing
///   one look into an index of the watches.
pub struct SubscriberWatch<M: Message> {
    watched: Arc<Watched>,
    bus: Weak<Bus<M>>,
    key: TopicKey,
    clock: Clock,
    /// The version that was received last.
    seen: u64,
    coop: Coop,
    /// The iterator or the stream has returned the end.
    is_over: bool,
}

impl<M: Message> SubscriberWatch<M> {
    pub(crate) fn open(bus: &Arc<Bus<M>>, pattern: Pattern) -> Result<Self, Error> {
        let (watched, key) = bus.watch(pattern)?;
        Ok(Self {
            watched,
            bus: Arc::downgrade(bus),
            key,
            clock: bus.clock().clone(),
            seen: 0,
            coop: Coop::new(),
            is_over: false,
        })
    }

    /// Returns whether anybody subscribes now. When the router is closed, nobody does.
    #[must_use]
    pub fn has_subscribers(&self) -> bool {
        self.watched.has_subscribers()
    }

    /// Waits for the next change, when the returned value is waited for (`.wait()`) or awaited:
    /// `true` for the first subscriber, `false` when the last one is gone.
    pub fn changed(&mut self) -> Changed<'_, M> {
        Changed {
            watch: self,
            is_registered: false,
        }
    }

    /// Returns the last change, if there was one since the last that was received.
    ///
    /// # Errors
    /// [`RecvError::Closed`]: the router was closed.
    pub fn try_changed(&mut self) -> Result<Option<bool>, RecvError> {
        match self.watched.poll_changed(&mut self.seen, None) {
            Poll::Ready(changed) => changed.map(Some),
            Poll::Pending => Ok(None),
        }
    }

    /// Polls for a change. If there is none, the task is woken when there is one, or when the
    /// router is closed.
    ///
    /// Of two tasks that poll, only the later one is woken.
    pub fn poll_changed(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, RecvError>> {
        let Self {
            watched,
            seen,
            coop,
            ..
        } = self;
        coop.poll(cx, |cx| watched.poll_changed(seen, Some(cx)))
    }

    /// Returns an iterator over the changes, which blocks for each. It ends when the router is
    /// closed.
    #[must_use = "iterators are lazy"]
    pub fn iter(&mut self) -> WatchIter<'_, M> {
        WatchIter(self)
    }

    /// Returns a stream of the changes. It ends when the router is closed.
    #[must_use = "streams do nothing unless polled"]
    pub fn stream(&mut self) -> WatchStream<'_, M> {
        WatchStream(self)
    }

    /// Returns the topic or pattern that is watched, without the prefix of its type.
    #[must_use]
    pub fn pattern(&self) -> &Pattern {
        self.watched.pattern()
    }

    fn wait_until(&mut self, deadline: Option<Instant>) -> Result<Option<bool>, RecvError> {
        let Self {
            watched,
            seen,
            clock,
            ..
        } = self;
        let changed = poll_fn(|cx| watched.poll_changed(seen, Some(cx)));
        let changed = clock.block_on(changed, deadline);
        if changed.is_none() {
            watched.remove_waker();
        }
        changed.transpose()
    }
}

impl<M: Message> Drop for SubscriberWatch<M> {
    fn drop(&mut self) {
        if let Some(bus) = self.bus.upgrade() {
            bus.unwatch(self.key);
        }
    }
}

impl<M: Message> fmt::Debug for SubscriberWatch<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubscriberWatch")
            .field("pattern", self.pattern())
            .field("has_subscribers", &self.has_subscribers())
            .finish_non_exhaustive()
    }
}

/// Waits for one change: call [`wait`](Self::wait) or `.await` it. From
/// [`SubscriberWatch::changed`].
///
/// # Cancel safety
/// A future that is dropped has received nothing, and leaves no waker behind.
#[must_use = "nothing is received before `wait` or `.await`"]
pub struct Changed<'a, M: Message> {
    watch: &'a mut SubscriberWatch<M>,
    /// The watch may have a waker of this future.
    is_registered: bool,
}

impl<M: Message> Changed<'_, M> {
    /// Blocks until there is a change.
    ///
    /// # Errors
    /// [`RecvError::Closed`]: the router was closed.
    pub fn wait(self) -> Result<bool, RecvError> {
        loop {
            if let Some(changed) = self.watch.wait_until(None)? {
                return Ok(changed);
            }
        }
    }

    /// Blocks until there is a change, or for `timeout` at most. Returns `None` when the time is
    /// over.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_timeout(self, timeout: Duration) -> Result<Option<bool>, RecvError> {
        let deadline = self.watch.clock.now().checked_add(timeout);
        self.watch.wait_until(deadline)
    }

    /// Blocks until there is a change, or until `deadline` by the router's clock. Returns `None`
    /// after the deadline.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_deadline(self, deadline: Instant) -> Result<Option<bool>, RecvError> {
        self.watch.wait_until(Some(deadline))
    }
}

impl<M: Message> Future for Changed<'_, M> {
    type Output = Result<bool, RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let changed = self.watch.poll_changed(cx);
        self.is_registered = changed.is_pending();
        changed
    }
}

impl<M: Message> Drop for Changed<'_, M> {
    fn drop(&mut self) {
        if self.is_registered {
            self.watch.watched.remove_waker();
        }
    }
}

impl<M: Message> fmt::Debug for Changed<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Changed").field(self.watch).finish()
    }
}

/// A blocking iterator over the changes of a [`SubscriberWatch`]. From [`SubscriberWatch::iter`].
pub struct WatchIter<'a, M: Message>(&'a mut SubscriberWatch<M>);

impl<M: Message> Iterator for WatchIter<'_, M> {
    type Item = bool;

    fn next(&mut self) -> Option<bool> {
        let Self(watch) = self;
        if watch.is_over {
            return None;
        }
        let changed = watch.changed().wait().ok();
        watch.is_over = changed.is_none();
        changed
    }
}

impl<M: Message> FusedIterator for WatchIter<'_, M> {}

impl<M: Message> fmt::Debug for WatchIter<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WatchIter").field(self.0).finish()
    }
}

/// A stream of the changes of a [`SubscriberWatch`]. From [`SubscriberWatch::stream`].
#[must_use = "streams do nothing unless polled"]
pub struct WatchStream<'a, M: Message>(&'a mut SubscriberWatch<M>);

impl<M: Message> Stream for WatchStream<'_, M> {
    type Item = bool;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<bool>> {
        let watch = &mut *self.0;
        if watch.is_over {
            return watch.coop.poll(cx, |_| Poll::Ready(None));
        }
        let changed = ready!(watch.poll_changed(cx)).ok();
        watch.is_over = changed.is_none();
        Poll::Ready(changed)
    }
}

impl<M: Message> FusedStream for WatchStream<'_, M> {
    fn is_terminated(&self) -> bool {
        self.0.is_over
    }
}

impl<M: Message> fmt::Debug for WatchStream<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WatchStream").field(self.0).finish()
    }
}

/// Blocks for each change, as [`iter`](SubscriberWatch::iter) does.
#[expect(
    clippy::into_iter_without_iter,
    reason = "receiving needs `&mut self`, so `iter` is what would be `iter_mut`"
)]
impl<'a, M: Message> IntoIterator for &'a mut SubscriberWatch<M> {
    type Item = bool;
    type IntoIter = WatchIter<'a, M>;

    fn into_iter(self) -> WatchIter<'a, M> {
        self.iter()
    }
}
