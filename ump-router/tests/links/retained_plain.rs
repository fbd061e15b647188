//! Retained messages for a peer that does not exchange changes.

use std::sync::atomic::{AtomicBool, Ordering};

use ump_router::link::wire::Message;

use crate::raw::{LIMITS, Raw, subscribe};
use crate::retained::retain;
use crate::support::{Price, await_told, carrying};

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
#[ignore = "PROTOCOL.md states the exception: an older retained message may come late"]
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
