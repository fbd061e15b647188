//! Changes of retained messages between two sessions.

use std::time::Duration;

use ump_router::link::{
    session::{Event, Rejected, Replica},
    wire::{Codec, Stamp},
};

use crate::pair::{Pair, ROOM, config, payload, publication};

fn replica(topic: &str, text: &str) -> Replica {
    Replica::new(topic.parse().unwrap(), Codec::Raw, payload(text))
}

#[test]
fn a_change_arrives_with_the_time_that_is_left() {
    let mut pair = Pair::open();
    let sent = Replica {
        stamp: Stamp { time: 5, router: 7 },
        retained: true,
        expires_at: Some(pair.now + Duration::from_secs(10)),
        ..replica("a", "text")
    };
    pair.ends[0].replicate(sent.clone()).unwrap();
    // It waits for three seconds before it is sent.
    pair.now += Duration::from_secs(3);
    pair.settle();
    assert_eq!(pair.one(1), Event::Replicate(sent));
}

#[test]
fn a_removal_comes_after_the_messages_before_it() {
    let mut pair = Pair::open();
    let id = pair.subscribe(0, "a", ROOM);
    pair.ends[1].publish(&publication("a", "1"), &[id]).unwrap();
    let removal = Replica::removal("a".parse().unwrap());
    pair.ends[1].replicate(replica("a", "2")).unwrap();
    pair.ends[1].replicate(removal.clone()).unwrap();
    pair.settle();
    let events = pair.take(0);
    let [
        Event::Message { .. },
        Event::Replicate(first),
        Event::Replicate(last),
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!((first.removed, last), (false, &removal));
}

#[test]
fn a_gap_is_told_before_the_change_after_it() {
    let mut pair = Pair::open();
    let id = pair.subscribe(0, "a", ROOM);
    pair.ends[1].publish(&publication("a", "1"), &[id]).unwrap();
    pair.ends[1].missed(&[id], 2);
    pair.ends[1].replicate(replica("a", "2")).unwrap();
    pair.ends[1].publish(&publication("a", "3"), &[id]).unwrap();
    pair.settle();
    let events = pair.take(0);
    let [
        Event::Message { .. },
        Event::Gap { missed: 2, .. },
        Event::Replicate(_),
        Event::Message { .. },
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
}

#[test]
fn changes_are_bounded_and_use_the_credit_of_the_link() {
    let small = || {
        let mut config = config(0);
        config.limits.frame = 1000;
        config.limits.window = 0; // raised to two frames
        config.queued_publications = 4000;
        config
    };
    let mut pair = Pair::opened([small(), small()]);
    let long = "x".repeat(2000);
    let refused = pair.ends[0].replicate(replica("a", &long));
    assert_eq!(refused, Err(Rejected::TooLong(1000)));
    let text = "x".repeat(900);
    let mut sent = 0;
    while pair.ends[0].replicate(replica("a", &text)).is_ok() {
        sent += 1;
    }
    assert_eq!(sent, 4);
    assert_eq!(pair.ends[0].replicate(replica("a", "")), Ok(()));
    let full = pair.ends[0].replicate(replica("a", &text));
    assert_eq!(full, Err(Rejected::Full));
    // The credit of the link is for two of them; the rest comes as the events are taken.
    pair.write(0, usize::MAX);
    assert!(pair.ends[0].buffered() > 1800);
    pair.settle();
    assert_eq!(pair.take(1).len(), 5);
}

#[test]
fn no_change_is_sent_before_the_session_is_open() {
    let mut pair = Pair::new([config(1), config(2)]);
    let refused = pair.ends[0].replicate(replica("a", "1"));
    assert_eq!(refused, Err(Rejected::NotOpen));
}
