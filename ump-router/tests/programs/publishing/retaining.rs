//! Retained messages: read, removed and expired, next to their model.

use std::time::Duration;

use ump_router::{Error, Received, ReceivedAs};

use super::{Number, Publishing};
use crate::name::Name;

pub(super) struct Retained {
    pub(super) number: u32,
    /// `None` if it does not expire.
    pub(super) expires_at: Option<Duration>,
}

impl Retained {
    pub(super) fn is_alive(&self, now: Duration) -> bool {
        self.expires_at.is_none_or(|at| now < at)
    }
}

impl Publishing {
    /// Returns the numbers and topics of the retained messages on a pattern, in the order in which
    /// they were published.
    pub(super) fn retained_on(&self, intersects: impl Fn(&Name) -> bool) -> Vec<(u32, Name)> {
        let alive = self.retained.iter();
        let alive = alive.filter(|(topic, it)| it.is_alive(self.now) && intersects(topic));
        let mut alive: Vec<_> = alive
            .map(|(topic, it)| (it.number, topic.clone()))
            .collect();
        alive.sort();
        alive
    }

    pub(super) fn next_expiry(&self) -> Option<Duration> {
        self.retained.values().filter_map(|it| it.expires_at).min()
    }

    /// Removes the messages whose time to live is over, in the order in which it ended.
    pub(super) fn expire(&mut self) {
        let expired = self
            .retained
            .iter()
            .filter(|(_, it)| !it.is_alive(self.now));
        let mut expired: Vec<_> = expired
            .map(|(topic, it)| (it.expires_at, it.number, topic.clone()))
            .collect();
        expired.sort();
        for (_, _, topic) in expired {
            self.forget(&topic, ReceivedAs::Expired);
        }
    }

    fn forget(&mut self, topic: &Name, received_as: ReceivedAs) -> Option<u32> {
        let number = self.retained.remove(topic)?.number;
        for subscriber in &mut self.subscribers {
            subscriber.model.tell_removed(topic, number, received_as);
        }
        Some(number)
    }

    pub(crate) fn remove_retained(&mut self, name: &Name) {
        let real = self.router.remove_retained::<Number>(name.text());
        if self.is_closed {
            assert_eq!(real.unwrap_err(), Error::Closed);
            return;
        }
        self.expire();
        let expected = self.forget(name, ReceivedAs::Removed);
        let is_removed = |it: &Received<Number>| it.received_as() == ReceivedAs::Removed;
        let real = real.unwrap();
        assert!(real.as_ref().is_none_or(is_removed));
        assert_eq!(real.map(|message| message.0), expected);
    }

    pub(crate) fn remove_all_retained(&mut self, name: &Name) {
        let real = self.router.remove_all_retained::<Number>(name.text());
        if self.is_closed {
            assert_eq!(real.unwrap_err(), Error::Closed);
            return;
        }
        self.expire();
        let expected = self.retained_on(|topic| topic.intersects(name));
        for (_, topic) in &expected {
            self.forget(topic, ReceivedAs::Removed);
        }
        let real = real.unwrap().into_iter().map(|message| message.0);
        assert!(real.eq(expected.into_iter().map(|(number, _)| number)));
    }

    /// Reads by one reader, and in pages by a new reader for each.
    pub(crate) fn read_retained(&self, name: &Name, page: usize) {
        let read = || self.router.read_retained::<Number>(name.text());
        if self.is_closed {
            assert_eq!(read().unwrap_err(), Error::Closed);
            return;
        }
        let expected = self.retained_on(|topic| topic.intersects(name));
        let expected: Vec<_> = expected.into_iter().map(|(number, _)| number).collect();
        let mut reader = read().unwrap();
        let one = |message: Received<Number>| {
            assert!(message.is_retained());
            message.0
        };
        assert!(reader.by_ref().map(one).eq(expected.iter().copied()));
        assert!(reader.next().is_none());
        let (mut position, mut all) = (0, Vec::new());
        loop {
            let mut reader = read().unwrap().after(position);
            let before = all.len();
            all.extend(reader.by_ref().take(page).map(one));
            position = reader.position();
            if all.len() == before {
                break;
            }
        }
        assert_eq!(all, expected);
    }

    /// Compares the list.
    pub(super) fn check_retained(&self) {
        let listed = self.router.retained().into_iter();
        let mut listed: Vec<_> = listed
            .map(|status| (status.topic.to_string(), status.expires_in))
            .collect();
        let alive = self.retained.iter().filter(|(_, it)| it.is_alive(self.now));
        let mut expected: Vec<_> = alive
            .map(|(topic, it)| {
                let left = it.expires_at.map(|at| at.saturating_sub(self.now));
                (topic.full("number"), left)
            })
            .collect();
        listed.sort();
        expected.sort();
        assert_eq!(listed, expected);
    }
}
