//! Messages for which a queue has no room, if the publisher does not wait.

use std::time::Duration;

use ump_router::{RecvError, Router, WhenFull, ump::ManualClock};

use crate::{Number, counts, drain, options, publish};

#[test]
fn drop_oldest_leaves_a_gap_before_what_is_kept() {
    let router = Router::new();
    let mut slow = router
        .subscribe_with::<Number>("a", options(2, WhenFull::DropOldest))
        .unwrap();
    for number in 1..=5 {
        assert_eq!(counts(publish(&router, "a", number)), (1, 1, 0));
    }
    assert_eq!(drain(&mut slow), ["[3]", "4", "5"]);
    publish(&router, "a", 6);
    assert_eq!(drain(&mut slow), ["6"]);
}

#[test]
fn drop_newest_leaves_a_gap_after_queued_messages() {
    let router = Router::new();
    let mut slow = router
        .subscribe_with::<Number>("a", options(2, WhenFull::DropNewest))
        .unwrap();
    for (number, dropped) in [(1, 0), (2, 0), (3, 1), (4, 1)] {
        assert_eq!(
            counts(publish(&router, "a", number)),
            (1, 1 - dropped, dropped)
        );
    }
    assert_eq!(slow.recv().wait().unwrap().0, 1);
    publish(&router, "a", 5);
    publish(&router, "a", 6);
    assert_eq!(drain(&mut slow), ["2", "[2]", "5", "[1]"]);
}

#[test]
fn a_zero_timeout_does_not_wait() {
    let clock = ManualClock::new();
    let router = Router::with_clock(clock.clock());
    let options = options(1, WhenFull::Block(Duration::ZERO));
    let mut slow = router.subscribe_with::<Number>("a", options).unwrap();
    publish(&router, "a", 1);
    assert_eq!(
        counts(publish(&router, "a", 2)),
        (1, 0, 1),
        "there is no time to wait"
    );
    assert_eq!(drain(&mut slow), ["1", "[1]"]);
}

#[test]
fn latest_keeps_one_message_of_each_topic() {
    let router = Router::new();
    let mut slow = router
        .subscribe_with::<Number>("*", options(2, WhenFull::Latest))
        .unwrap();
    for (topic, number) in [("a", 1), ("b", 2), ("a", 3), ("a", 4)] {
        assert_eq!(counts(publish(&router, topic, number)), (1, 1, 0));
    }
    assert_eq!(slow.len(), 2);
    // A third topic: the message that has waited longest is lost.
    publish(&router, "c", 5);
    publish(&router, "b", 6);
    assert_eq!(drain(&mut slow), ["[4]", "6", "5"]);
    // The places of received messages are not used for new ones.
    publish(&router, "b", 7);
    publish(&router, "b", 8);
    publish(&router, "a", 9);
    assert_eq!(drain(&mut slow), ["[1]", "8", "9"]);
}

#[test]
fn a_slow_subscription_can_be_disconnected() {
    let router = Router::new();
    let mut slow = router
        .subscribe_with::<Number>("a", options(1, WhenFull::Disconnect))
        .unwrap();
    publish(&router, "a", 1);
    assert_eq!(counts(publish(&router, "a", 2)), (1, 0, 1));
    assert_eq!(
        counts(publish(&router, "a", 3)),
        (0, 0, 0),
        "it is no subscriber any more"
    );
    assert_eq!(drain(&mut slow), ["1", "[1]", "Disconnected"]);
    assert_eq!(
        slow.iter().next().unwrap().unwrap_err(),
        RecvError::Disconnected
    );
    assert!(slow.iter().next().is_none());
}
