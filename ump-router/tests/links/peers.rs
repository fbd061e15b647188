//! Peers that are slow, silent or wrong, beside good ones.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener},
    thread,
    time::Duration,
};

use ump_router::{
    Bytes, RecvError, Router,
    link::wire::{Codec, Limits, Message},
};

use crate::{
    raw::{LIMITS, Raw, encoded, hello, request, subscribe, topic},
    support::{
        Double, LONG, Price, await_no_subscriber, await_server, await_subscriber, await_told,
        carrying, next, publish, serve,
    },
};

/// A hub, the address where it listens, and a link to it that has to keep working.
struct Good {
    hub: Router,
    address: String,
    leaf: Router,
    serving: thread::JoinHandle<u64>,
}

impl Good {
    /// Runs a test, and checks that the good link works after it.
    fn beside(test: impl FnOnce(&Self)) {
        let (hub, leaf) = (carrying(), carrying());
        let serving = serve(&hub, "a");
        let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
        let address = listener.address().to_string();
        let link = leaf.connect(&address).unwrap();
        await_server(&leaf, "a");
        let good = Self {
            hub,
            address,
            leaf,
            serving,
        };
        test(&good);
        good.works();
        assert!(link.opened().timeout(LONG).wait());
        good.hub.close();
        good.serving.join().unwrap();
    }

    fn works(&self) {
        assert_eq!(self.leaf.request("a", Double(4)).wait().unwrap(), 8);
    }
}

fn serve_frame(id: u32, topic: &str) -> Message {
    Message::Serve {
        id,
        stand_by: true,
        topic: topic.parse().unwrap(),
    }
}

/// All that a short session sends.
fn whole_session() -> Vec<u8> {
    encoded(&[
        hello(LIMITS),
        subscribe(1, "price/cut", (10, 1000)),
        serve_frame(1, "double/cut"),
        Message::Synced,
        topic(0, "double/a"),
        request(1),
        request(2),
        topic(1, "price/cut"),
        Message::Cancel {
            request: 2,
            expired: false,
        },
        Message::Ping { token: 7 },
        Message::Unsubscribe { id: 1 },
        Message::Leave { id: 1 },
    ])
}

#[test]
fn a_session_cut_at_any_byte_leaves_nothing() {
    Good::beside(|good| {
        let bytes = whole_session();
        for cut in 0..=bytes.len() {
            let mut raw = Raw::connect(&good.address);
            raw.stream.write_all(&bytes[..cut]).unwrap();
            raw.stream.shutdown(Shutdown::Write).unwrap();
            raw.ends();
            if cut % 16 == 0 {
                good.works();
            }
        }
        await_no_subscriber(&good.hub, "cut");
        let error = good.hub.request("cut", Double(1)).wait().unwrap_err();
        assert!(error.into_message().is_some(), "the server is gone");
    });
}

#[test]
fn a_session_that_comes_byte_by_byte_is_a_session() {
    Good::beside(|good| {
        let mut raw = Raw::connect(&good.address);
        raw.stream.set_nodelay(true).unwrap();
        for byte in whole_session() {
            raw.stream.write_all(&[byte]).unwrap();
        }
        let mut replies = 0;
        while replies == 0 {
            let message = raw.receive().unwrap().expect("an open session");
            replies += usize::from(matches!(message, Message::Reply { request: 1, .. }));
        }
    });
}

/// A leaf gets the bytes of a hub up to any place.
#[test]
fn a_hub_cut_at_any_byte_ends_each_request() {
    let mut bytes = encoded(&[
        hello(LIMITS),
        serve_frame(1, "double/a"),
        subscribe(1, "price/**", (10, 1000)),
        Message::Synced,
    ]);
    let answer_at = bytes.len();
    bytes.extend(encoded(&[
        Message::Taken { request: 1 },
        Message::Reply {
            request: 1,
            refused: false,
            codec: Codec::Cbor,
            payload: Bytes::from([2_u8]),
        },
    ]));
    let mut replies = 0;
    for cut in 0..=bytes.len() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let leaf = carrying();
        let address = format!("tcp:{}", listener.local_addr().unwrap());
        let link = leaf.connect(&address).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&bytes[..cut.min(answer_at)]).unwrap();
        let time = if cut > answer_at { 30_000 } else { 10 };
        let caller = leaf.clone();
        let calling = thread::spawn(move || {
            let request = caller.request("a", Double(1)).wait_for_server();
            request.timeout(Duration::from_millis(time)).wait()
        });
        if cut > answer_at {
            // The request is on its way, so its answer is one.
            let mut raw = Raw::from(stream);
            while !matches!(raw.receive().unwrap(), Some(Message::Request { .. })) {}
            raw.stream.write_all(&bytes[answer_at..cut]).unwrap();
            raw.stream.shutdown(Shutdown::Both).unwrap();
        } else {
            stream.shutdown(Shutdown::Both).unwrap();
        }
        let outcome = calling.join().unwrap();
        replies += usize::from(outcome == Ok(2));
        assert!(outcome.is_err() || cut == bytes.len(), "{cut}: {outcome:?}");
        drop(link);
    }
    assert_eq!(replies, 1);
}

