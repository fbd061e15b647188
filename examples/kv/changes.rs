//! What has changed, for whoever watches.
//!
//! The store publishes a change when it is committed, in the order of the commits, on the [topic](crate::topic) of its key. It waits for nobody: a
//! watcher has room for so many changes, then the oldest make way, and it is told how many. While nobody watches, a change costs the store a place
//! in the [history](crate::history).

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

use crate::{
    history::{Change, History, Id, Since, What},
    key::Key,
    topic,
};

/// How many changes a watcher can be behind.
const BACKLOG: usize = 1024;

impl Message for Change {
    const PREFIX: &'static str = topic::PREFIX;
}

/// Where changes are published and watched. Clones are the same; it outlives the store's handlers.
#[derive(Clone, Debug)]
pub(crate) struct Changes {
    router: Router,
    /// One for each who may watch.
    seats: Arc<Semaphore>,
    max_watchers: usize,
    /// Only the store adds to it.
    history: History,
    /// The number of the last change that is in the subscriptions, too. Only the store writes it.
    published: Arc<AtomicU64>,
}

/// Why nobody can watch.
#[derive(Debug)]
pub(crate) enum NoWatch {
    /// So many do already.
    TooMany(usize),
    /// The router has its reasons.
    Router(Error),
}

impl Changes {
    /// For so many watchers, with so many changes for those that come back.
    pub(crate) fn new(max_watchers: usize, kept: usize) -> Self {
        Self {
            router: Router::new(),
            seats: Arc::new(Semaphore::new(max_watchers)),
            max_watchers,
            history: History::new(kept),
            published: Arc::default(),
        }
    }

    /// For the store, when the change is committed.
    pub(crate) fn publish(&self, key: &Key, what: What) {
        let change = self.history.add(key.clone(), what);
        let number = change.number;
        // A watcher that has no seat yet looks into the history later.
        if self.watchers() > 0 {
            let topic = topic::of(change.key.as_str());
            // It does not wait, as no watcher blocks. An error is that it was closed: then nobody is there to be told.
            let _ = self.router.publish(topic, change).wait();
        }
        // ORDERING: pairs with the load in `Watch::poll_sources`.
        self.published.store(number, Ordering::Release);
    }

    /// Watches the keys whose topics one of the patterns fits, which have no prefix: all changes from now on, or from an id on.
    pub(crate) fn watch(
        &self,
        patterns: &[Pattern],
        last: Option<Result<Id, Unreadable>>,
    ) -> Result<Watch, NoWatch> {
        // Before it is subscribed, so that the store sees a watcher whenever there is one.
        let seat = Arc::clone(&self.seats).try_acquire_owned();
        let seat = seat.map_err(|_| NoWatch::TooMany(self.max_watchers))?;
        let options = SubscribeOptions::new()
            .capacity(BACKLOG)
            .when_full(WhenFull::DropOldest);
        let subscribe = |pattern: &Pattern| {
            let subscription = self.router.subscribe_with(pattern.clone(), options);
            subscription.map(|subscription| Source {
                subscription,
                next: None,
                is_over: false,
            })
        };
        let sources = patterns.iter().map(subscribe).collect::<Result<_, _>>();
        let sources = sources.map_err(NoWatch::Router)?;
        // What is published from here on is in the subscriptions; what was before is in the history.
        let (since, told) = match last {
            None => (Since::All(Vec::new()), self.history.count()),
            Some(Ok(id)) => self.history.since(id),
            Some(Err(Unreadable)) => (Since::Unknown, self.history.count()),
        };
        let mut first: VecDeque<_> = match since {
            Since::Unknown => [Told::Missed(None)].into(),
            Since::All(changes) => {
                let fits = |change: &Change| {
                    let topic = topic::of(change.key.as_str());
                    patterns.iter().any(|pattern| pattern.fits(&topic))
                };
                changes.into_iter().filter(fits).map(Told::Change).collect()
            }
        };
        first.push_back(Told::Until(told));
        Ok(Watch {
            sources,
            first,
            told,
            published: Arc::clone(&self.published),
            _seat: seat,
        })
    }

