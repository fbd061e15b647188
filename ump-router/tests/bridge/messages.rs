//! Messages in both directions.

use ump_router::{
    Bytes, Pattern, RecvError, Router, SubscriptionOwner, bridge::Outgoing, link::wire::Codec,
};

use crate::wire::{Double, End, OtherPrice, Price, Wire, carrying, context};

#[test]
fn messages_reach_the_subscriptions_of_the_other_router() {
    let mut wire = Wire::new();
    let (here, there) = (wire.here.router.clone(), wire.there.router.clone());
    let mut prices = there.subscribe::<Price>("eth/*").unwrap();
    let mut own = here.subscribe::<Price>("**").unwrap();
    wire.carry();
    let published = here.publish("eth/eur", Price(3)).wait().unwrap();
    assert_eq!((published.matched, published.queued), (2, 2));
    here.publish("btc/eur", Price(9)).wait().unwrap();
    there.publish("eth/usd", Price(4)).wait().unwrap();
    wire.carry();
    let received = |subscription: &mut ump_router::Subscription<Price>| {
        let mut all = Vec::new();
        while !subscription.is_empty() {
            let next = subscription.recv().wait().unwrap();
            all.push((next.topic().to_string(), next.0));
        }
        all
    };
    // There its own came first, and nothing comes back.
    let (eur, usd) = (("eth/eur".to_owned(), 3), ("eth/usd".to_owned(), 4));
    assert_eq!(received(&mut prices), [usd.clone(), eur.clone()]);
    assert_eq!(received(&mut own), [eur, ("btc/eur".to_owned(), 9), usd]);
}

#[test]
fn a_message_on_a_pattern_travels_as_one() {
    let mut wire = Wire::new();
    let mut prices = wire.there.router.subscribe::<Price>("eth/eur").unwrap();
    wire.carry();
    wire.here.router.publish("*/eur", Price(1)).wait().unwrap();
    wire.carry();
    let price = prices.recv().wait().unwrap();
    assert_eq!((price.topic().as_str(), price.0), ("*/eur", 1));
}

#[test]
fn nothing_waits_for_others_without_a_subscription() {
    let mut end = End::new(carrying());
    assert_eq!(end.router.publish("a", Price(1)).wait().unwrap().matched, 0);
    let all: Pattern = "price/**".parse().unwrap();
    assert!(end.outbox.add(all.clone()));
    assert!(!end.outbox.add(all.clone()));
    assert_eq!(end.outgoing(), []);
    assert_eq!(end.router.publish("a", Price(2)).wait().unwrap().matched, 1);
    let owners: Vec<_> = end.router.subscriptions();
    let owners = owners.into_iter().map(|one| one.owner);
    let mut links = owners.filter(|owner| *owner != SubscriptionOwner::Links);
    let wire = SubscriptionOwner::Link("wire".into());
    assert_eq!(links.next(), Some(wire));
    assert!(end.outbox.remove(&all));
    assert!(!end.outbox.remove(&all));
    // What was queued comes still.
    let [Outgoing::Message { topic, codec, .. }] = &end.outgoing()[..] else {
        panic!("one message");
    };
    assert_eq!((topic.as_str(), *codec), ("price/a", Codec::Cbor));
    assert_eq!(end.router.publish("a", Price(3)).wait().unwrap().matched, 0);
}

#[test]
fn a_pattern_over_several_types_is_for_each() {
    let mut end = End::new(carrying());
    end.outbox.add("**".parse().unwrap());
    end.outbox.add("*/a".parse().unwrap());
    assert_eq!(end.outgoing(), []);
    end.router.publish("a", Price(1)).wait().unwrap();
    end.router.publish("b/c", Price(2)).wait().unwrap();
    assert_eq!(end.outgoing().len(), 2);
}

#[test]
fn messages_without_room_are_a_gap_in_their_place() {
    let mut wire = Wire::new();
    let mut prices = wire.there.router.subscribe::<Price>("a").unwrap();
    wire.carry();
    for number in 0..5000 {
        wire.here.router.publish("a", Price(number)).wait().unwrap();
    }
    wire.carry();
    // 4,096 are left by the outbox, 1,024 by the queue of the subscription.
    let Err(RecvError::Missed(first)) = prices.recv().wait() else {
        panic!("a gap");
    };
    let mut received = 0;
    while !prices.is_empty() {
        assert_eq!(prices.recv().wait().unwrap().0, first + received);
        received += 1;
    }
    assert_eq!((first + received, received), (5000, 1024));
}

#[test]
fn a_bridge_tells_gaps_and_losses() {
    let end = End::new(carrying());
    let mut prices = end.router.subscribe::<Price>("eth/*").unwrap();
    let mut others = end.router.subscribe::<Price>("btc/eur").unwrap();
    let topic: Pattern = "price/eth/eur".parse().unwrap();
    let payload = [7];
    end.bridge.publish(&topic, Codec::Cbor, &payload);
    end.bridge.miss(&topic, Some(3));
    end.bridge.publish(&topic, Codec::Cbor, &payload);
    end.bridge.miss(&"price/**".parse().unwrap(), None);
    assert_eq!(prices.recv().wait().unwrap().0, 7);
    assert_eq!(prices.recv().wait().unwrap_err(), RecvError::Missed(3));
    assert_eq!(prices.recv().wait().unwrap().0, 7);
    assert_eq!(prices.recv().wait().unwrap_err(), RecvError::Interrupted);
    assert_eq!(others.recv().wait().unwrap_err(), RecvError::Interrupted);
    assert!(prices.is_empty() && others.is_empty());
}

#[test]
fn what_cannot_be_decoded_is_missed() {
    let mut wire = Wire::new();
    let other = Router::new();
    other.carry::<OtherPrice>().unwrap();
    wire.here = End::new(other.clone());
    let mut prices = wire.there.router.subscribe::<Price>("a").unwrap();
    let mut rest = wire.there.router.subscribe::<Price>("b").unwrap();
    wire.carry();
    let text = "free".to_owned();
    other.publish("a", OtherPrice { text }).wait().unwrap();
    wire.carry();
    assert_eq!(prices.recv().wait().unwrap_err(), RecvError::Missed(1));
    let deadline = std::time::Duration::ZERO;
    assert!(rest.recv().wait_timeout(deadline).unwrap().is_none());
    // Another codec, and a type that does not travel.
    let topic: Pattern = "price/a".parse().unwrap();
    wire.there.bridge.publish(&topic, Codec::Raw, &[1]);
    assert_eq!(prices.recv().wait().unwrap_err(), RecvError::Missed(1));
    let unknown: Pattern = "unknown/a".parse().unwrap();
    wire.there.bridge.publish(&unknown, Codec::Cbor, &[1]);
    wire.there.bridge.miss(&unknown, Some(1));
    assert!(prices.is_empty());
}

#[test]
fn a_type_that_stays_at_home_stays() {
    let mut wire = Wire::new();
    let mut bytes = wire.there.router.subscribe::<Bytes>("**").unwrap();
    let _server = wire.there.router.serve::<Bytes>("double/b").unwrap();
    wire.carry();
    let topic = "price/a";
    let published = wire.here.router.publish(topic, Bytes::from(*b"x")).wait();
    assert_eq!(published.unwrap().matched, 0);
    wire.carry();
    assert!(
        bytes
            .recv()
            .wait_timeout(std::time::Duration::ZERO)
            .unwrap()
            .is_none()
    );
    assert!(wire.here.router.pin::<Double>("b").unwrap().is_none());
    assert!(wire.here.outbox.poll_next(&mut context()).is_pending());
}