#[test]
fn what_is_forbidden_ends_its_own_link_only() {
    Good::beside(|good| {
        let double = |number: u8| Bytes::from([number]);
        let publication = |to| Message::Publish {
            topic: 0,
            retain: false,
            retained: false,
            codec: Codec::Cbor,
            to: vec![to],
            payload: double(1),
        };
        let reply = Message::Reply {
            request: 1,
            refused: false,
            codec: Codec::Cbor,
            payload: double(1),
        };
        let is_open = [
            vec![hello(LIMITS)],
            vec![request(1)],
            vec![topic(0, "double/a"), request(1), request(1)],
            vec![topic(0, "double/*"), request(1)],
            vec![topic(1_000_000, "double/a")],
            vec![topic(0, "price/a"), publication(77)],
            vec![subscribe(1, "a", (1, 1)), subscribe(1, "a", (1, 1))],
            vec![Message::Unsubscribe { id: 9 }],
            vec![Message::Gap { id: 9, missed: 1 }],
            vec![Message::Leave { id: 9 }],
            vec![serve_frame(1, "double/x"), serve_frame(1, "double/y")],
            vec![Message::Taken { request: 9 }],
            vec![reply],
            vec![Message::Cancel {
                request: 9,
                expired: true,
            }],
        ];
        for messages in is_open {
            let mut raw = Raw::open(&good.address, LIMITS);
            let _ = raw.send(&messages);
            raw.ends();
            good.works();
        }
        // Before a hello, nothing else is allowed.
        for messages in [
            vec![Message::Ping { token: 1 }],
            vec![subscribe(1, "**", (1, 1))],
            vec![topic(0, "double/a"), request(1)],
        ] {
            let mut raw = Raw::connect(&good.address);
            let _ = raw.send(&messages);
            raw.ends();
        }
    });
}

#[test]
fn a_peer_without_credit_gets_gaps_and_holds_up_no_one() {
    Good::beside(|good| {
        let mut stingy = Raw::open(&good.address, LIMITS);
        stingy
            .send(&[subscribe(1, "price/**", (10, 1000))])
            .unwrap();
        await_subscriber(&good.hub, "a");
        let mut all = good.leaf.subscribe::<Price>("a").unwrap();
        await_told(&good.hub, "price/a");
        for round in 0..20 {
            for price in 0..50 {
                publish(&good.hub, "a", round * 50 + price);
            }
            for price in 0..50 {
                assert_eq!(next(&mut all), Ok(round * 50 + price));
            }
        }
        let (mut received, mut missed) = (0, 0);
        while received + missed < 1000 {
            match stingy.receive().unwrap().expect("an open link") {
                Message::Publish { .. } => received += 1,
                Message::Gap {
                    id: 1,
                    missed: count,
                } => missed += count,
                _ => {}
            }
        }
        assert_eq!((received, missed), (10, 990));
    });
}

#[test]
fn a_server_without_a_window_ends_requests_by_their_deadlines() {
    Good::beside(|good| {
        let narrow = Limits {
            frame: 100,
            window: 216,
            ..LIMITS
        };
        let mut stingy = Raw::open(&good.address, narrow);
        stingy.send(&[serve_frame(1, "double/stuck")]).unwrap();
        await_server(&good.hub, "stuck");
        thread::scope(|scope| {
            let hub = &good.hub;
            let request = |number| {
                let request = hub.request("stuck", Double(number));
                request.timeout(Duration::from_millis(300)).wait()
            };
            let callers: Vec<_> = (0..50)
                .map(|number| scope.spawn(move || request(number)))
                .collect();
            for caller in callers {
                let error = caller.join().unwrap().unwrap_err();
                assert!(error.is_timeout(), "{error}");
            }
        });
        good.works();
        drop(stingy);
    });
}

