//! What has changed, for whoever watches.
//!
//! The store publishes a change when it is committed, in the order of the commits, on the [topic](crate::topic) of its key. It waits for nobody: a
//! watcher has room for so many changes, then the oldest make way, and it is told how many. While nobody watches, a change costs the store a number.

use std::{
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

use crate::{key::Key, topic, ttl::WallTime};

/// How many changes a watcher can be behind.
const BACKLOG: usize = 1024;

/// A key changed.
#[derive(Debug)]
pub(crate) struct Change {
    /// The number of this change since the service started, from one.
    pub(crate) number: u64,
    pub(crate) key: Key,
    pub(crate) what: What,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    /// It was written: so many bytes, until then.
    Put {
        bytes: usize,
        expires: Option<WallTime>,
    },
    Deleted,
    /// It was removed as its life was over.
    Expired,
}

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
    /// How many changes there were. Only the store adds to it.
    count: Arc<AtomicU64>,
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
    pub(crate) fn new(max_watchers: usize) -> Self {
        Self {
            router: Router::new(),
            seats: Arc::new(Semaphore::new(max_watchers)),
            max_watchers,
            count: Arc::default(),
        }
    }

    /// For the store, when the change is committed.
    pub(crate) fn publish(&self, key: &Key, what: What) {
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        if self.watchers() == 0 {
            return;
        }
        let key = key.clone();
        let change = Change { number, key, what };
        // It does not wait, as no watcher blocks. An error is that it was closed: then nobody is there to be told.
        let _ = self
            .router
            .publish(topic::of(change.key.as_str()), change)
            .wait();
    }

    /// Watches the keys whose topics the pattern fits, which has no prefix: all changes from now on.
    pub(crate) fn watch(&self, pattern: Pattern) -> Result<Watch, NoWatch> {
        // Before it is subscribed, so that the store sees a watcher whenever there is one.
        let seat = Arc::clone(&self.seats).try_acquire_owned();
        let seat = seat.map_err(|_| NoWatch::TooMany(self.max_watchers))?;
        let options = SubscribeOptions::new()
            .capacity(BACKLOG)
            .when_full(WhenFull::DropOldest);
        let subscription = self.router.subscribe_with(pattern, options);
        Ok(Watch {
            subscription: subscription.map_err(NoWatch::Router)?,
            _seat: seat,
        })
    }

    pub(crate) fn watchers(&self) -> usize {
        self.max_watchers - self.seats.available_permits()
    }

    /// Who watches receives what was published until now, then the end.
    pub(crate) fn close(&self) {
        self.router.close();
    }
}

/// Someone who watches: a stream of changes.
#[derive(Debug)]
pub(crate) struct Watch {
    subscription: Subscription<Change>,
    /// Dropped after the subscription.
    _seat: OwnedSemaphorePermit,
}

impl Stream for Watch {
    type Item = Result<Received<Change>, RecvError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.subscription).poll_next(cx)
    }
}
