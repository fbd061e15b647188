//! Messages that are published in one router and received in another.

use ump_router::{RecvError, SubscribeOptions, SubscriptionOwner, SubscriptionStatus, WhenFull};

use crate::support::{
    LONG, OtherPrice, Price, Secret, await_no_subscriber, await_subscriber, await_told, carrying,
    next, on_each, publish,
};

#[test]
fn messages_reach_the_other_router_in_order() {
    on_each(|from, to, _| {
        let mut all = to.subscribe::<Price>("**").unwrap();
        await_subscriber(from, "eth/eur");
        for batch in 0..15 {
            // Within its credit, so that none is missed.
            let prices = batch * 200..(batch + 1) * 200;
            for price in prices.clone() {
                publish(from, "eth/eur", price);
            }
            for price in prices {
                assert_eq!(next(&mut all), Ok(price));
            }
        }
    });
}

#[test]
fn a_message_comes_once_and_does_not_come_back() {
    on_each(|from, to, _| {
        let mut own = from.subscribe::<Price>("**").unwrap();
        let mut wide = to.subscribe::<Price>(["eth/*", "*/eur", "**"]).unwrap();
        let mut narrow = to.subscribe::<Price>("eth/eur").unwrap();
        // Both ends subscribe to both, so a message that came back would be seen.
        for pattern in ["price/eth/*", "price/*/eur", "price/**", "price/eth/eur"] {
            await_told(from, pattern);
        }
        await_told(to, "price/**");
        publish(from, "eth/eur", 1);
        publish(from, "eth/eur", 2);
        for subscription in [&mut own, &mut wide, &mut narrow] {
            assert_eq!(next(subscription), Ok(1));
            assert_eq!(next(subscription), Ok(2));
        }
        // The way back is in order, so what has come back is here by now.
        publish(to, "eth/eur", 3);
        for subscription in [&mut own, &mut wide, &mut narrow] {
            assert_eq!(next(subscription), Ok(3));
            assert!(subscription.is_empty());
        }
    });
}

#[test]
fn nothing_goes_where_nobody_is_interested() {
    on_each(|from, to, _| {
        let eth = to.subscribe::<Price>("eth/*").unwrap();
        await_subscriber(from, "eth/eur");
        assert!(!from.has_subscribers::<Price>("btc/eur").unwrap());
        let published = from.publish("btc/eur", Price(1)).wait().unwrap();
        assert_eq!(published.matched, 0);
        drop(eth);
        await_no_subscriber(from, "eth/eur");
    });
}

#[test]
fn subscriptions_of_links_are_told_from_own_ones() {
    on_each(|from, to, pair| {
        let _own = from.subscribe::<Price>("own").unwrap();
        let _theirs = to.subscribe::<Price>("theirs").unwrap();
        await_subscriber(from, "theirs");
        let all = from.subscriptions();
        let owner_of = |pattern: &str| {
            let has = |one: &&SubscriptionStatus| one.patterns[0].as_str() == pattern;
            all.iter().find(has).unwrap().owner.clone()
        };
        assert_eq!(owner_of("price/own"), SubscriptionOwner::Program);
        let SubscriptionOwner::Link(name) = owner_of("price/theirs") else {
            panic!("{all:?}");
        };
        // The other end has a name with a number.
        assert!(name.starts_with("tcp:127.0.0.1:") || name.starts_with(pair.link.name()));
        let links = all
            .iter()
            .filter(|one| one.owner == SubscriptionOwner::Links);
        assert_eq!(links.count(), 1, "{all:?}");
        assert_eq!(all.len(), 3, "{all:?}");
    });
}

#[test]
fn what_is_not_carried_stays_at_home() {
    on_each(|from, to, _| {
        let mut secrets = to.subscribe::<Secret>("**").unwrap();
        let mut prices = to.subscribe::<Price>("**").unwrap();
        await_subscriber(from, "a");
        assert!(!from.has_subscribers::<Secret>("a").unwrap());
        from.publish("a", Secret).wait().unwrap();
        publish(from, "a", 1);
        assert_eq!(next(&mut prices), Ok(1));
        assert!(secrets.try_recv().unwrap().is_none());
    });
}

#[test]
fn a_type_can_be_carried_after_the_link_is_open() {
    let (hub, leaf) = (crate::support::router(), carrying());
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    let mut prices = leaf.subscribe::<Price>("**").unwrap();
    let link = leaf.connect(listener.address()).unwrap();
    assert!(link.opened().timeout(LONG).wait());
    hub.carry::<Price>().unwrap();
    await_subscriber(&hub, "a");
    publish(&hub, "a", 7);
    assert_eq!(next(&mut prices), Ok(7));
}

#[test]
fn a_payload_that_cannot_be_decoded_is_a_gap() {
    let (hub, leaf) = (crate::support::router(), carrying());
    hub.carry::<OtherPrice>().unwrap();
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    let mut prices = leaf.subscribe::<Price>("**").unwrap();
    let link = leaf.connect(listener.address()).unwrap();
    assert!(link.opened().timeout(LONG).wait());
    let mut watch = hub.watch_subscribers::<OtherPrice>("a").unwrap();
    assert_eq!(watch.changed().wait_timeout(LONG).unwrap(), Some(true));
    let text = "not a number".to_owned();
    hub.publish("a", OtherPrice { text }).wait().unwrap();
    assert_eq!(next(&mut prices), Err(RecvError::Missed(1)));
    assert!(link.opened().timeout(LONG).wait(), "the link stays");
}

#[test]
fn a_full_subscription_holds_up_no_other() {
    on_each(|from, to, _| {
        let options = SubscribeOptions::new().capacity(4);
        let options = options.when_full(WhenFull::DropNewest);
        let mut stalled = to.subscribe_with::<Price>("**", options).unwrap();
        let mut live = to.subscribe::<Price>("eth/*").unwrap();
        await_told(from, "price/eth/*");
        await_told(from, "price/**");
        for round in 0..20 {
            for price in 0..100 {
                publish(from, "eth/eur", round * 100 + price);
            }
            for price in 0..100 {
                assert_eq!(next(&mut live), Ok(round * 100 + price));
            }
        }
        for price in 0..4 {
            assert_eq!(next(&mut stalled), Ok(price));
        }
        assert_eq!(next(&mut stalled), Err(RecvError::Missed(1996)));
    });
}

#[test]
fn a_flood_is_delivered_or_counted() {
    on_each(|from, to, _| {
        let options = SubscribeOptions::new().capacity(1 << 20);
        let mut all = to.subscribe_with::<Price>("**", options).unwrap();
        await_subscriber(from, "a");
        let total = 50_000;
        for price in 0..total {
            publish(from, "a", price);
        }
        // The last message may be a gap, so one more comes after it once there is room.
        let mut seen = 0;
        let mut expected = 0;
        while seen < total {
            match next(&mut all) {
                Ok(price) => {
                    assert_eq!(price, expected, "a gap is in its place");
                    expected += 1;
                    seen += 1;
                }
                Err(RecvError::Missed(count)) => {
                    expected += count;
                    seen += count;
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(seen, total);
    });
}
