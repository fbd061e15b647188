//! Retained messages of one leaf at the others.

use serde::{Deserialize, Serialize};
use ump_router::{
    ReceivedAs, RecvError, Router, SubscribeOptions,
    link::{
        sockets::{LinkRefusal, ListenOptions, Permission, Quota, Quotas, Rules, Who},
        wire::{Message, Status},
    },
};

use super::on_each_star;
use crate::raw::{Raw, subscribe};
use crate::retained::{await_retained, next_as, replicating, retain, watching};
use crate::support::{LONG, Price, await_told, carrying, next};

#[test]
fn a_later_subscription_at_another_leaf_receives_it() {
    on_each_star(|star| {
        retain(&star.one, "a", 1);
        retain(&star.one, "a", 2);
        retain(&star.one, "b", 3);
        await_retained(&star.other, "b", Some(3));
        let mut prices = star.other.subscribe::<Price>("**").unwrap();
        assert_eq!(next_as(&mut prices), (2, ReceivedAs::Retained));
        assert_eq!(next_as(&mut prices), (3, ReceivedAs::Retained));
        assert!(prices.is_empty());
    });
}

#[test]
fn the_hub_keeps_what_a_leaf_has_retained_that_is_gone() {
    on_each_star(|star| {
        let (leaf, link) = star.join();
        retain(&leaf, "a", 1);
        leaf.publish("gone", Price(2)).retain().wait().unwrap();
        await_retained(&star.one, "gone", Some(2));
        assert!(link.close().timeout(LONG).wait());
        leaf.close();
        let (late, _link) = star.join();
        let mut prices = late.subscribe::<Price>("*").unwrap();
        assert_eq!(next_as(&mut prices), (1, ReceivedAs::Retained));
        assert_eq!(next_as(&mut prices), (2, ReceivedAs::Retained));
        // Another one removes it.
        late.remove_retained::<Price>("a").unwrap().unwrap();
        await_retained(&star.one, "a", None);
        let (last, _link) = star.join();
        await_retained(&last, "gone", Some(2));
        assert_eq!(last.retained().len(), 1);
    });
}

#[test]
fn each_change_reaches_a_subscription_at_another_leaf_once() {
    on_each_star(|star| {
        let mut prices = watching(&star.other, "**");
        await_told(&star.one, "price/**");
        for price in 0..200 {
            retain(&star.one, "a", price);
        }
        star.one.remove_retained::<Price>("a").unwrap();
        for price in 0..200 {
            assert_eq!(next_as(&mut prices), (price, ReceivedAs::Published));
        }
        assert_eq!(next_as(&mut prices), (199, ReceivedAs::Removed));
        assert!(prices.is_empty());
    });
}

#[test]
fn two_writers_of_a_topic_end_with_the_same_message() {
    on_each_star(|star| {
        let writers = [(&star.one, 0), (&star.other, 1000)];
        std::thread::scope(|scope| {
            for (router, first) in writers {
                scope.spawn(move || (0..100).for_each(|price| retain(router, "a", first + price)));
            }
        });
        // All that they have told has come when these have.
        retain(&star.one, "end/one", 1);
        retain(&star.other, "end/other", 1);
        let (late, _link) = star.join();
        let routers = [&star.one, &star.other, &late];
        for router in routers {
            await_retained(router, "end/one", Some(1));
            await_retained(router, "end/other", Some(1));
        }
        let value = |router: &Router| {
            let retained = router.read_retained::<Price>("a").unwrap().next();
            retained.unwrap().0
        };
        let last = value(&star.one);
        assert!([99, 1099].contains(&last), "{last}");
        assert_eq!(routers.map(value), [last; 3]);
    });
}

#[test]
fn the_last_message_that_two_writers_make_is_received_last() {
    on_each_star(|star| {
        let options = SubscribeOptions::new().capacity(10_000);
        let mut prices = star.one.subscribe_with::<Price>("a", options).unwrap();
        await_told(&star.other, "price/a");
        std::thread::scope(|scope| {
            for (router, first) in [(&star.one, 0), (&star.other, 1000)] {
                scope.spawn(move || (0..100).for_each(|price| retain(router, "a", first + price)));
            }
        });
        retain(&star.other, "end", 1);
        await_retained(&star.one, "end", Some(1));
        let mut last = None;
        while !prices.is_empty() {
            last = Some(next(&mut prices).unwrap());
        }
        let retained = star.one.read_retained::<Price>("a").unwrap().next();
        assert_eq!(last, retained.map(|it| it.0));
    });
}

fn ruled(rules: Rules) -> (Router, ump_router::link::sockets::Listener) {
    let hub = crate::support::router();
    let options = ListenOptions::new().rules(rules);
    let listener = hub.listen_with("tcp:127.0.0.1:0", options).unwrap();
    (hub, listener)
}

#[test]
fn rules_decide_who_retains_and_who_is_told() {
    let rules = Rules::allow_by_default()
        .deny(
            Who::Anyone,
            [Permission::Publish],
            "price/quiet/**".parse().unwrap(),
        )
        .deny(
            Who::Anyone,
            [Permission::Subscribe],
            "price/secret/**".parse().unwrap(),
        );
    let (_hub, listener) = ruled(rules);
    let address = listener.address().to_string();
    let (one, other) = (carrying(), carrying());
    let mut refusals = one.subscribe::<LinkRefusal>("**").unwrap();
    let _links = [&one, &other].map(|leaf| leaf.connect(&address).unwrap());
    retain(&one, "quiet/a", 1);
    retain(&one, "secret/a", 2);
    retain(&one, "open", 3);
    let refusal = refusals.recv().wait_timeout(LONG).unwrap().unwrap();
    assert_eq!(refusal.topic().as_str(), "price/quiet/a");
    assert_eq!(refusal.status, Status::Denied);
    await_retained(&other, "open", Some(3));
    // Whatever was to be told before has come when this has.
    retain(&one, "last", 4);
    await_retained(&other, "last", Some(4));
    assert_eq!(other.retained().len(), 2);
    // Other rules are told more, and as retained.
    let mut secret = other.subscribe::<Price>("secret/a").unwrap();
    listener.set_rules(Rules::allow_by_default());
    // The subscription itself may have been refused before.
    let received = loop {
        match secret.recv().wait_timeout(LONG) {
            Err(RecvError::Interrupted) => {}
            other => break other.unwrap().expect("a message in time"),
        }
    };
    assert_eq!(received.received_as(), ReceivedAs::Retained);
}

