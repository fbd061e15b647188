//! Retained messages at both ends of a link.

use std::time::Duration;

use ump_router::{
    Message as _, ReceivedAs, Router, SubscribeOptions, Subscription,
    link::{
        sockets::{ConnectOptions, LinkRefusal},
        wire::{FEATURE_REPLICATE, Hello, Message, RetainedChange, Stamp, Status},
    },
    ump::ManualClock,
};

use crate::raw::{LIMITS, Raw, hello, subscribe, topic};
use crate::retained_plain::ask;
use crate::support::{
    LONG, Price, SocketPath, await_told, carrying, carrying_with, next, on_each, publish,
};

/// Retains a message.
pub(crate) fn retain(router: &Router, topic: &str, price: u64) {
    let publish = router.publish(topic, Price(price)).retain();
    publish.wait().unwrap();
}

/// Receives the next message, and what it was received as.
pub(crate) fn next_as(subscription: &mut Subscription<Price>) -> (u64, ReceivedAs) {
    let received = subscription.recv().wait_timeout(LONG).unwrap();
    let received = received.expect("a message in time");
    (received.0, received.received_as())
}

/// Returns a subscription that is told of removals.
pub(crate) fn watching(router: &Router, pattern: &str) -> Subscription<Price> {
    let options = SubscribeOptions::new().removals(true);
    router.subscribe_with::<Price>(pattern, options).unwrap()
}

/// Waits until this is retained at a router, or nothing.
pub(crate) fn await_retained(router: &Router, topic: &str, price: Option<u64>) {
    let mut changes = watching(router, topic);
    loop {
        let retained = router.read_retained::<Price>(topic).unwrap().next();
        if retained.map(|it| it.0) == price {
            return;
        }
        next_as(&mut changes);
    }
}

#[test]
fn a_later_subscription_receives_what_was_retained_before() {
    on_each(|one, other, _| {
        retain(one, "a", 1);
        retain(one, "a", 2);
        retain(one, "b", 3);
        await_retained(other, "b", Some(3));
        for _ in 0..2 {
            let mut prices = other.subscribe::<Price>("*").unwrap();
            assert_eq!(next_as(&mut prices), (2, ReceivedAs::Retained));
            assert_eq!(next_as(&mut prices), (3, ReceivedAs::Retained));
            assert!(prices.is_empty());
        }
        // Once, before what is published on the topic later.
        let mut prices = other.subscribe::<Price>("a").unwrap();
        await_told(one, "price/a");
        publish(one, "a", 4);
        assert_eq!(next_as(&mut prices), (2, ReceivedAs::Retained));
        assert_eq!(next_as(&mut prices), (4, ReceivedAs::Published));
    });
}

#[test]
fn what_was_retained_before_the_link_comes_as_retained() {
    let path = SocketPath::new();
    let (hub, leaf) = (carrying(), carrying());
    retain(&hub, "at/hub", 1);
    retain(&leaf, "at/leaf", 2);
    let mut at_leaf = leaf.subscribe::<Price>("at/hub").unwrap();
    let mut at_hub = hub.subscribe::<Price>("at/leaf").unwrap();
    let _listener = hub.listen(path.address()).unwrap();
    let _link = leaf.connect(path.address()).unwrap();
    assert_eq!(next_as(&mut at_leaf), (1, ReceivedAs::Retained));
    assert_eq!(next_as(&mut at_hub), (2, ReceivedAs::Retained));
}

#[test]
fn each_retained_message_reaches_a_subscription_once_in_order() {
    on_each(|one, other, _| {
        let mut prices = other.subscribe::<Price>("**").unwrap();
        await_told(one, "price/**");
        for price in 0..300 {
            if price % 3 == 0 {
                publish(one, "a", price);
            } else {
                retain(one, "a", price);
            }
        }
        for price in 0..300 {
            assert_eq!(next_as(&mut prices), (price, ReceivedAs::Published));
        }
        retain(other, "end", 0);
        assert_eq!(next_as(&mut prices), (0, ReceivedAs::Published));
        assert!(prices.is_empty());
    });
}

#[test]
fn a_removal_travels() {
    on_each(|one, other, _| {
        let mut prices = watching(other, "**");
        await_told(one, "price/**");
        retain(one, "a", 1);
        assert_eq!(next_as(&mut prices), (1, ReceivedAs::Published));
        // By either end.
        other.remove_retained::<Price>("a").unwrap().unwrap();
        assert_eq!(next_as(&mut prices), (1, ReceivedAs::Removed));
        await_retained(one, "a", None);
        retain(one, "a", 2);
        assert_eq!(next_as(&mut prices), (2, ReceivedAs::Published));
        assert_eq!(one.remove_all_retained::<Price>("**").unwrap().len(), 1);
        assert_eq!(next_as(&mut prices), (2, ReceivedAs::Removed));
        let mut later = other.subscribe::<Price>("**").unwrap();
        await_told(one, "price/**");
        publish(one, "a", 3);
        assert_eq!(next_as(&mut later), (3, ReceivedAs::Published));
    });
}

