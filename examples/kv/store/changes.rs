//! The changes of keys, published to watchers.
//!
//! The store publishes a change when it is committed, in the order of the commits, on the
//! [topic](super::topic) of its key. It never waits: when the queue of a watcher is full, its
//! oldest changes are dropped, and it learns how many. Without watchers a change only enters the
//! [history](super::history). Other processes receive it from a [bus](super::bus), if there is one.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use futures_util::Stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use ump_router::{
    Error, Message, Pattern, Received, RecvError, Router, SubscribeOptions, Subscription, WhenFull,
};

use super::{
    bus::Bus,
    history::{Change, ChangeKind, History, Id, Replay},
    key::Key,
    topic,
};

/// The length of a watcher's queue.
const QUEUE_LENGTH: usize = 1024;

impl Message for Change {
    const PREFIX: &'static str = topic::PREFIX;
}

/// Publishes changes to watchers. Clones share them; it outlives the store's handlers.
#[derive(Clone, Debug)]
pub(crate) struct Changes {
    router: Router,
    /// One permit for each allowed watcher.
    permits: Arc<Semaphore>,
    max_watchers: usize,
    /// Only the store adds changes.
    history: History,
    /// The number of the last change that was published to the subscriptions. Only the store writes
    /// it.
    published: Arc<AtomicU64>,
    /// Publishes the same changes to other processes.
    bus: Option<Bus>,
}

/// Why a watcher is refused.
#[derive(Debug)]
pub(crate) enum WatchError {
    /// The maximum number of watchers is reached.
    TooMany(usize),
    Router(Error),
}

impl Changes {
    /// Allows a number of watchers, and keeps a number of changes for those that reconnect.
    pub(crate) fn new(max_watchers: usize, history: usize, bus: Option<Bus>) -> Self {
        Self {
            router: Router::new(),
            permits: Arc::new(Semaphore::new(max_watchers)),
            max_watchers,
            history: History::new(history),
            published: Arc::default(),
            bus,
        }
    }

    /// Publishes a change that the store has committed.
    pub(crate) fn publish(&self, key: &Key, kind: ChangeKind) {
        let change = self.history.add(key.clone(), kind);
        let number = change.number;
        if let Some(bus) = &self.bus {
            bus.publish(&change, self.history.id(number));
        }
        // A watcher without a permit yet will read the history.
        if self.watchers() > 0 {
            let topic = topic::of(change.key.as_str());
            // It does not block, as each queue drops its oldest changes. An error means that the
            // router was closed.
            let _ = self.router.publish(topic, change).wait();
        }
        // ORDERING: release; pairs with the load in `Watcher::poll_sources`.
        self.published.store(number, Ordering::Release);
    }

    /// Watches the keys whose topics match one of the patterns (without prefix): all changes from
    /// now on, or after an id.
    pub(crate) fn watch(
        &self,
        patterns: &[Pattern],
        last: Option<Result<Id, BadId>>,
    ) -> Result<Watcher, WatchError> {
        // First the permit, then the subscriptions, so that the store sees each subscribed watcher.
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        let permit = permit.map_err(|_| WatchError::TooMany(self.max_watchers))?;
        let options = SubscribeOptions::new()
            .capacity(QUEUE_LENGTH)
            .when_full(WhenFull::DropOldest);
        let subscribe = |pattern: &Pattern| {
            let subscription = self.router.subscribe_with(pattern.clone(), options);
            subscription.map(|subscription| Source {
                subscription,
                next: None,
                has_ended: false,
            })
        };
        let sources = patterns.iter().map(subscribe).collect::<Result<_, _>>();
        let sources = sources.map_err(WatchError::Router)?;
        // Later changes are in the subscriptions; earlier ones are in the history.
        let (replay, covered) = match last {
            None => (Replay::Complete(Vec::new()), self.history.count()),
            Some(Ok(id)) => self.history.since(id),
            Some(Err(BadId)) => (Replay::Unknown, self.history.count()),
        };
        let mut first: VecDeque<_> = match replay {
            Replay::Unknown => [Notification::Missed(None)].into(),
            Replay::Complete(changes) => {
                let matches = |change: &Change| {
                    let topic = topic::of(change.key.as_str());
                    patterns.iter().any(|pattern| pattern.matches(&topic))
                };
                let matching = changes.into_iter().filter(matches);
                matching.map(Notification::Change).collect()
            }
        };
        first.push_back(Notification::UpTo(covered));
        Ok(Watcher {
            sources,
            first,
            covered,
            published: Arc::clone(&self.published),
            _permit: permit,
        })
    }

