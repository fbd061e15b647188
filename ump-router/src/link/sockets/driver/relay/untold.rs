//! What a link is to be told.

use std::collections::{BTreeMap, HashMap};

use super::Name;

/// Names that have changed, each once, in the order in which they did.
#[derive(Default)]
pub(super) struct Untold {
    names: BTreeMap<u64, Name>,
    places: HashMap<Name, u64>,
    last: u64,
}

impl Untold {
    /// Adds a name at the end, unless it is there.
    pub(super) fn insert(&mut self, name: &Name) {
        if !self.places.contains_key(name) {
            self.last += 1;
            self.places.insert(name.clone(), self.last);
            self.names.insert(self.last, name.clone());
        }
    }

    pub(super) fn remove(&mut self, name: &Name) {
        if let Some(place) = self.places.remove(name) {
            self.names.remove(&place);
        }
    }

    /// Returns the first name, which stays.
    pub(super) fn first(&self) -> Option<&Name> {
        self.names.first_key_value().map(|(_, name)| name)
    }

    pub(super) fn contains(&self, name: &Name) -> bool {
        self.places.contains_key(name)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Instant};

    use super::super::{FromLink, LinkId, Name, Relay, Sessions};
    use crate::link::{
        session::{Config, Session},
        wire::Limits,
    };

    impl Sessions for BTreeMap<LinkId, Session> {
        fn session(&mut self, link: LinkId) -> Option<&mut Session> {
            self.get_mut(&link)
        }

        fn may_be_told(&self, _: LinkId, _: &Name) -> bool {
            true
        }

        fn has_queue_room(&mut self, _: LinkId) -> bool {
            true
        }

        fn forget_claim(&mut self, _: LinkId, _: u32) {}
    }

    /// Returns a session with a peer that has said hello, and says nothing more.
    fn session(now: Instant) -> Session {
        let config = |router| Config {
            router,
            limits: Limits {
                operations: 1,
                ..Limits::default()
            },
            ..Config::default()
        };
        let (mut here, mut there) = (Session::new(now, config(1)), Session::new(now, config(2)));
        let hello = there.transmit(now).to_vec();
        assert_eq!(here.receive(now, &hello), hello.len());
        here
    }

    #[test]
    fn names_that_come_and_go_do_not_pile_up_for_a_link_that_answers_nothing() {
        let now = Instant::now();
        let (busy, silent) = (LinkId(1), LinkId(2));
        let mut sessions: BTreeMap<_, _> = [busy, silent].map(|link| (link, session(now))).into();
        let mut relay = Relay::default();
        for (router, link) in [(3, busy), (4, silent)] {
            relay.pass_on(
                &mut sessions,
                now,
                link,
                FromLink::Opened {
                    router,
                    owner: None,
                },
            );
        }
        for id in 1..100 {
            let pattern = format!("a/{id}").parse().unwrap();
            let subscribe = FromLink::Subscribe { id, pattern };
            relay.pass_on(&mut sessions, now, busy, subscribe);
            relay.tell(&mut sessions, silent);
            relay.pass_on(&mut sessions, now, busy, FromLink::Unsubscribe(id));
            relay.tell(&mut sessions, silent);
        }
        assert!(relay.sides[&silent].untold.is_empty());
    }

    #[test]
    fn what_two_links_have_concerns_nobody_when_a_third_has_it() {
        let now = Instant::now();
        let links = [1, 2, 3].map(LinkId);
        let mut sessions: BTreeMap<_, _> = links.map(|link| (link, session(now))).into();
        let mut relay = Relay::default();
        let mut pass_on = |link, what| {
            relay.pass_on(&mut sessions, now, link, what);
            std::iter::from_fn(|| relay.next_touched()).collect::<Vec<_>>()
        };
        let [one, two, three] = links;
        for link in links {
            let (router, owner) = (0, None);
            pass_on(link, FromLink::Opened { router, owner });
        }
        let subscribe = || FromLink::Subscribe {
            id: 1,
            pattern: "a".parse().unwrap(),
        };
        assert_eq!(pass_on(one, subscribe()), [two, three]);
        assert_eq!(pass_on(two, subscribe()), [one, three]);
        assert_eq!(pass_on(three, subscribe()), []);
        assert_eq!(pass_on(one, FromLink::Unsubscribe(1)), []);
        assert_eq!(pass_on(two, FromLink::Unsubscribe(1)), [one, three]);
    }
}