#[test]
fn a_quota_limits_what_a_peer_retains() {
    let quotas = Quotas::new().limit(Quota::RetainedMessages, 2);
    let (_hub, listener) = ruled(Rules::allow_by_default().quotas(Who::Anyone, quotas));
    let address = listener.address().to_string();
    let (one, other) = (carrying(), carrying());
    let mut refusals = one.subscribe::<LinkRefusal>("**").unwrap();
    let mut prices = other.subscribe::<Price>("**").unwrap();
    let _links = [&one, &other].map(|leaf| leaf.connect(&address).unwrap());
    await_told(&one, "price/**");
    for (price, topic) in (0..).zip(["a", "b", "c", "a"]) {
        retain(&one, topic, price);
        assert_eq!(next(&mut prices), Ok(price));
    }
    let refusal = refusals.recv().wait_timeout(LONG).unwrap().unwrap();
    assert_eq!(refusal.topic().as_str(), "price/c");
    assert_eq!(refusal.status, Status::Quota);
    assert!(
        refusal.text.contains("retained messages"),
        "{}",
        refusal.text
    );
    assert_eq!(other.retained().len(), 2);
}

#[test]
fn a_full_hub_refuses_and_passes_on() {
    let hub = crate::support::router();
    let options = ListenOptions::new().max_retained(1, 1 << 20);
    let listener = hub.listen_with("tcp:127.0.0.1:0", options).unwrap();
    let address = listener.address().to_string();
    let (one, other) = (carrying(), carrying());
    let mut refusals = one.subscribe::<LinkRefusal>("**").unwrap();
    let mut prices = other.subscribe::<Price>("**").unwrap();
    let _links = [&one, &other].map(|leaf| leaf.connect(&address).unwrap());
    await_told(&one, "price/**");
    for (price, topic) in (0..).zip(["a", "b"]) {
        retain(&one, topic, price);
        assert_eq!(next(&mut prices), Ok(price));
    }
    let refusal = refusals.recv().wait_timeout(LONG).unwrap().unwrap();
    assert_eq!(refusal.topic().as_str(), "price/b");
    // What is removed makes room.
    one.remove_retained::<Price>("a").unwrap();
    retain(&one, "c", 2);
    await_retained(&other, "c", Some(2));
}

#[test]
fn no_removal_is_told_that_the_rules_hide() {
    let rules = Rules::allow_by_default().deny(
        Who::Anyone,
        [Permission::Subscribe],
        "price/secret/**".parse().unwrap(),
    );
    let (hub, listener) = ruled(rules);
    hub.carry::<Price>().unwrap();
    let mut raw = Raw::open_with(&listener.address().to_string(), replicating());
    raw.send(&[subscribe(1, "price/open", (1000, 1 << 20))])
        .unwrap();
    await_told(&hub, "price/open");
    for number in 0..100 {
        let secret = format!("secret/{number}");
        retain(&hub, &secret, number);
        hub.remove_retained::<Price>(&*secret).unwrap();
        retain(&hub, "open", number);
        let told = raw.next_change();
        assert_eq!(told.topic.as_str(), "price/open");
    }
}

/// A message that fills the buffers of a link.
#[derive(Debug, Serialize, Deserialize)]
struct Blob(String);

impl ump_router::Message for Blob {
    const PREFIX: &str = "blob";
}

#[test]
fn what_a_slow_link_has_no_room_for_is_a_gap_and_comes_as_retained() {
    const COUNT: u64 = 64;
    let (_hub, listener) = ruled(Rules::allow_by_default());
    let address = listener.address().to_string();
    let (one, other) = (carrying(), carrying());
    one.carry::<Blob>().unwrap();
    let mut raw = Raw::open_with(&address, replicating());
    raw.send(&[subscribe(1, "blob/**", (1000, 1 << 40))])
        .unwrap();
    let _links = [&one, &other].map(|leaf| leaf.connect(&address).unwrap());
    await_told(&one, "blob/**");
    for _ in 0..COUNT {
        let blob = Blob("x".repeat(256 << 10));
        one.publish("a", blob).retain().wait().unwrap();
    }
    retain(&one, "end", 1);
    await_retained(&other, "end", Some(1));
    // The hub has passed all on, as far as there was room.
    raw.send(&[Message::Window { bytes: 1 << 40 }]).unwrap();
    let (mut published, mut missed) = (0, 0);
    loop {
        match raw.receive().unwrap().unwrap() {
            Message::Gap {
                id: 1,
                missed: more,
            } => missed += more,
            Message::Replicate(change) if change.topic.as_str() == "blob/a" => {
                if change.retained {
                    break;
                }
                assert_eq!(missed, 0, "a message after a gap is sent in its place");
                published += 1;
            }
            _ => {}
        }
    }
    assert!(missed > 0);
    assert_eq!(published + missed, COUNT);
}
