//! Two links between the same two routers.

use std::{thread, time::Duration};

use ump_router::{
    Bytes, Change, RecvError, SubscriptionOwner,
    link::wire::{Message, Status},
};

use crate::{
    raw::{LIMITS, Raw, hello_of},
    support::{
        Double, LONG, Price, SocketPath, await_no_subscriber, await_server, await_subscriber,
        carrying, next, publish, serve,
    },
};

/// How long a message may take, if it was not lost with a link.
const SHORT: Duration = Duration::from_millis(200);

/// Publishes at one router, and checks that the other one receives it once.
fn comes_once(
    from: &ump_router::Router,
    prices: &mut ump_router::Subscription<Price>,
    numbers: std::ops::Range<u64>,
) {
    for number in numbers {
        publish(from, "a", number);
        assert_eq!(next(prices), Ok(number));
    }
}

#[test]
fn a_second_link_stands_by_until_the_first_is_gone() {
    let path = SocketPath::new();
    let (hub, leaf) = (carrying(), carrying());
    let tcp = hub.listen("tcp:127.0.0.1:0").unwrap();
    let _unix = hub.listen(path.address()).unwrap();
    let mut at_hub = hub.subscribe::<Price>("a").unwrap();
    let mut at_leaf = leaf.subscribe::<Price>("*").unwrap();
    let serving = serve(&hub, "a");
    let first = leaf.connect(tcp.address()).unwrap();
    assert!(first.opened().timeout(LONG).wait());
    let second = leaf.connect(path.address()).unwrap();
    assert!(
        second.opened().timeout(LONG).wait(),
        "the first one is open"
    );
    comes_once(&hub, &mut at_leaf, 0..100);
    assert!(at_leaf.is_empty());
    // The leaf itself has a subscription that matches, so look at the other end only.
    for number in 0..100 {
        assert_eq!(next(&mut at_hub), Ok(number));
    }
    for number in 100..200 {
        publish(&leaf, "a", number);
        assert_eq!(next(&mut at_hub), Ok(number));
        assert_eq!(next(&mut at_leaf), Ok(number));
    }
    assert!(at_hub.is_empty());
    drop(first);
    assert_eq!(next(&mut at_leaf), Err(RecvError::Interrupted));
    let request = leaf.request("a", Double(1)).wait_for_server();
    // It may meet the end of the first link.
    let reply = request.timeout(LONG).wait();
    if reply.is_err() {
        let request = leaf.request("a", Double(1)).wait_for_server();
        assert_eq!(request.timeout(LONG).wait().unwrap(), 2);
    }
    assert!(second.opened().timeout(LONG).wait());
    comes_once(&hub, &mut at_leaf, 200..300);
    hub.close();
    serving.join().unwrap();
}

#[test]
fn two_routers_that_connect_each_other_use_one_link() {
    for _ in 0..10 {
        let (one, other) = (carrying(), carrying());
        let at_one = one.listen("tcp:127.0.0.1:0").unwrap();
        let at_other = other.listen("tcp:127.0.0.1:0").unwrap();
        let mut prices = other.subscribe::<Price>("a").unwrap();
        let links = [(&one, &at_other), (&other, &at_one)];
        let links = links.map(|(from, to)| from.connect(to.address()).unwrap());
        for link in &links {
            assert!(link.opened().timeout(LONG).wait());
        }
        await_subscriber(&one, "a");
        // One of the links may take the place of the other meanwhile.
        for number in 0..200 {
            publish(&one, "a", number);
            if number % 50 == 0 {
                thread::yield_now();
            }
        }
        publish(&one, "a", 200);
        let (mut seen, mut is_gap_told, mut was_lost) = (None, false, false);
        while seen != Some(200) {
            // A gap that is told is that of a link. What is sent before the other one takes its
            // place belongs to it.
            let patience = if was_lost { SHORT } else { LONG };
            match prices.recv().wait_timeout(patience).transpose() {
                None if was_lost => publish(&one, "a", 200),
                None => panic!("neither a message nor a gap after {seen:?}"),
                Some(Ok(price)) => {
                    let number = price.0;
                    let expected = seen.map_or(0, |seen| seen + 1);
                    let is_next = number == expected || (is_gap_told && number > expected);
                    assert!(is_next, "{number} after {seen:?}, and no gap");
                    (seen, is_gap_told) = (Some(number), false);
                }
                Some(Err(RecvError::Interrupted)) => {
                    (is_gap_told, was_lost) = (true, true);
                    await_subscriber(&one, "a");
                    publish(&one, "a", 200);
                }
                Some(Err(error)) => panic!("{error}"),
            }
        }
        drop(links);
    }
}

