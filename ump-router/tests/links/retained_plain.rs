//! Retained messages for a peer that does not exchange changes.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use ump_router::{
    Router,
    link::{
        sockets::{Link, Listener},
        wire::{Limits, Message},
    },
};

use crate::raw::{LIMITS, Raw, subscribe};
use crate::retained::{await_retained, retain};
use crate::support::{LONG, Price, await_told, carrying};

/// A subscription that asks for the retained messages.
pub(crate) fn ask(id: u32, pattern: &str, credit: (u64, u64)) -> Message {
    let Message::Subscribe {
        messages,
        bytes,
        pattern,
        ..
    } = subscribe(id, pattern, credit)
    else {
        unreachable!()
    };
    Message::Subscribe {
        id,
        retained: true,
        messages,
        bytes,
        pattern,
    }
}

/// Decodes a number of CBOR.
fn number(payload: &[u8]) -> u64 {
    match payload[0] {
        small @ 0..24 => small.into(),
        _ => payload[1..]
            .iter()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
    }
}

#[test]
fn a_removal_comes_after_the_message_that_it_removes() {
    const COUNT: u64 = 300; // more than are sent in a turn
    let hub = carrying();
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    let mut raw = Raw::open(&listener.address().to_string(), LIMITS);
    raw.send(&[subscribe(1, "price/**", (1 << 20, 1 << 30))])
        .unwrap();
    await_told(&hub, "price/**");
    for round in 0..20 {
        for price in 0..COUNT {
            retain(&hub, &format!("a/{round}/{price}"), price);
        }
        hub.remove_all_retained::<Price>("**").unwrap();
        let (mut published, mut removed) = (0, 0);
        while removed < COUNT {
            match raw.receive().unwrap().unwrap() {
                Message::Publish { .. } => published += 1,
                Message::Unretain { .. } => removed += 1,
                _ => {}
            }
            assert!(removed <= published, "round {round}, {removed}");
        }
    }
}

#[test]
fn a_subscription_receives_each_message_once_in_order() {
    let hub = carrying();
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    let mut raw = Raw::open(&listener.address().to_string(), LIMITS);
    raw.send(&[Message::Window { bytes: 1 << 40 }]).unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut prices = 0..;
            while !is_over.load(Ordering::Relaxed) {
                retain(&hub, "a", prices.next().unwrap());
                std::thread::yield_now();
            }
        });
        let mut found = Ok(());
        for id in 1..=200 {
            raw.send(&[ask(id, "price/a", (1000, 1 << 20))]).unwrap();
            let mut last = None;
            let mut count = 0;
            while count < 3 {
                if let Message::Publish { to, payload, .. } = raw.receive().unwrap().unwrap() {
                    let price = number(&payload);
                    if !to.contains(&id) {
                        continue;
                    }
                    if last >= Some(price) {
                        found = Err((last, price));
                    }
                    last = Some(price);
                    count += 1;
                }
            }
            raw.send(&[Message::Unsubscribe { id }]).unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(found, Ok(()));
    });
}

#[test]
fn a_message_above_the_whole_credit_is_a_gap() {
    let hub = carrying();
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    retain(&hub, "long", u64::MAX);
    retain(&hub, "short", 1);
    let mut raw = Raw::open(&listener.address().to_string(), LIMITS);
    raw.send(&[ask(1, "price/**", (10, 5))]).unwrap();
    let mut missed = 0;
    loop {
        match raw.receive().unwrap().unwrap() {
            Message::Gap {
                id: 1,
                missed: more,
            } => missed += more,
            Message::Publish { payload, .. } => {
                assert_eq!((missed, number(&payload)), (1, 1));
                break;
            }
            _ => {}
        }
    }
}

/// A message that fills a session.
#[derive(Serialize, Deserialize)]
struct Long(Vec<u32>);

impl ump_router::Message for Long {
    const PREFIX: &str = "long";
}

