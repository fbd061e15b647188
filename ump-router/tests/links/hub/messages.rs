//! Messages from one leaf to the other.

use ump_router::{RecvError, SubscribeOptions, WhenFull, link::wire::Message};

use super::{Star, on_each_star};
use crate::raw::{LIMITS, Raw, subscribe};
use crate::support::{
    LONG, Price, await_no_subscriber, await_subscriber, await_told, carrying, next, publish,
};

#[test]
fn a_message_goes_through_the_hub_in_order() {
    on_each_star(|star| {
        let mut prices = star.other.subscribe::<Price>("eth/*").unwrap();
        await_subscriber(&star.one, "eth/eur");
        for batch in 0..15 {
            // Within its credit, so that none is missed.
            let batch = batch * 200..(batch + 1) * 200;
            for price in batch.clone() {
                publish(&star.one, "eth/eur", price);
                publish(&star.one, "btc/eur", price);
            }
            for price in batch {
                assert_eq!(next(&mut prices), Ok(price));
            }
        }
        drop(prices);
        await_no_subscriber(&star.one, "eth/eur");
    });
}

#[test]
fn a_message_comes_once_to_each_and_does_not_come_back() {
    on_each_star(|star| {
        let mut own = star.one.subscribe::<Price>("**").unwrap();
        let mut wide = star.other.subscribe::<Price>(["a/*", "*/b", "**"]).unwrap();
        let mut narrow = star.other.subscribe::<Price>("a/b").unwrap();
        for pattern in ["price/a/*", "price/*/b", "price/**", "price/a/b"] {
            await_told(&star.one, pattern);
        }
        await_told(&star.other, "price/**");
        publish(&star.one, "a/b", 1);
        publish(&star.one, "a/b", 2);
        for subscription in [&mut own, &mut wide, &mut narrow] {
            assert_eq!(next(subscription), Ok(1));
            assert_eq!(next(subscription), Ok(2));
        }
        // The way back is in order, so what has come back is here by now.
        publish(&star.other, "a/b", 3);
        for subscription in [&mut own, &mut wide, &mut narrow] {
            assert_eq!(next(subscription), Ok(3));
            assert!(subscription.is_empty());
        }
    });
}

#[test]
fn the_hub_itself_subscribes_and_publishes() {
    let star = Star::over_tcp(carrying());
    let mut at_hub = star.hub.subscribe::<Price>("**").unwrap();
    let mut at_one = star.one.subscribe::<Price>("**").unwrap();
    let mut at_other = star.other.subscribe::<Price>("**").unwrap();
    for router in [&star.one, &star.other, &star.hub] {
        await_told(router, "price/**");
    }
    let (third, link) = star.join();
    let mut at_third = third.subscribe::<Price>("a").unwrap();
    for router in [&star.one, &star.other, &star.hub] {
        await_told(router, "price/a");
    }
    for (price, router) in (0..).zip([&star.one, &star.other, &star.hub, &third]) {
        if price == 3 {
            await_told(&third, "price/**");
        }
        publish(router, "a", price);
        for subscription in [&mut at_hub, &mut at_one, &mut at_other, &mut at_third] {
            assert_eq!(next(subscription), Ok(price));
            assert!(subscription.is_empty());
        }
    }
    drop(link);
}

#[test]
fn a_full_subscription_misses_messages_and_is_told_how_many() {
    on_each_star(|star| {
        let last = SubscribeOptions::new()
            .capacity(2)
            .when_full(WhenFull::DropNewest);
        let mut slow = star.other.subscribe_with::<Price>("a", last).unwrap();
        let mut other = star.other.subscribe::<Price>("*").unwrap();
        await_told(&star.one, "price/a");
        await_told(&star.one, "price/*");
        for price in 0..10 {
            publish(&star.one, "a", price);
        }
        for price in 0..10 {
            assert_eq!(next(&mut other), Ok(price));
        }
        assert_eq!((next(&mut slow), next(&mut slow)), (Ok(0), Ok(1)));
        assert_eq!(next(&mut slow), Err(RecvError::Missed(8)));
    });
}

#[test]
fn a_late_leaf_is_told_what_others_want() {
    on_each_star(|star| {
        let mut prices = star.one.subscribe::<Price>("a").unwrap();
        let (late, link) = star.join();
        await_subscriber(&late, "a");
        publish(&late, "a", 5);
        assert_eq!(next(&mut prices), Ok(5));
        // It leaves on purpose, so the others have all that it had published.
        publish(&late, "a", 6);
        drop(link);
        assert_eq!(next(&mut prices), Ok(6));
        await_subscriber(&star.other, "a");
        publish(&star.other, "a", 7);
        assert_eq!(next(&mut prices), Ok(7), "no gap before it");
    });
}

#[test]
fn a_leaf_that_goes_leaves_no_subscription_behind() {
    on_each_star(|star| {
        let (late, link) = star.join();
        let prices = late.subscribe::<Price>("a").unwrap();
        await_subscriber(&star.one, "a");
        drop(link);
        await_no_subscriber(&star.one, "a");
        drop(prices);
    });
}

/// A leaf that says it wants all prices, and reads nothing.
fn join_and_stall(star: &Star) -> Raw {
    let address = star.listener.address().to_string();
    let mut leaf = Raw::open(&address, LIMITS);
    let subscribe = subscribe(1, "price/**", (u64::MAX, u64::MAX));
    leaf.send(&[subscribe, Message::Synced]).unwrap();
    leaf
}

#[test]
fn a_leaf_that_does_not_read_holds_up_no_other() {
    for hub in [crate::support::router(), carrying()] {
        let star = Star::over_tcp(hub);
        let stalled = join_and_stall(&star);
        await_told(&star.one, "price/**");
        let mut prices = star.other.subscribe::<Price>("a").unwrap();
        await_told(&star.one, "price/a");
        // Far more than fits between the hub and the one that does not read.
        for batch in 0..300_u64 {
            for price in batch * 200..(batch + 1) * 200 {
                publish(&star.one, "a", price);
            }
            for price in batch * 200..(batch + 1) * 200 {
                let received = prices.recv().wait_timeout(LONG).unwrap();
                assert_eq!(received.expect("a message in time").0, price);
            }
        }
        drop(stalled);
    }
}
