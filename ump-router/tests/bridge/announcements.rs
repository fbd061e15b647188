//! What a router has, and what changes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake},
};

use ump_router::{Error, Router, ServeOptions, bridge::Announced};

use crate::wire::{Double, End, Price, Wire, carrying};

fn subscribed(pattern: &str) -> Announced {
    Announced::Subscribed(pattern.parse().unwrap())
}

fn unsubscribed(pattern: &str) -> Announced {
    Announced::Unsubscribed(pattern.parse().unwrap())
}

fn claimed(topic: &str) -> Announced {
    Announced::Claimed(topic.parse().unwrap())
}

fn released(topic: &str) -> Announced {
    Announced::Released(topic.parse().unwrap())
}

#[test]
fn what_there_is_comes_first_and_then_what_changes() {
    let router = carrying();
    let prices = router.subscribe::<Price>("eth/*").unwrap();
    let server = router.serve::<Double>("a").unwrap();
    let mut end = End::new(router.clone());
    assert_eq!(
        end.announced(),
        [subscribed("price/eth/*"), claimed("double/a")]
    );
    assert_eq!(end.announced(), []);
    let second = router.subscribe::<Price>("eth/*").unwrap();
    let options = ServeOptions::new().standby();
    let standby = router.serve_with::<Double>("a", options).unwrap();
    drop((prices, server));
    assert_eq!(end.announced(), [], "others have the same names");
    drop((second, standby));
    assert_eq!(
        end.announced(),
        [released("double/a"), unsubscribed("price/eth/*")]
    );
}

#[test]
fn a_type_that_travels_later_is_announced() {
    let router = Router::new();
    let _prices = router.subscribe::<Price>("**").unwrap();
    let _server = router.serve::<Double>("").unwrap();
    let mut end = End::new(router.clone());
    assert_eq!(end.announced(), []);
    router.carry::<Price>().unwrap();
    assert_eq!(end.announced(), [subscribed("price/**")]);
    router.carry_requests::<Double>().unwrap();
    assert_eq!(end.announced(), [claimed("double")]);
}

#[test]
fn what_a_bridge_brings_is_not_announced() {
    let mut wire = Wire::new();
    let _prices = wire.here.router.subscribe::<Price>("eth/*").unwrap();
    let _server = wire.here.router.serve::<Double>("a").unwrap();
    wire.carry();
    assert!(
        wire.there
            .router
            .has_subscribers::<Price>("eth/eur")
            .unwrap()
    );
    assert!(wire.there.router.pin::<Double>("a").unwrap().is_some());
    assert_eq!(wire.there.announced(), []);
    assert_eq!(End::new(wire.there.router.clone()).announced(), []);
}

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_change_wakes() {
    let router = Router::new();
    let mut end = End::new(router.clone());
    let count = Arc::new(Count(AtomicUsize::new(0)));
    let waker = Arc::clone(&count).into();
    let woken = |end: &mut End| {
        let polled = end
            .announcements
            .poll_next(&mut Context::from_waker(&waker));
        assert_eq!(polled, Poll::Pending);
        count.0.swap(0, Ordering::Relaxed) > 0
    };
    assert!(!woken(&mut end));
    router.carry_requests::<Double>().unwrap();
    assert!(woken(&mut end));
    router.carry::<Price>().unwrap();
    assert!(woken(&mut end));
    assert!(!woken(&mut end));
    drop(router.subscribe::<Price>("a").unwrap());
    assert!(woken(&mut end));
}

#[test]
fn a_closed_router_ends_the_announcements() {
    let mut end = End::new(carrying());
    let _prices = end.router.subscribe::<Price>("a").unwrap();
    assert_eq!(end.announced(), [subscribed("price/a")]);
    end.router.close();
    let mut next = || end.announcements.poll_next(&mut crate::wire::context());
    while let Poll::Ready(Some(one)) = next() {
        assert!(matches!(one, Announced::Unsubscribed(_)), "{one:?}");
    }
    assert_eq!(next(), Poll::Ready(None));
    assert_eq!(end.router.bridge("late").unwrap_err(), Error::Closed);
    assert_eq!(end.bridge.announcements().unwrap_err(), Error::Closed);
}