/// Waits until so many bytes wait for the first link.
fn await_queued(listener: &Listener, are_so_many: impl Fn(usize) -> bool) {
    let begin = Instant::now();
    while !are_so_many(listener.links()[0].queued_bytes) {
        assert!(begin.elapsed() < LONG);
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A hub with a retained message that waits for a peer, and a router that knows it, too.
struct Waiting {
    hub: Router,
    listener: Listener,
    leaf: Router,
    _link: Link,
    peer: Raw,
}

impl Waiting {
    fn new() -> Self {
        const FRAME: u32 = 1 << 17;
        /// Messages wait in their outbox while so many bytes wait in the session.
        const MAX_BUFFERED: usize = 256 << 10;
        let hub = carrying();
        hub.carry::<Long>().unwrap();
        let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
        let limits = Limits {
            frame: FRAME,
            window: 2 * (8 + u64::from(FRAME)),
            ..LIMITS
        };
        let mut peer = Raw::open(&listener.address().to_string(), limits);
        let credit = (1 << 20, 1 << 30);
        peer.send(&[
            subscribe(1, "long/**", credit),
            subscribe(2, "price/**", credit),
        ])
        .unwrap();
        await_told(&hub, "long/**");
        await_told(&hub, "price/**");
        for _ in 0..10 {
            let long = Long(vec![u32::MAX; 20_000]); // of five bytes each
            hub.publish("a", long).wait().unwrap();
        }
        await_queued(&listener, |bytes| bytes >= MAX_BUFFERED);
        retain(&hub, "a", 1);
        let leaf = carrying();
        let link = leaf.connect(listener.address()).unwrap();
        assert!(link.opened().timeout(LONG).wait());
        await_retained(&leaf, "a", Some(1));
        Self {
            hub,
            listener,
            leaf,
            _link: link,
            peer,
        }
    }

    /// Lets the peer read, until a last message. Returns what it was told of prices.
    fn received(mut self) -> Vec<Option<u64>> {
        // The change went to the peer's link before the answer.
        let _ = self.listener.links();
        self.peer
            .send(&[Message::Window { bytes: 1 << 40 }])
            .unwrap();
        retain(&self.hub, "end", 9);
        let mut all = Vec::new();
        while all.last() != Some(&Some(9)) {
            match self.peer.receive().unwrap().expect("a message") {
                Message::Publish { to, payload, .. } if to == [2] => {
                    all.push(Some(number(&payload)));
                }
                Message::Unretain { .. } => all.push(None),
                _ => {}
            }
        }
        all
    }
}

#[test]
fn an_older_message_is_not_sent_after_a_newer_one() {
    let waiting = Waiting::new();
    retain(&waiting.leaf, "a", 2);
    await_retained(&waiting.hub, "a", Some(2));
    assert_eq!(waiting.received(), [Some(2), Some(9)]);
}

#[test]
fn a_message_is_not_sent_after_its_removal() {
    let waiting = Waiting::new();
    waiting.leaf.remove_retained::<Price>("a").unwrap().unwrap();
    await_retained(&waiting.hub, "a", None);
    assert_eq!(waiting.received(), [None, Some(9)]);
}

#[test]
fn a_message_that_waits_comes_once_to_a_later_subscription() {
    let Waiting {
        hub,
        listener,
        mut peer,
        ..
    } = Waiting::new();
    let later = ask(3, "price/a", (1 << 20, 1 << 30));
    peer.send(&[later]).unwrap();
    let mut received = || loop {
        match peer.receive().unwrap().expect("a message") {
            Message::Publish { to, payload, .. } if to.contains(&3) => break number(&payload),
            Message::Subscribed { id: 3, .. } => {
                // Until now all waits.
                peer.send(&[Message::Window { bytes: 1 << 40 }]).unwrap();
            }
            _ => {}
        }
    };
    assert_eq!(received(), 1);
    // It does not come from anywhere else.
    await_queued(&listener, |bytes| bytes == 0);
    retain(&hub, "a", 2);
    assert_eq!(received(), 2);
}