#[test]
fn what_is_left_of_the_time_to_live_travels() {
    let path = SocketPath::new();
    let clocks = [ManualClock::new(), ManualClock::new()];
    let [hub, leaf] = clocks.each_ref().map(|clock| {
        let router = Router::with_clock(clock.clock());
        carrying_with(router)
    });
    let long = Duration::from_secs(1000);
    let (short, over) = (Duration::from_secs(10), Duration::from_secs(990));
    let message = leaf.publish("a", Price(1));
    message.retain_for(long).wait().unwrap();
    // The clocks of the two are apart, and some of the time is over.
    clocks[0].advance(Duration::from_secs(5000));
    clocks[1].advance(over);
    let _listener = hub.listen(path.address()).unwrap();
    let _link = leaf.connect(path.address()).unwrap();
    let mut prices = watching(&hub, "a");
    assert_eq!(next_as(&mut prices), (1, ReceivedAs::Retained));
    let all = hub.retained();
    let left = all[0].expires_in.expect("a time to live");
    assert!(left <= short && left > Duration::ZERO, "{left:?}");
    clocks[0].advance(short);
    assert_eq!(next_as(&mut prices), (1, ReceivedAs::Expired));
    let later = hub.subscribe::<Price>("a").unwrap();
    assert!(later.is_empty());
}

#[test]
fn both_ends_are_equal_after_a_time_without_a_link() {
    let path = SocketPath::new();
    let (hub, leaf) = (carrying(), carrying());
    let listener = hub.listen(path.address()).unwrap();
    let link = leaf.connect(path.address()).unwrap();
    assert!(link.opened().timeout(LONG).wait());
    for topic in ["changed", "removed/here", "removed/there", "both"] {
        retain(&leaf, topic, 1);
    }
    await_retained(&hub, "both", Some(1));
    assert!(link.close().timeout(LONG).wait());
    retain(&leaf, "changed", 2);
    leaf.remove_retained::<Price>("removed/here").unwrap();
    hub.remove_retained::<Price>("removed/there").unwrap();
    retain(&leaf, "both", 3);
    retain(&hub, "both", 4);
    retain(&hub, "new", 5);
    let link = leaf.connect(path.address()).unwrap();
    for router in [&leaf, &hub] {
        await_retained(router, "changed", Some(2));
        await_retained(router, "removed/here", None);
        await_retained(router, "removed/there", None);
        await_retained(router, "both", Some(4));
        await_retained(router, "new", Some(5));
    }
    drop((link, listener));
}

/// A hello of a peer that exchanges changes of retained messages.
pub(crate) fn replicating() -> Message {
    let Message::Hello(hello) = hello(LIMITS) else {
        unreachable!()
    };
    Message::Hello(Hello {
        features: FEATURE_REPLICATE,
        ..hello
    })
}

pub(crate) fn removal(topic: &str, time: u64) -> RetainedChange {
    RetainedChange {
        removed: true,
        payload: [].into(),
        ..change(topic, time, 0)
    }
}

pub(crate) fn change(topic: &str, time: u64, price: u8) -> RetainedChange {
    RetainedChange {
        topic: topic.parse().unwrap(),
        stamp: Stamp { time, router: 7 },
        removed: false,
        retained: false,
        remaining: None,
        codec: ump_router::link::wire::Codec::Cbor,
        payload: [price].into(),
    }
}

#[test]
fn an_older_change_that_comes_later_changes_nothing() {
    let hub = carrying();
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    let mut prices = watching(&hub, "**");
    let mut raw = Raw::open_with(&listener.address().to_string(), replicating());
    let all = [
        change("price/a", 5, 1),
        change("price/a", 4, 2),
        change("price/a", 5, 3),
        removal("price/a", 4),
        removal("price/a", 6),
        change("price/a", 5, 4),
        change("price/b", 1, 5),
    ];
    raw.send(&all.map(Message::Replicate)).unwrap();
    assert_eq!(next_as(&mut prices), (1, ReceivedAs::Published));
    assert_eq!(next_as(&mut prices), (1, ReceivedAs::Removed));
    assert_eq!(next_as(&mut prices), (5, ReceivedAs::Published));
    // What this process does next is newer.
    retain(&hub, "b", 6);
    assert_eq!(next_as(&mut prices), (6, ReceivedAs::Published));
    loop {
        if let Some(Message::Replicate(sent)) = raw.receive().unwrap() {
            assert_eq!(sent.topic.as_str(), "price/b");
            assert!(sent.stamp > Stamp { time: 1, router: 7 });
            break;
        }
    }
}

