//! Subscriptions, alone and shared, and the messages that they receive.

use std::{
    collections::BTreeSet,
    mem,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use proptest::sample::Index;
use ump_router::{
    ChangeKind, Error, ReceivedAs, RecvError, SubscribeOptions, Subscription, WhenFull,
};

use super::{Number, Publishing};
use crate::{counting_waker::CountingWaker, name::Name, program::Options, queue::Queue};

/// A subscription, with one member; or a shared one.
pub(crate) struct Subscriber {
    pub(super) id: u32,
    pub(crate) members: Vec<Member>,
    pub(crate) model: Queue,
    pub(super) group: Option<u8>,
    /// The reasons to wake that its members know.
    pub(super) known_wakes: usize,
    /// Whether the router knows it.
    pub(super) is_listed: bool,
}

pub(crate) struct Member {
    pub(crate) real: Subscription<Number>,
    pub(crate) waker: Arc<CountingWaker>,
    pub(crate) is_asleep: bool,
    pub(super) wakes: usize,
    /// Its handle has closed it, while others stayed.
    pub(crate) has_left: bool,
    /// When its timer wakes it, for a message that expires.
    pub(crate) timer: Option<Duration>,
}

impl Member {
    fn new(real: Subscription<Number>) -> Self {
        Self {
            real,
            waker: Arc::default(),
            is_asleep: false,
            wakes: 0,
            has_left: false,
            timer: None,
        }
    }

    /// Takes what the member receives next, if there is something.
    pub(crate) fn expected(&self, model: &mut Queue) -> Popped {
        if self.has_left {
            return Some(Err(RecvError::Unsubscribed));
        }
        model.pop().transpose()
    }

    fn wake(&mut self) {
        self.wakes += usize::from(mem::take(&mut self.is_asleep));
    }
}

impl Subscriber {
    pub(super) fn open_members(&self) -> usize {
        let open = self.members.iter().filter(|member| !member.has_left);
        open.count()
    }

    /// Wakes the members whose timer is due.
    pub(super) fn fire_timers(&mut self, now: Duration) {
        for member in &mut self.members {
            if member.timer.is_some_and(|at| at <= now) {
                member.timer = None;
                member.wakes += 1;
            }
        }
    }

    /// Wakes the sleeping members, if there was a reason since the last step. They are polled by
    /// hand, so that each of them is woken.
    pub(super) fn wake(&mut self) {
        if mem::replace(&mut self.known_wakes, self.model.wakes) != self.model.wakes {
            self.members.iter_mut().for_each(Member::wake);
        }
    }
}

impl Publishing {
    pub(crate) fn subscribe(&mut self, names: &[Name], (capacity, policy, removals): Options) {
        // Only one subscriber may block: which of several a publisher waits for first is
        // unspecified.
        let blocks =
            |subscriber: &Subscriber| matches!(subscriber.model.when_full, WhenFull::Block(_));
        let policy = match policy {
            WhenFull::Block(_) if self.subscribers.iter().any(blocks) => WhenFull::DropOldest,
            policy => policy,
        };
        let options = (capacity, policy, removals);
        let subscribed = if let [name] = names {
            self.router.subscribe_with(name.text(), real(options))
        } else {
            let texts: Vec<_> = names.iter().map(Name::text).collect();
            self.router.subscribe_with(texts, real(options))
        };
        if self.is_closed {
            let refused = subscribed.unwrap_err();
            assert!([Error::Closed, Error::NoPattern].contains(&refused));
            return;
        }
        if names.is_empty() {
            assert_eq!(subscribed.unwrap_err(), Error::NoPattern);
            return;
        }
        self.add(subscribed.unwrap(), names, options, None);
    }

    /// Subscribes as a member of a group.
    pub(crate) fn share(
        &mut self,
        group: u8,
        names: &[Name],
        (capacity, policy, removals): Options,
    ) {
        // Another subscriber may block already.
        let policy = match policy {
            WhenFull::Block(_) => WhenFull::DropNewest,
            policy => policy,
        };
        let options = (capacity, policy, removals);
        let texts: Vec<_> = names.iter().map(Name::text).collect();
        let name = format!("group/{group}");
        let joined = self.router.subscribe_shared(name, texts, real(options));
        if names.is_empty() || self.is_closed {
            let refused = joined.unwrap_err();
            assert!([Error::Closed, Error::NoPattern].contains(&refused));
            return;
        }
        let mut subscribers = self.subscribers.iter_mut();
        let known = subscribers.find(|subscriber| subscriber.group == Some(group));
        let Some(known) = known else {
            self.add(joined.unwrap(), names, options, Some(group));
            return;
        };
        if known.model.end.is_none() {
            let canonical =
                |names: &[Name]| names.iter().map(Name::canonical).collect::<BTreeSet<_>>();
            let model = &known.model;
            let is_same = canonical(&model.patterns) == canonical(names)
                && (model.capacity, model.when_full, model.removals) == options;
            match joined {
                Ok(real) if is_same => known.members.push(Member::new(real)),
                Err(Error::GroupDiffers(_)) if !is_same => {}
                other => panic!("{other:?} {is_same}"),
            }
            return;
        }
        // The group was disconnected. The new member begins it anew.
        known.group = None;
        known.is_listed = false;
        let names_of_former = known.model.patterns.clone();
        self.add(joined.unwrap(), names, options, Some(group));
        let gone = names_of_former.iter().map(|name| name.full("number"));
        self.changes
            .extend(gone.map(|name| (ChangeKind::Unsubscribed, name)));
    }

    fn add(
        &mut self,
        real: Subscription<Number>,
        names: &[Name],
        (capacity, policy, removals): Options,
        group: Option<u8>,
    ) {
        let mut patterns: Vec<Name> = Vec::new();
        for name in names {
            if !patterns
                .iter()
                .any(|other| other.canonical() == name.canonical())
            {
                patterns.push(name.clone());
            }
        }
        self.expire();
        let is_own = |topic: &Name| patterns.iter().any(|pattern| pattern.intersects(topic));
        let backlog = self
            .retained_on(is_own)
            .into_iter()
            .map(|(number, _)| number)
            .collect();
        let subscriber = Subscriber {
            id: self.next(),
            members: vec![Member::new(real)],
            model: Queue::new(patterns, capacity, policy, removals, backlog),
            group,
            known_wakes: 0,
            is_listed: true,
        };
        self.announce(ChangeKind::Subscribed, &subscriber.model);
        self.subscribers.push(subscriber);
    }

    fn announce(&mut self, kind: ChangeKind, model: &Queue) {
        let names = model.patterns.iter().map(|name| name.full("number"));
        self.changes.extend(names.map(|name| (kind, name)));
    }

    /// Returns whether a message on this name would reach a subscriber.
    pub(crate) fn has_subscribers(&self, name: &Name) -> bool {
        let mut models = self.subscribers.iter().map(|subscriber| &subscriber.model);
        models.any(|model| model.end.is_none() && model.intersects(name))
    }

    /// Returns the place of a member: that of its subscription, and that among the members.
    pub(crate) fn member(&self, nth: Index) -> Option<(usize, usize)> {
        let places = |(place, subscriber): (usize, &Subscriber)| {
            (0..subscriber.members.len()).map(move |member| (place, member))
        };
        let all: Vec<_> = self
            .subscribers
            .iter()
            .enumerate()
            .flat_map(places)
            .collect();
        (!all.is_empty()).then(|| all[nth.index(all.len())])
    }

    /// Drops a member. A subscription ends with its last one.
    pub(crate) fn unsubscribe(&mut self, nth: Index) {
        let Some((place, member)) = self.member(nth) else {
            return;
        };
        let subscriber = &mut self.subscribers[place];
        let had_left = subscriber.members.remove(member).has_left;
        let ends = subscriber.is_listed && !had_left && subscriber.open_members() == 0;
        let was_closed = matches!(subscriber.model.end, Some(RecvError::Unsubscribed));
        let mut refused = Vec::new();
        // The last member that was closed was to receive what is queued.
        if ends || subscriber.members.is_empty() || (was_closed && !had_left) {
            refused = subscriber.model.close(RecvError::Closed);
            subscriber.model.entries.clear();
            subscriber.model.backlog.clear();
        }
        if ends {
            subscriber.is_listed = false;
            subscriber.group = None;
            let names = subscriber.model.patterns.iter();
            let names = names.map(|name| (ChangeKind::Unsubscribed, name.full("number")));
            if !self.is_closed {
                self.changes.extend(names);
            }
        }
        if subscriber.members.is_empty() {
            self.subscribers.remove(place);
        }
        self.refuse(&refused);
    }

    pub(crate) fn close_subscription(&mut self, nth: Index) {
        let Some((place, member)) = self.member(nth) else {
            return;
        };
        let subscriber = &mut self.subscribers[place];
        let open_members = subscriber.open_members();
        let one = &mut subscriber.members[member];
        one.real.close_handle().close();
        if one.has_left || !subscriber.is_listed {
            return;
        }
        if open_members > 1 {
            one.has_left = true;
            one.wake();
            return;
        }
        subscriber.is_listed = false;
        subscriber.group = None;
        let refused = subscriber.model.close(RecvError::Unsubscribed);
        if !self.is_closed {
            let names = subscriber.model.patterns.iter();
            let names = names.map(|name| (ChangeKind::Unsubscribed, name.full("number")));
            self.changes.extend(names);
        }
        self.refuse(&refused);
    }

    /// Takes what a member receives next.
    fn pop(&mut self, (place, member): (usize, usize)) -> Popped {
        let Subscriber { members, model, .. } = &mut self.subscribers[place];
        members[member].expected(model)
    }

    pub(crate) fn is_expiry_due(&self, place: usize) -> bool {
        let is_due = self.next_expiry().is_some_and(|at| at <= self.now);
        is_due && self.subscribers[place].model.removals
    }

    pub(crate) fn receive(&mut self, nth: Index) {
        let Some(at @ (place, member)) = self.member(nth) else {
            return;
        };
        let real = self.subscribers[place].members[member].real.try_recv();
        let mut expected = self.pop(at);
        if expected.is_none() && self.is_expiry_due(place) {
            self.expire();
            expected = self.pop(at);
        }
        let real = real.map(|message| message.map(|it| (it.0, it.received_as())));
        assert_eq!(real.transpose(), expected);
    }

    pub(crate) fn poll(&mut self, nth: Index) {
        let Some(at @ (place, member)) = self.member(nth) else {
            return;
        };
        let one = &mut self.subscribers[place].members[member];
        let waker = one.waker.waker();
        let real = one.real.poll_recv(&mut Context::from_waker(&waker));
        let mut expected = self.pop(at);
        if expected.is_none() && self.is_expiry_due(place) {
            // It sleeps by then, so that it wakes itself.
            self.subscribers[place].members[member].is_asleep = true;
            self.expire();
            self.subscribers.iter_mut().for_each(Subscriber::wake);
            expected = self.pop(at);
        }
        let next_expiry = self.next_expiry();
        let Subscriber { members, model, .. } = &mut self.subscribers[place];
        let one = &mut members[member];
        one.is_asleep |= expected.is_none();
        if model.removals {
            one.timer = next_expiry.filter(|_| expected.is_none());
        }
        match (real, expected) {
            (Poll::Pending, None) => {}
            (Poll::Ready(real), Some(expected)) => {
                assert_eq!(real.map(|it| (it.0, it.received_as())), expected);
            }
            (real, expected) => panic!("{real:?} is not {expected:?}"),
        }
    }
}

pub(crate) type Popped = Option<Result<(u32, ReceivedAs), RecvError>>;

fn real((capacity, policy, removals): Options) -> SubscribeOptions {
    let options = SubscribeOptions::new().capacity(capacity);
    options.when_full(policy).removals(removals)
}
