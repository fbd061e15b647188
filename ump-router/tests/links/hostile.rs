//! Peers that do not keep to what a router does, and must not hurt others.

use std::time::Duration;

use ump_router::{
    Bytes,
    link::{
        session::Timeouts,
        sockets::{LinkRefusal, ListenOptions, Permission, Quota, Quotas, Rules, Who},
        wire::{Codec, GoodbyeReason, Limits, Message, Status},
    },
};

use crate::raw::{self, Raw};
use crate::support::{LONG, Price, carrying};

/// Reads until the peer is told a subscription with a pattern, accepts it, and returns its id.
fn told(raw: &mut Raw, expected: &str) -> u32 {
    loop {
        let Some(Message::Subscribe { id, pattern, .. }) = raw.receive().unwrap() else {
            continue;
        };
        let (status, text) = (Status::Accepted, String::new());
        raw.send(&[Message::Subscribed { id, status, text }])
            .unwrap();
        if pattern.as_str() == expected {
            return id;
        }
    }
}

fn publish(topic: u32, to: Vec<u32>) -> Message {
    Message::Publish {
        topic,
        retain: false,
        retained: false,
        codec: Codec::Cbor,
        to,
        payload: Bytes::from([5_u8]),
    }
}

/// Returns the subscriptions of the next publications, and the topics.
fn publications(raw: &mut Raw, count: usize) -> Vec<(Vec<u32>, String)> {
    let mut topics = std::collections::HashMap::new();
    let mut publications = Vec::new();
    while publications.len() < count {
        match raw.receive().unwrap().expect("the link stays") {
            Message::Topic { number, topic } => {
                topics.insert(number, topic.as_str().to_owned());
            }
            Message::Publish { topic, to, .. } => publications.push((to, topics[&topic].clone())),
            Message::Gap { id, .. } => panic!("{id} misses messages"),
            _ => {}
        }
    }
    publications
}

#[test]
fn a_peer_that_answers_no_subscribe_loses_its_link() {
    let hub = carrying();
    let _prices = hub.subscribe::<Price>("**").unwrap();
    let timeouts = Timeouts {
        answer: Duration::from_millis(50),
        ..Timeouts::default()
    };
    let options = ListenOptions::new().timeouts(timeouts);
    let listener = hub.listen_with("tcp:127.0.0.1:0", options).unwrap();
    let limits = Limits {
        operations: 1,
        ..raw::LIMITS
    };
    let mut silent = Raw::open(&listener.address().to_string(), limits);
    loop {
        let message = silent.receive().unwrap().expect("a goodbye");
        if let Message::Goodbye { reason, .. } = message {
            assert_eq!(reason, GoodbyeReason::TimedOut);
            return;
        }
    }
}

#[test]
fn a_message_goes_only_to_subscriptions_that_it_is_for_and_once() {
    let hub = carrying();
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    let address = listener.address().to_string();
    let mut subscriber = Raw::open(&address, raw::LIMITS);
    let subscribe = raw::subscribe(1, "price/secret", (2, 100));
    subscriber.send(&[subscribe]).unwrap();
    let mut publisher = Raw::open(&address, raw::LIMITS);
    let id = told(&mut publisher, "price/secret");
    let messages = [
        raw::topic(0, "price/open"),
        raw::topic(1, "price/secret"),
        publish(0, vec![id; 100]),
        publish(1, vec![id; 100]),
        publish(1, vec![id]),
    ];
    publisher.send(&messages).unwrap();
    let expected = (vec![1], "price/secret".to_owned());
    let received = publications(&mut subscriber, 2);
    assert_eq!(received, [expected.clone(), expected]);
}

#[test]
fn what_a_peer_has_no_room_for_is_told_when_it_has() {
    let hub = carrying();
    let mut refusals = hub.subscribe::<LinkRefusal>("**").unwrap();
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    let address = listener.address().to_string();
    let mut busy = Raw::open(&address, raw::LIMITS);
    let subscriptions: Vec<_> = (1..=4)
        .map(|id| raw::subscribe(id, &format!("junk/{id}"), (1, 1)))
        .collect();
    let limits = Limits {
        subscriptions: 2,
        ..raw::LIMITS
    };
    let mut small = Raw::open(&address, limits);
    while !matches!(small.receive().unwrap(), Some(Message::Synced)) {}
    busy.send(&subscriptions).unwrap();
    told(&mut small, "junk/2");
    let _prices = hub.subscribe::<Price>("own").unwrap();
    let refusal = refusals.recv().wait_timeout(LONG).unwrap().unwrap();
    assert_eq!(refusal.topic().as_str(), "price/own");
    assert_eq!(refusal.status, Status::Quota);
    busy.send(&[Message::Unsubscribe { id: 1 }]).unwrap();
    busy.send(&[Message::Unsubscribe { id: 2 }]).unwrap();
    busy.send(&[Message::Unsubscribe { id: 3 }]).unwrap();
    let mut names = Vec::new();
    while names.len() < 2 {
        let message = small.receive().unwrap().expect("the link stays");
        if let Message::Subscribe { id, pattern, .. } = message {
            let (status, text) = (Status::Accepted, String::new());
            small
                .send(&[Message::Subscribed { id, status, text }])
                .unwrap();
            if pattern.as_str() != "junk/3" {
                names.push(pattern.as_str().to_owned());
            }
        }
    }
    names.sort();
    assert_eq!(names, ["junk/4", "price/own"]);
}