    pub(crate) fn id(&self, number: u64) -> Id {
        self.history.id(number)
    }

    pub(crate) fn watchers(&self) -> usize {
        self.max_watchers - self.permits.available_permits()
    }

    /// Returns the router on which the watchers are told.
    #[cfg(unix)]
    pub(crate) fn router(&self) -> &Router {
        &self.router
    }

    /// Ends all watchers after the changes published so far.
    pub(crate) fn close(&self) {
        self.router.close();
    }
}

/// The text is not an id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BadId;

/// An item of a watcher's stream.
#[derive(Debug)]
pub(crate) enum Notification {
    Change(Change),
    /// Changes are missing here; the number, if it is known. A change that matches two patterns
    /// counts twice.
    Missed(Option<u64>),
    /// The stream is complete up to the change of this number.
    UpTo(u64),
}

/// A subscriber to changes: a stream of notifications.
#[derive(Debug)]
pub(crate) struct Watcher {
    sources: Vec<Source>,
    /// The notifications before those of the sources.
    first: VecDeque<Notification>,
    /// The number of the change up to which the stream is complete.
    covered: u64,
    published: Arc<AtomicU64>,
    /// Dropped after the subscriptions.
    _permit: OwnedSemaphorePermit,
}

/// The subscription to one pattern.
#[derive(Debug)]
struct Source {
    subscription: Subscription<Change>,
    /// The next item, received and not yet returned.
    next: Option<Next>,
    has_ended: bool,
}

#[derive(Debug)]
enum Next {
    Missed(u64),
    Change(Received<Change>),
}

impl Source {
    fn set_next(&mut self, received: Result<Received<Change>, RecvError>) {
        match received {
            Ok(change) => self.next = Some(Next::Change(change)),
            Err(RecvError::Missed(changes)) => self.next = Some(Next::Missed(changes)),
            Err(_) => self.has_ended = true,
        }
    }

    fn needs_item(&self) -> bool {
        self.next.is_none() && !self.has_ended
    }

    /// Returns the sort key of the next item; a gap has no number and comes first.
    fn rank(&self) -> Option<u64> {
        self.next.as_ref().map(|next| match next {
            Next::Missed(_) => 0,
            Next::Change(change) => change.number,
        })
    }
}

impl Watcher {
    /// Returns the number of the change up to which the stream is complete.
    pub(crate) fn covered(&self) -> u64 {
        self.covered
    }

    /// Merges the sources in the order of the changes.
    ///
    /// The store publishes one change after the other, each to all subscriptions. So when a change
    /// has been received from one of them, all earlier changes are already in the others.
    fn poll_sources(&mut self, cx: &mut Context<'_>) -> Poll<Option<Notification>> {
        loop {
            // ORDERING: acquire; pairs with the store in `Changes::publish`, so that the changes up
            // to this number are found below.
            let published = self.published.load(Ordering::Acquire);
            for source in &mut self.sources {
                if source.needs_item() {
                    if let Poll::Ready(received) = source.subscription.poll_recv(cx) {
                        source.set_next(received);
                    }
                }
            }
            for source in &mut self.sources {
                if source.needs_item() {
                    match source.subscription.try_recv() {
                        Ok(None) => {}
                        Ok(Some(change)) => source.set_next(Ok(change)),
                        Err(error) => source.set_next(Err(error)),
                    }
                }
            }
            let waiting = self
                .sources
                .iter_mut()
                .filter(|source| source.next.is_some());
            let Some(source) = waiting.min_by_key(|source| source.rank()) else {
                if self.sources.iter().all(|source| source.has_ended) {
                    return Poll::Ready(None);
                }
                self.covered = self.covered.max(published);
                return Poll::Pending;
            };
            match source.next.take() {
                Some(Next::Missed(changes)) => {
                    return Poll::Ready(Some(Notification::Missed(Some(changes))));
                }
                // It matches two patterns, or it was in the history.
                Some(Next::Change(change)) if change.number <= self.covered => {}
                Some(Next::Change(change)) => {
                    self.covered = change.number;
                    return Poll::Ready(Some(Notification::Change(Change::clone(&change))));
                }
                None => {}
            }
        }
    }
}

impl Stream for Watcher {
    type Item = Notification;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Notification>> {
        match self.first.pop_front() {
            Some(notification) => Poll::Ready(Some(notification)),
            None => self.poll_sources(cx),
        }
    }
}