#[test]
fn a_stamp_of_the_future_is_refused() {
    let hub = carrying();
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    let mut raw = Raw::open_with(&listener.address().to_string(), replicating());
    raw.send(&[Message::Replicate(change("price/a", u64::MAX, 1))])
        .unwrap();
    loop {
        if let Some(Message::Refused { status, topic, .. }) = raw.receive().unwrap() {
            assert_eq!((status, topic.as_str()), (Status::Denied, "price/a"));
            break;
        }
    }
    assert_eq!(hub.retained().len(), 0);
}

#[test]
fn a_peer_without_the_feature_gets_what_it_asks_for() {
    let hub = carrying();
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    for number in 0..10 {
        retain(&hub, &format!("a/{number}"), number);
    }
    let mut raw = Raw::open(&listener.address().to_string(), LIMITS);
    let credit = (4, 1000);
    let both = [subscribe(1, "price/**", credit), ask(2, "price/**", credit)];
    raw.send(&both).unwrap();
    let mut received = Vec::new();
    while received.len() < 10 {
        match raw.receive().unwrap().unwrap() {
            Message::Publish { to, retained, .. } => {
                assert_eq!((to, retained), (vec![2], true));
                received.push(());
                // They wait for credit, and none is missed.
                let credit = Message::Credit {
                    id: 2,
                    messages: 4 + received.len() as u64,
                    bytes: 10_000,
                };
                raw.send(&[credit]).unwrap();
            }
            Message::Gap { .. } => panic!("none is missed"),
            Message::Replicate(_) => panic!("it does not know this"),
            _ => {}
        }
    }
    // What comes later is not retained, and a removal is told.
    retain(&hub, "a/0", 10);
    hub.remove_retained::<Price>("a/0").unwrap();
    loop {
        match raw.receive().unwrap().unwrap() {
            Message::Publish { to, retained, .. } => {
                assert_eq!((to, retained), (vec![1, 2], false));
            }
            Message::Unretain { topic } => {
                assert_eq!(topic.as_str(), "price/a/0");
                break;
            }
            _ => {}
        }
    }
}

#[test]
fn a_peer_without_the_feature_retains_and_removes() {
    let hub = carrying();
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    let mut prices = watching(&hub, "**");
    let mut raw = Raw::open(&listener.address().to_string(), LIMITS);
    let id = loop {
        if let Message::Subscribe { id, .. } = raw.receive().unwrap().unwrap() {
            break id;
        }
    };
    let publication = Message::Publish {
        topic: 0,
        retain: true,
        retained: false,
        codec: ump_router::link::wire::Codec::Cbor,
        to: vec![id],
        payload: [7].into(),
    };
    raw.send(&[topic(0, "price/a"), publication]).unwrap();
    assert_eq!(next_as(&mut prices), (7, ReceivedAs::Published));
    assert_eq!(hub.retained().len(), 1);
    let unretain = Message::Unretain {
        topic: "price/a".parse().unwrap(),
    };
    raw.send(&[unretain]).unwrap();
    assert_eq!(next_as(&mut prices), (7, ReceivedAs::Removed));
}

#[test]
fn what_a_router_cannot_hold_is_refused_and_received() {
    let path = SocketPath::new();
    let (hub, leaf) = (carrying(), carrying());
    let _listener = hub.listen(path.address()).unwrap();
    let options = ConnectOptions::new().max_retained(2, 1 << 20);
    let mut refusals = hub.subscribe::<LinkRefusal>("**").unwrap();
    let mut prices = leaf.subscribe::<Price>("**").unwrap();
    let link = leaf.connect_with(path.address(), options).unwrap();
    assert!(link.opened().timeout(LONG).wait());
    await_told(&hub, "price/**");
    for (price, topic) in (0..).zip(["a", "b", "c"]) {
        retain(&hub, topic, price);
        assert_eq!(next(&mut prices), Ok(price));
    }
    let refusal = refusals.recv().wait_timeout(LONG).unwrap().unwrap();
    assert_eq!(refusal.topic().as_str(), format!("{}/c", Price::PREFIX));
    assert_eq!(refusal.status, Status::Quota);
    assert_eq!(leaf.retained().len(), 2);
    assert_eq!(hub.retained().len(), 3);
}

#[test]
fn what_is_retained_last_is_told_before_the_link_is_closed() {
    let path = SocketPath::new();
    let (hub, leaf) = (carrying(), carrying());
    let _listener = hub.listen(path.address()).unwrap();
    let link = leaf.connect(path.address()).unwrap();
    assert!(link.opened().timeout(LONG).wait());
    for number in 0..100 {
        retain(&leaf, &format!("a/{number}"), number);
    }
    assert!(link.close().timeout(LONG).wait());
    assert_eq!(hub.retained().len(), 100);
}
