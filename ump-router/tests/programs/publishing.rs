//! Subscribers and publishers, each next to its model.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::IntoFuture,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use proptest::sample::Index;
use ump_router::{
    ChangeKind, Error, Message, PublishFuture, Published, RecvError, Router, SubscribeOptions,
    Subscription, WhenFull,
};

use crate::{
    Changes,
    counting_waker::CountingWaker,
    name::Name,
    one_of,
    queue::{Pushed, Queue},
};

/// A message with a reference that counts the live messages.
#[derive(Debug)]
struct Number(u32, #[expect(dead_code)] Arc<()>);

impl Message for Number {
    const PREFIX: &'static str = "number";
}

pub(crate) struct Publishing {
    router: Router,
    now: Duration,
    next: u32,
    alive: Arc<()>,
    subscribers: Vec<Subscriber>,
    publishers: Vec<Publisher>,
    retained: BTreeMap<Name, u32>,
    is_closed: bool,
    changes: Changes,
}

struct Subscriber {
    id: u32,
    real: Subscription<Number>,
    waker: Arc<CountingWaker>,
    model: Queue,
}

/// A publisher that waits for room. Its number is that of its message.
struct Publisher {
    number: u32,
    real: PublishFuture<Number>,
    waker: Arc<CountingWaker>,
    counts: Counts,
    /// The subscriber whose room it waits for.
    subscriber: u32,
    until: Duration,
    /// Its message waited when the subscriber or the router ended.
    is_refused: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counts {
    matched: usize,
    queued: usize,
    dropped: usize,
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

fn poll(publisher: &mut PublishFuture<Number>, waker: &Arc<CountingWaker>) -> Poll<Counts> {
    let waker = waker.waker();
    let polled = Pin::new(publisher).poll(&mut Context::from_waker(&waker));
    polled.map(|published| published.unwrap().into())
}

impl Publishing {
    pub(crate) fn new(router: &Router) -> Self {
        Self {
            router: router.clone(),
            now: Duration::ZERO,
            next: 0,
            alive: Arc::default(),
            subscribers: Vec::new(),
            publishers: Vec::new(),
            retained: BTreeMap::new(),
            is_closed: false,
            changes: Vec::new(),
        }
    }

    fn next(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    pub(crate) fn subscribe(&mut self, name: &Name, capacity: usize, policy: WhenFull) {
        // Only one subscriber may block: which of several a publisher waits for first is
        // unspecified.
        let blocks =
            |subscriber: &Subscriber| matches!(subscriber.model.when_full, WhenFull::Block(_));
        let policy = match policy {
            WhenFull::Block(_) if self.subscribers.iter().any(blocks) => WhenFull::DropOldest,
            policy => policy,
        };
        let options = SubscribeOptions::new().capacity(capacity).when_full(policy);
        let subscribed = self.router.subscribe_with(name.text(), options);
        if self.is_closed {
            assert_eq!(subscribed.unwrap_err(), Error::Closed);
            return;
        }
        let mut subscriber = Subscriber {
            id: self.next(),
            real: subscribed.unwrap(),
            waker: Arc::default(),
            model: Queue::new(name.clone(), capacity, policy),
        };
        let retained = self
            .retained
            .iter()
            .filter(|(topic, _)| topic.intersects(name));
        let retained: Vec<_> = retained.collect();
        for (topic, message) in &retained {
            if subscriber.model.push(&topic.canonical(), **message) == Pushed::Waiting {
                subscriber.model.cancel_wait(**message);
            }
        }
        if retained.len() > 1 {
            let all = retained.iter().map(|(_, message)| **message).collect();
            subscriber.receive_in_any_order(&all);
        }
        self.subscribers.push(subscriber);
        self.changes
            .push((ChangeKind::Subscribed, name.full("number")));
    }

    pub(crate) fn unsubscribe(&mut self, nth: Index) {
        if self.subscribers.is_empty() {
            return;
        }
        let mut subscriber = self
            .subscribers
            .swap_remove(nth.index(self.subscribers.len()));
        self.refuse(&subscriber.model.close());
        if !self.is_closed {
            let name = subscriber.model.pattern.full("number");
            self.changes.push((ChangeKind::Unsubscribed, name));
        }
    }

    pub(crate) fn publish(&mut self, name: &Name, is_retained: bool) {
        let number = self.next();
        let message = Number(number, Arc::clone(&self.alive));
        let mut publish = self.router.publish(name.text(), message);
        if is_retained {
            publish = publish.retain();
        }
        if self.is_closed {
            let refused = publish.wait().unwrap_err();
            assert_eq!((refused.message.0, refused.error), (number, Error::Closed));
            return;
        }
        let mut counts = Counts::default();
        let mut waits_for = None;
        let topic = name.canonical();
        for subscriber in &mut self.subscribers {
            if !subscriber.model.pattern.intersects(name) {
                continue;
            }
            counts.matched += 1;
            match subscriber.model.push(&topic, number) {
                Pushed::Queued => counts.queued += 1,
                Pushed::Dropped => counts.dropped += 1,
                Pushed::Ended => counts.matched -= 1,
                Pushed::Waiting => {
                    waits_for = Some((subscriber.id, self.now + subscriber.model.block_timeout()));
                }
            }
        }
        if is_retained {
            self.retained.insert(name.clone(), number);
        }
        let Some((subscriber, until)) = waits_for else {
            assert_eq!(Counts::from(publish.wait().unwrap()), counts);
            return;
        };
        let (mut real, waker) = (publish.into_future(), Arc::default());
        assert_eq!(poll(&mut real, &waker), Poll::Pending);
        self.publishers.push(Publisher {
            number,
            real,
            waker,
            counts,
            subscriber,
            until,
            is_refused: false,
        });
    }

    pub(crate) fn remove_retained(&mut self, name: &Name) {
        let real = self.router.remove_retained::<Number>(name.text());
        let expected = if self.is_closed {
            Err(Error::Closed)
        } else {
            Ok(self.retained.remove(name))
        };
        assert_eq!(
            real.map(|message| message.map(|message| message.0)),
            expected
        );
    }

    pub(crate) fn receive(&mut self, nth: Index) {
        let Some(subscriber) = one_of(&mut self.subscribers, nth) else {
            return;
        };
        let real = subscriber.real.try_recv();
        let expected = subscriber.model.pop();
        assert_eq!(
            real.map(|message| message.map(|message| message.0)),
            expected
        );
    }

    pub(crate) fn poll(&mut self, nth: Index) {
        let Some(subscriber) = one_of(&mut self.subscribers, nth) else {
            return;
        };
        let waker = subscriber.waker.waker();
        let real = subscriber.real.poll_recv(&mut Context::from_waker(&waker));
        let expected = subscriber.model.pop().transpose();
        subscriber.model.is_asleep |= expected.is_none();
        match (real, expected) {
            (Poll::Pending, None) => {}
            (Poll::Ready(real), Some(expected)) => {
                assert_eq!(real.map(|message| message.0), expected);
            }
            (real, expected) => panic!("{real:?} is not {expected:?}"),
        }
    }

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

    pub(crate) fn advance_clock(&mut self, time: Duration) {
        self.now += time;
    }

    pub(crate) fn close(&mut self) {
        self.is_closed = true;
        self.retained.clear();
        let subscribers = self.subscribers.iter_mut();
        let refused: Vec<_> = subscribers.flat_map(|one| one.model.close()).collect();
        self.refuse(&refused);
    }

    fn refuse(&mut self, refused: &[u32]) {
        for publisher in &mut self.publishers {
            publisher.is_refused |= refused.contains(&publisher.number);
        }
    }

    pub(crate) fn check(&self) {
        let mut alive: BTreeSet<u32> = self.retained.values().copied().collect();
        for Subscriber {
            real, waker, model, ..
        } in &self.subscribers
        {
            let entries = model.entries.iter().chain(&model.waiters);
            alive.extend(entries.map(|entry| entry.message));
            assert_eq!(real.len(), model.entries.len());
            assert_eq!(waker.wakes(), model.wakes, "wake-ups");
        }
        assert_eq!(
            Arc::strong_count(&self.alive) - 1,
            alive.len(),
            "messages alive"
        );
        self.check_publishers();
        self.check_list();
    }

    /// Asserts that a publisher was woken if its message no longer waits.
    fn check_publishers(&self) {
        let is_waiting = |number| {
            let mut models = self.subscribers.iter().map(|subscriber| &subscriber.model);
            models.any(|model| model.is_waiting(number))
        };
        for publisher in &self.publishers {
            assert!(is_waiting(publisher.number) || publisher.waker.wakes() > 0);
        }
    }

    fn check_list(&self) {
        let listed = self.router.subscriptions().into_iter();
        let listed = listed.filter(|status| status.type_name.ends_with("Number"));
        let mut listed: Vec<_> = listed
            .map(|status| {
                let counts = (status.depth, status.queued, status.missed);
                let policy = format!("{:?}", status.when_full);
                (status.pattern.to_string(), status.capacity, policy, counts)
            })
            .collect();
        let expected = self.subscribers.iter().map(|subscriber| &subscriber.model);
        let mut expected: Vec<_> = expected
            .map(|model| {
                let counts = (model.entries.len(), model.queued, model.lost);
                let policy = format!("{:?}", model.when_full);
                (model.pattern.full("number"), model.capacity, policy, counts)
            })
            .collect();
        listed.sort();
        expected.sort();
        assert_eq!(listed, expected);
    }

    pub(crate) fn take_changes(&mut self) -> Changes {
        mem::take(&mut self.changes)
    }
}

impl Subscriber {
    /// Receives in any order: neither the order of retained messages nor which of them are lost for
    /// lack of room is specified.
    fn receive_in_any_order(&mut self, all: &BTreeSet<u32>) {
        let (mut received, mut missed) = (BTreeSet::new(), 0);
        let end = loop {
            match self.real.try_recv() {
                Ok(None) => break None,
                Ok(Some(message)) => assert!(received.insert(message.0), "once"),
                Err(RecvError::Missed(messages)) => missed += messages,
                Err(end) => break Some(end),
            }
        };
        assert!(received.is_subset(all));
        assert_eq!(received.len(), self.model.entries.len());
        assert_eq!(missed, self.model.lost);
        assert_eq!(end, self.model.end);
        while !matches!(self.model.pop(), Ok(None) | Err(RecvError::Disconnected)) {}
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