#[test]
fn the_largest_gaps_are_told_as_one() {
    let hub = carrying();
    let mut prices = hub.subscribe::<Price>("a").unwrap();
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    let mut peer = Raw::open(&listener.address().to_string(), LIMITS);
    let id = loop {
        if let Some(Message::Subscribe { id, .. }) = peer.receive().unwrap() {
            break id;
        }
    };
    let gap = || Message::Gap {
        id,
        missed: u64::MAX,
    };
    peer.send(&[gap(), gap(), Message::Ping { token: 1 }])
        .unwrap();
    while !matches!(peer.receive().unwrap(), Some(Message::Pong { .. })) {}
    let told = prices.recv().wait_timeout(LONG).unwrap_err();
    assert_eq!(told, RecvError::Missed(u64::MAX >> 1));
    publish(&hub, "a", 1);
    assert_eq!(next(&mut prices), Ok(1));
}

#[test]
fn garbage_ends_its_connection_beside_silent_ones() {
    Good::beside(|good| {
        let silent: Vec<_> = (0..50).map(|_| Raw::connect(&good.address)).collect();
        for garbage in [
            &b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..],
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            &[0x7f; 64],
            &[0; 64],
        ] {
            let mut raw = Raw::connect(&good.address);
            let _ = raw.stream.write_all(garbage);
            raw.ends();
        }
        let fresh = carrying();
        let link = fresh.connect(&good.address).unwrap();
        assert!(link.opened().timeout(LONG).wait());
        await_server(&fresh, "a");
        assert_eq!(fresh.request("a", Double(3)).wait().unwrap(), 6);
        drop(silent);
    });
}

#[test]
fn a_leaf_survives_a_hub_of_garbage() {
    let good = carrying();
    let serving = serve(&good, "a");
    let listener = good.listen("tcp:127.0.0.1:0").unwrap();
    let leaf = carrying();
    let link = leaf.connect(listener.address()).unwrap();
    let bad = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = leaf
        .connect(format!("tcp:{}", bad.local_addr().unwrap()))
        .unwrap();
    for _ in 0..3 {
        let (mut stream, _) = bad.accept().unwrap();
        let _ = stream.write_all(&[0x41; 4096]);
        let _ = stream.read_to_end(&mut Vec::new());
    }
    await_server(&leaf, "a");
    assert_eq!(leaf.request("a", Double(3)).wait().unwrap(), 6);
    drop((link, other));
    good.close();
    serving.join().unwrap();
}

/// Messages that wait for a link stay when what the peer wants changes.
#[test]
fn a_change_of_interest_loses_no_message() {
    Good::beside(|good| {
        let mut raw = Raw::open(&good.address, LIMITS);
        let much = (1 << 40, 1 << 50);
        raw.send(&[subscribe(1, "price/a", much)]).unwrap();
        await_subscriber(&good.hub, "a");
        let (rounds, burst) = (50, 200);
        for round in 0..rounds {
            for price in 0..burst {
                publish(&good.hub, "a", price);
            }
            let other = format!("price/b/{round}");
            raw.send(&[subscribe(round + 2, &other, much)]).unwrap();
        }
        let mut seen = 0;
        while seen < u64::from(rounds) * burst {
            match raw.receive().unwrap().expect("an open link") {
                Message::Publish { .. } => seen += 1,
                Message::Gap { id: 1, missed } => seen += missed,
                _ => {}
            }
        }
    });
}

/// A leaf that was lost may have published more.
#[test]
fn the_loss_of_a_leaf_is_told_at_the_others() {
    Good::beside(|good| {
        let mut prices = good.leaf.subscribe::<Price>("x").unwrap();
        let mut raw = Raw::open(&good.address, LIMITS);
        let id = loop {
            match raw.receive().unwrap().expect("an open link") {
                Message::Subscribe { id, pattern, .. } if pattern.as_str() == "price/x" => {
                    break id;
                }
                _ => {}
            }
        };
        let publication = Message::Publish {
            topic: 0,
            retain: false,
            retained: false,
            codec: Codec::Cbor,
            to: vec![id],
            payload: Bytes::from([3_u8]),
        };
        raw.send(&[topic(0, "price/x"), publication]).unwrap();
        assert_eq!(next(&mut prices), Ok(3));
        drop(raw);
        assert_eq!(next(&mut prices), Err(RecvError::Interrupted));
    });
}
