//! Publishers that wait for room.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use proptest::sample::Index;
use ump_router::{PublishFuture, Published};

use super::{Number, Publishing, subscribers::Subscriber};
use crate::{counting_waker::CountingWaker, one_of};

/// A publisher that waits for room. Its number is that of its message.
pub(super) struct Publisher {
    pub(super) number: u32,
    pub(super) real: PublishFuture<Number>,
    pub(super) waker: Arc<CountingWaker>,
    pub(super) counts: Counts,
    /// The subscriber whose room it waits for.
    pub(super) subscriber: u32,
    pub(super) until: Duration,
    /// Its message waited when the subscriber or the router ended.
    pub(super) is_refused: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Counts {
    pub(super) matched: usize,
    pub(super) queued: usize,
    pub(super) dropped: usize,
}

impl From<Published> for Counts {
    fn from(published: Published) -> Self {
        Self {
            matched: published.matched,
            queued: published.queued,
            dropped: published.dropped,
        }
    }
}

pub(super) fn poll(
    publisher: &mut PublishFuture<Number>,
    waker: &Arc<CountingWaker>,
) -> Poll<Counts> {
    let waker = waker.waker();
    let polled = Pin::new(publisher).poll(&mut Context::from_waker(&waker));
    polled.map(|published| published.unwrap().into())
}

impl Publishing {
    pub(crate) fn poll_publisher(&mut self, nth: Index) {
        let Some(publisher) = one_of(&mut self.publishers, nth) else {
            return;
        };
        let real = poll(&mut publisher.real, &publisher.waker);
        let mut subscribers = self.subscribers.iter_mut();
        let subscriber = subscribers.find(|subscriber| subscriber.id == publisher.subscriber);
        let expected = publisher.advance(subscriber, self.now);
        assert_eq!(real, expected);
        if expected.is_ready() {
            let number = publisher.number;
            self.publishers
                .retain(|publisher| publisher.number != number);
        }
    }

    pub(crate) fn cancel_publisher(&mut self, nth: Index) {
        if self.publishers.is_empty() {
            return;
        }
        let publisher = self
            .publishers
            .swap_remove(nth.index(self.publishers.len()));
        let mut subscribers = self.subscribers.iter_mut();
        if let Some(one) = subscribers.find(|one| one.id == publisher.subscriber) {
            one.model.cancel_wait(publisher.number);
        }
    }

    pub(super) fn refuse(&mut self, refused: &[u32]) {
        for publisher in &mut self.publishers {
            publisher.is_refused |= refused.contains(&publisher.number);
        }
    }

    /// Asserts that a publisher was woken if its message no longer waits.
    pub(super) fn check_publishers(&self) {
        let is_waiting = |number| {
            let mut models = self.subscribers.iter().map(|subscriber| &subscriber.model);
            models.any(|model| model.is_waiting(number))
        };
        for publisher in &self.publishers {
            assert!(is_waiting(publisher.number) || publisher.waker.wakes() > 0);
        }
    }
}

impl Publisher {
    fn advance(&mut self, subscriber: Option<&mut Subscriber>, now: Duration) -> Poll<Counts> {
        let model = subscriber.map(|subscriber| &mut subscriber.model);
        let waits_with = model.filter(|model| model.is_waiting(self.number));
        match waits_with {
            Some(_) if now < self.until => return Poll::Pending,
            Some(model) => self.counts.dropped += usize::from(model.cancel_wait(self.number)),
            None if self.is_refused => self.counts.matched -= 1,
            None => self.counts.queued += 1,
        }
        Poll::Ready(self.counts)
    }
}
