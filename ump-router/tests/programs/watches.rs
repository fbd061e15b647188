//! Watches of subscribers, each next to its model.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use proptest::sample::Index;
use ump_router::{Error, RecvError, SubscriberWatch};

use crate::{
    counting_waker::CountingWaker,
    name::Name,
    one_of,
    publishing::{Number, Publishing},
};

/// A watch. The model counts the changes of the value, and how many were seen.
pub(crate) struct Watch {
    real: SubscriberWatch<Number>,
    name: Name,
    waker: Arc<CountingWaker>,
    has_subscribers: bool,
    changes: u64,
    seen: u64,
    is_asleep: bool,
    wakes: usize,
    is_closed: bool,
}

impl Watch {
    /// Notes the value after a step.
    fn note(&mut self, has_subscribers: bool, is_closed: bool) {
        let is_new = self.has_subscribers != has_subscribers && !is_closed;
        self.changes += u64::from(is_new);
        let is_woken = (is_new || self.is_closed != is_closed) && self.is_asleep;
        self.wakes += usize::from(is_woken);
        self.is_asleep &= !is_woken;
        (self.has_subscribers, self.is_closed) = (has_subscribers, is_closed);
    }
}

impl Publishing {
    pub(crate) fn watch(&mut self, name: &Name) {
        let watch = self.router.watch_subscribers::<Number>(name.text());
        if self.is_closed {
            assert_eq!(watch.unwrap_err(), Error::Closed);
            return;
        }
        let has_subscribers = self.has_subscribers(name);
        self.watches.push(Watch {
            real: watch.unwrap(),
            name: name.clone(),
            waker: Arc::default(),
            has_subscribers,
            changes: u64::from(has_subscribers),
            seen: 0,
            is_asleep: false,
            wakes: 0,
            is_closed: false,
        });
    }

    pub(crate) fn poll_watch(&mut self, nth: Index) {
        let Some(watch) = one_of(&mut self.watches, nth) else {
            return;
        };
        let waker = watch.waker.waker();
        let real = watch.real.poll_changed(&mut Context::from_waker(&waker));
        let expected = if watch.is_closed {
            Poll::Ready(Err(RecvError::Closed))
        } else if watch.changes == watch.seen {
            watch.is_asleep = true;
            Poll::Pending
        } else {
            watch.seen = watch.changes;
            Poll::Ready(Ok(watch.has_subscribers))
        };
        assert_eq!(real, expected);
    }

    pub(crate) fn unwatch(&mut self, nth: Index) {
        if !self.watches.is_empty() {
            self.watches.swap_remove(nth.index(self.watches.len()));
        }
    }

    pub(crate) fn check_watches(&mut self) {
        let mut watches = std::mem::take(&mut self.watches);
        for watch in &mut watches {
            let has_subscribers = self.has_subscribers(&watch.name);
            watch.note(has_subscribers, self.is_closed);
            assert_eq!(watch.real.has_subscribers(), has_subscribers);
            assert_eq!(watch.waker.wakes(), watch.wakes, "wake-ups");
            let value = self.router.has_subscribers::<Number>(watch.name.text());
            let expected = if self.is_closed {
                Err(Error::Closed)
            } else {
                Ok(has_subscribers)
            };
            assert_eq!(value, expected);
        }
        self.watches = watches;
    }
}
