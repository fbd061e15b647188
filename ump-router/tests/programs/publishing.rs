//! Subscribers and publishers, each next to its model.

mod publishers;
mod retaining;
mod subscribers;

use std::{
    collections::{BTreeMap, BTreeSet},
    future::IntoFuture,
    mem,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use ump_router::{Error, Message, Pattern, ReceivedAs, RecvError, Router, ump::Clock};

pub(crate) use self::subscribers::{Member, Subscriber};
use self::{
    publishers::{Counts, Publisher, poll},
    retaining::Retained,
};
use crate::{Changes, name::Name, queue::Pushed, selecting::Selecting, watches::Watch};

/// A message with a reference that counts the live messages.
#[derive(Debug)]
pub(crate) struct Number(u32, #[expect(dead_code)] Arc<()>);

impl Message for Number {
    const PREFIX: &'static str = "number";
}

impl Number {
    pub(crate) fn number(&self) -> u32 {
        self.0
    }
}

pub(crate) struct Publishing {
    pub(crate) router: Router,
    pub(crate) watches: Vec<Watch>,
    pub(crate) select: Selecting,
    clock: Clock,
    now: Duration,
    next: u32,
    alive: Arc<()>,
    pub(crate) subscribers: Vec<Subscriber>,
    publishers: Vec<Publisher>,
    retained: BTreeMap<Name, Retained>,
    pub(crate) is_closed: bool,
    changes: Changes,
}

fn texts(patterns: &[Pattern]) -> Vec<String> {
    patterns.iter().map(Pattern::to_string).collect()
}

impl Publishing {
    pub(crate) fn new(router: &Router, clock: Clock) -> Self {
        Self {
            router: router.clone(),
            clock,
            watches: Vec::new(),
            select: Selecting::new(router),
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

    /// Publishes a message, which may be retained for a time.
    pub(crate) fn publish(&mut self, name: &Name, time_to_live: Option<Duration>) {
        let number = self.next();
        let message = Number(number, Arc::clone(&self.alive));
        let mut publish = self.router.publish(name.text(), message);
        publish = match time_to_live {
            None => publish,
            Some(Duration::MAX) => publish.retain(),
            Some(time) if number % 2 == 0 => publish.retain_for(time),
            Some(time) => publish.retain_until(self.clock.now() + time),
        };
        if self.is_closed {
            let refused = publish.wait().unwrap_err();
            assert_eq!((refused.message.0, refused.error), (number, Error::Closed));
            return;
        }
        if time_to_live.is_some() {
            self.expire();
        }
        let mut counts = Counts::default();
        let mut waits_for = None;
        for subscriber in &mut self.subscribers {
            if !subscriber.model.intersects(name) {
                continue;
            }
            counts.matched += 1;
            match subscriber.model.push(name, number, ReceivedAs::Published) {
                Pushed::Queued => counts.queued += 1,
                Pushed::Dropped => counts.dropped += 1,
                Pushed::Ended => counts.matched -= 1,
                Pushed::Waiting => {
                    waits_for = Some((subscriber.id, self.now + subscriber.model.block_timeout()));
                }
            }
        }
        if let Some(time_to_live) = time_to_live {
            let retained = Retained {
                number,
                // The clock cannot represent the longest time.
                expires_at: (time_to_live < Duration::MAX).then(|| self.now + time_to_live),
            };
            self.retained.insert(name.clone(), retained);
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

    pub(crate) fn advance_clock(&mut self, time: Duration) {
        self.now += time;
        for subscriber in &mut self.subscribers {
            subscriber.fire_timers(self.now);
        }
    }

    pub(crate) fn close(&mut self) {
        self.is_closed = true;
        self.retained.clear();
        let subscribers = self.subscribers.iter_mut();
        let refused: Vec<_> = subscribers
            .flat_map(|one| one.model.close(RecvError::Closed))
            .collect();
        self.refuse(&refused);
    }

    pub(crate) fn check(&mut self) {
        let mut alive: BTreeSet<u32> = self.retained.values().map(|it| it.number).collect();
        for subscriber in &mut self.subscribers {
            subscriber.wake();
            let Subscriber { members, model, .. } = subscriber;
            let entries = model.entries.iter().chain(&model.waiters);
            alive.extend(entries.map(|entry| entry.message));
            alive.extend(&model.backlog);
            for Member {
                real,
                waker,
                wakes,
                has_left,
                ..
            } in members
            {
                assert_eq!(real.len(), model.backlog.len() + model.entries.len());
                let is_closed = *has_left || model.end.is_some();
                assert_eq!(real.close_handle().is_closed(), is_closed);
                assert_eq!(waker.wakes(), *wakes, "wake-ups");
            }
        }
        assert_eq!(
            Arc::strong_count(&self.alive) - 1,
            alive.len(),
            "messages alive"
        );
        self.check_publishers();
        self.check_list();
        self.check_retained();
    }

    fn check_list(&self) {
        let listed = self.router.subscriptions().into_iter();
        let listed = listed.filter(|status| status.type_name.ends_with("Number"));
        let mut listed: Vec<_> = listed
            .map(|status| {
                let lengths = (status.backlog, status.depth);
                let counts = (lengths, status.queued, status.missed, status.members);
                let policy = format!("{:?}", status.when_full);
                (texts(&status.patterns), status.capacity, policy, counts)
            })
            .collect();
        let expected = self.subscribers.iter().filter(|one| one.is_listed);
        let mut expected: Vec<_> = expected
            .map(|subscriber| {
                let model = &subscriber.model;
                let members = subscriber.open_members();
                let lengths = (model.backlog.len(), model.entries.len());
                let counts = (lengths, model.queued, model.lost, members);
                let policy = format!("{:?}", model.when_full);
                (
                    model
                        .patterns
                        .iter()
                        .map(|name| name.full("number"))
                        .collect(),
                    model.capacity,
                    policy,
                    counts,
                )
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