/// The exception that the documentation of links names.
#[test]
fn links_of_different_identities_that_routers_make_to_each_other_are_both_used() {
    let path = SocketPath::new();
    let (one, other) = (carrying(), carrying());
    let _unix = one.listen(path.address()).unwrap();
    let tcp = other.listen("tcp:127.0.0.1:0").unwrap();
    let to_one = other.connect(path.address()).unwrap();
    let to_other = one.connect(tcp.address()).unwrap();
    assert!(to_one.opened().timeout(LONG).wait());
    assert!(to_other.opened().timeout(LONG).wait());
    for (from, to) in [(&one, &other), (&other, &one)] {
        let mut prices = to.subscribe::<Price>("a").unwrap();
        let mut changes = from.subscribe::<Change>("**").unwrap();
        let told = || {
            let all = from.subscriptions().into_iter();
            let of_links = all.filter(|it| matches!(it.owner, SubscriptionOwner::Link(_)));
            of_links.count()
        };
        while told() < 2 {
            let change = changes.recv().wait_timeout(LONG).unwrap();
            assert!(change.is_some(), "both links are told");
        }
        publish(from, "a", 7);
        assert_eq!((next(&mut prices), next(&mut prices)), (Ok(7), Ok(7)));
    }
}

#[test]
fn the_number_of_a_router_takes_no_link_from_another_peer() {
    let path = SocketPath::new();
    let (hub, leaf) = (carrying(), carrying());
    let _unix = hub.listen(path.address()).unwrap();
    let tcp = hub.listen("tcp:127.0.0.1:0").unwrap();
    let serving = serve(&leaf, "a");
    let link = leaf.connect(path.address()).unwrap();
    await_server(&hub, "a");
    // Whoever connects to a router learns its number.
    let at_leaf = leaf.listen("tcp:127.0.0.1:0").unwrap();
    let mut stranger = Raw::connect(&at_leaf.address().to_string());
    let Some(Message::Hello(hello)) = stranger.receive().unwrap() else {
        panic!("a hello comes first");
    };
    let mut impostor = Raw::open_with(&tcp.address().to_string(), hello_of(hello.router, LIMITS));
    let claim = Message::Serve {
        id: 1,
        stand_by: true,
        topic: "double/a".parse().unwrap(),
    };
    impostor.send(&[claim, Message::Synced]).unwrap();
    loop {
        if let Some(Message::Served { status, .. }) = impostor.receive().unwrap() {
            assert_eq!(status, Status::StandingBy);
            break;
        }
    }
    for number in 0..10 {
        assert_eq!(
            hub.request("a", Double(1 + number)).wait(),
            Ok(2 + 2 * number)
        );
    }
    drop(link);
    leaf.close();
    serving.join().unwrap();
}

#[test]
fn a_new_link_replaces_one_that_is_lost_at_the_other_end() {
    let (hub, leaf) = (carrying(), carrying());
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    let address = listener.address().to_string();
    let link = leaf.connect(&address).unwrap();
    let join = || {
        let mut peer = Raw::open_with(&address, hello_of(7, LIMITS));
        let serve = Message::Serve {
            id: 1,
            stand_by: true,
            topic: "double/a".parse().unwrap(),
        };
        peer.send(&[serve, Message::Synced]).unwrap();
        peer
    };
    let former = join();
    await_server(&leaf, "a");
    // It stays connected, and the hub cannot know that nobody is there any more.
    let mut current = join();
    former.ends();
    let caller = thread::spawn(move || {
        let request = leaf.request("a", Double(1)).wait_for_server();
        let reply = request.timeout(LONG).wait();
        drop(link);
        reply
    });
    let request = loop {
        let message = current.receive().unwrap().expect("an open link");
        if let Message::Request { request, .. } = message {
            break request;
        }
    };
    let codec = ump_router::link::wire::Codec::Cbor;
    let (refused, payload) = (false, Bytes::from([9_u8]));
    current
        .send(&[Message::Reply {
            request,
            refused,
            codec,
            payload,
        }])
        .unwrap();
    assert_eq!(caller.join().unwrap().unwrap(), 9);
    drop(current);
    await_no_subscriber(&hub, "a");
}