    pub(crate) fn id(&self, number: u64) -> Id {
        self.history.id(number)
    }

    pub(crate) fn watchers(&self) -> usize {
        self.max_watchers - self.seats.available_permits()
    }

    /// Who watches receives what was published until now, then the end.
    pub(crate) fn close(&self) {
        self.router.close();
    }
}

/// No id of ours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unreadable;

/// What a watcher is told.
#[derive(Debug)]
pub(crate) enum Told {
    Change(Change),
    /// So many changes are missing here, or nobody knows how many. One that two patterns fit counts twice.
    Missed(Option<u64>),
    /// All was told up to the change of this number.
    Until(u64),
}

/// Someone who watches: a stream of what it is told.
#[derive(Debug)]
pub(crate) struct Watch {
    sources: Vec<Source>,
    /// What comes before all that the sources have.
    first: VecDeque<Told>,
    /// The number up to which all was told.
    told: u64,
    published: Arc<AtomicU64>,
    /// Dropped after the subscriptions.
    _seat: OwnedSemaphorePermit,
}

/// One of its patterns.
#[derive(Debug)]
struct Source {
    subscription: Subscription<Change>,
    /// Taken, and not told yet.
    next: Option<Next>,
    is_over: bool,
}

#[derive(Debug)]
enum Next {
    Missed(u64),
    Change(Received<Change>),
}

impl Source {
    fn take(&mut self, received: Result<Received<Change>, RecvError>) {
        match received {
            Ok(change) => self.next = Some(Next::Change(change)),
            Err(RecvError::Missed(changes)) => self.next = Some(Next::Missed(changes)),
            Err(_) => self.is_over = true,
        }
    }

    fn is_wanting(&self) -> bool {
        self.next.is_none() && !self.is_over
    }

    /// What comes first; a gap has no number.
    fn rank(&self) -> Option<u64> {
        self.next.as_ref().map(|next| match next {
            Next::Missed(_) => 0,
            Next::Change(change) => change.number,
        })
    }
}

impl Watch {
    /// The number up to which all was told that the patterns fit.
    pub(crate) fn told(&self) -> u64 {
        self.told
    }

    /// The next of the sources in the order of the changes.
    ///
    /// The store publishes one change after the other, each to all subscriptions. So when a change has been seen in one of them, all earlier
    /// ones are in the others, for whoever looks after that.
    fn poll_sources(&mut self, cx: &mut Context<'_>) -> Poll<Option<Told>> {
        loop {
            // ORDERING: pairs with the store in `Changes::publish`: what was published up to this number is found below.
            let published = self.published.load(Ordering::Acquire);
            for source in &mut self.sources {
                if source.is_wanting() {
                    if let Poll::Ready(received) = source.subscription.poll_recv(cx) {
                        source.take(received);
                    }
                }
            }
            for source in &mut self.sources {
                if source.is_wanting() {
                    match source.subscription.try_recv() {
                        Ok(None) => {}
                        Ok(Some(change)) => source.take(Ok(change)),
                        Err(error) => source.take(Err(error)),
                    }
                }
            }
            let waiting = self
                .sources
                .iter_mut()
                .filter(|source| source.next.is_some());
            let Some(source) = waiting.min_by_key(|source| source.rank()) else {
                if self.sources.iter().all(|source| source.is_over) {
                    return Poll::Ready(None);
                }
                self.told = self.told.max(published);
                return Poll::Pending;
            };
            match source.next.take() {
                Some(Next::Missed(changes)) => {
                    return Poll::Ready(Some(Told::Missed(Some(changes))));
                }
                // Two patterns fit it, or it was told as history.
                Some(Next::Change(change)) if change.number <= self.told => {}
                Some(Next::Change(change)) => {
                    self.told = change.number;
                    return Poll::Ready(Some(Told::Change(Change::clone(&change))));
                }
                None => {}
            }
        }
    }
}

impl Stream for Watch {
    type Item = Told;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Told>> {
        match self.first.pop_front() {
            Some(told) => Poll::Ready(Some(told)),
            None => self.poll_sources(cx),
        }
    }
}