/// Returns the subscriptions that a peer is told, up to one.
fn told_up_to(raw: &mut Raw, last: &str) -> Vec<String> {
    let mut names = Vec::new();
    while names.last().is_none_or(|name| name != last) {
        let message = raw.receive().unwrap().expect("the link stays");
        if let Message::Subscribe { pattern, .. } = message {
            names.push(pattern.as_str().to_owned());
        }
    }
    names
}

#[test]
fn a_peer_is_told_only_subscriptions_within_which_it_may_publish() {
    let hub = carrying();
    let rules = Rules::deny_by_default()
        .allow(Who::Anyone, [Permission::Subscribe], "**".parse().unwrap())
        .allow(
            Who::Anyone,
            [Permission::Publish],
            "*/open/**".parse().unwrap(),
        );
    let options = ListenOptions::new().rules(rules);
    let listener = hub.listen_with("tcp:127.0.0.1:0", options).unwrap();
    let address = listener.address().to_string();
    let _own = ["secret", "open/a"].map(|name| hub.subscribe::<Price>(name).unwrap());
    let mut peer = Raw::open(&address, raw::LIMITS);
    let mut other = Raw::open(&address, raw::LIMITS);
    let subscribe = |id, name| raw::subscribe(id, name, (1, 1));
    let subscriptions = [subscribe(1, "junk/secret"), subscribe(2, "junk/open/b")];
    other.send(&subscriptions).unwrap();
    let mut names = told_up_to(&mut peer, "junk/open/b");
    if names.len() == 1 {
        names.extend(told_up_to(&mut peer, "price/open/a"));
    }
    names.sort();
    assert_eq!(names, ["junk/open/b", "price/open/a"]);

    listener.set_rules(Rules::allow_by_default());
    let mut names = told_up_to(&mut peer, "junk/secret");
    if names.len() == 1 {
        names.extend(told_up_to(&mut peer, "price/secret"));
    }
    names.sort();
    assert_eq!(names, ["junk/secret", "price/secret"]);
}

#[test]
fn what_a_hub_passes_on_counts_as_queued_bytes() {
    const COUNT: u64 = 20;
    let hub = carrying();
    let quotas = Quotas::new().limit(Quota::QueuedBytes, 1000);
    let rules = Rules::default().quotas(Who::Anyone, quotas);
    let options = ListenOptions::new().rules(rules);
    let listener = hub.listen_with("tcp:127.0.0.1:0", options).unwrap();
    let address = listener.address().to_string();
    // Two messages use up the credit of the link.
    let limits = Limits {
        frame: 4100,
        window: 8300,
        ..raw::LIMITS
    };
    let mut slow = Raw::open(&address, limits);
    slow.send(&[raw::subscribe(1, "junk/a", (1000, 1 << 20))])
        .unwrap();
    let mut publisher = Raw::open(&address, raw::LIMITS);
    let id = told(&mut publisher, "junk/a");
    publisher.send(&[raw::topic(0, "junk/a")]).unwrap();
    for _ in 0..COUNT {
        let message = Message::Publish {
            topic: 0,
            retain: false,
            retained: false,
            codec: Codec::Raw,
            to: vec![id],
            payload: Bytes::from(vec![0; 4000]),
        };
        publisher.send(&[message]).unwrap();
    }
    publisher.send(&[Message::Ping { token: 1 }]).unwrap();
    while !matches!(publisher.receive().unwrap(), Some(Message::Pong { .. })) {}
    slow.send(&[Message::Window { bytes: 1 << 30 }]).unwrap();
    let (mut received, mut gaps) = (0, 0);
    while received + gaps < COUNT {
        match slow.receive().unwrap().expect("the link stays") {
            Message::Publish { .. } => received += 1,
            Message::Gap { missed, .. } => gaps += missed,
            _ => {}
        }
    }
    assert!(gaps > COUNT / 2, "{received} messages waited");
}
