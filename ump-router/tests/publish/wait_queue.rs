//! The order of publishers that wait for room in the same queue.

use std::{future::IntoFuture, mem, sync::Arc};

use ump_router::Router;

use crate::{
    Number, block_on,
    counting_waker::{CountingWaker, poll_once},
    counts, drain, full_subscription, waiting_publisher,
};

#[test]
fn retained_messages_keep_their_order_when_blocked() {
    let (router, counting) = (Router::new(), Arc::new(CountingWaker::default()));
    let mut slow = full_subscription(&router);
    let retain = |number| {
        let retain = router.publish("a", Number(number)).retain();
        Box::pin(retain.into_future())
    };
    let (mut one, mut two) = (retain(1), retain(2));
    assert!(poll_once(one.as_mut(), &counting).is_pending());
    assert_eq!(slow.recv().wait().unwrap().0, 0);
    assert!(poll_once(two.as_mut(), &counting).is_pending());
    assert_eq!(slow.recv().wait().unwrap().0, 1);
    for publisher in [one, two] {
        assert_eq!(counts(block_on(publisher).unwrap()), (1, 1, 0));
    }
    assert_eq!(drain(&mut slow), ["2"]);
    assert_eq!(router.remove_retained::<Number>("a").unwrap().unwrap().0, 2);
}

#[test]
fn an_unpolled_publisher_delays_no_other() {
    for is_forgotten in [true, false] {
        let router = Router::new();
        let mut slow = full_subscription(&router);
        let countings = [(); 2].map(|()| Arc::new(CountingWaker::default()));
        let one = waiting_publisher(&router, 1, &countings[0]);
        let two = waiting_publisher(&router, 2, &countings[1]);
        let _kept = if is_forgotten {
            mem::forget(one);
            None
        } else {
            Some(one)
        };
        assert_eq!(slow.recv().wait().unwrap().0, 0);
        assert_eq!(slow.recv().wait().unwrap().0, 1);
        assert_eq!(
            countings.each_ref().map(|counting| counting.wakes()),
            [1, 1]
        );
        assert_eq!(counts(block_on(two).unwrap()), (1, 1, 0));
        assert_eq!(drain(&mut slow), ["2"]);
    }
}

#[test]
fn a_cancelled_wait_leaves_a_gap_in_its_place() {
    for left in [
        vec![1],
        vec![2],
        vec![3],
        vec![1, 2],
        vec![3, 2],
        vec![1, 3],
    ] {
        let (router, counting) = (Router::new(), Arc::default());
        let mut slow = full_subscription(&router);
        let mut waiting =
            [1, 2, 3].map(|number| Some(waiting_publisher(&router, number, &counting)));
        for number in &left {
            waiting[number - 1] = None;
        }
        let expected: &[&str] = match left[..] {
            [1] => &["0", "[1]", "2", "3"],
            [2] => &["0", "1", "[1]", "3"],
            [3] => &["0", "1", "2", "[1]"],
            [1, 2] => &["0", "[2]", "3"],
            [3, 2] => &["0", "1", "[2]"],
            _ => &["0", "[1]", "2", "[1]"],
        };
        assert_eq!(drain(&mut slow), expected);
    }
}

#[test]
fn gaps_between_refused_waiters_are_reported() {
    let (router, counting) = (Router::new(), Arc::default());
    let mut slow = full_subscription(&router);
    let one = waiting_publisher(&router, 1, &counting);
    let two = waiting_publisher(&router, 2, &counting);
    drop(one);
    router.close();
    assert_eq!(counts(block_on(two).unwrap()), (0, 0, 0));
    assert_eq!(drain(&mut slow), ["0", "[1]", "Closed"]);
}

#[test]
fn a_message_admitted_before_close_is_queued() {
    let (router, counting) = (Router::new(), Arc::default());
    let mut slow = full_subscription(&router);
    let one = waiting_publisher(&router, 1, &counting);
    let two = waiting_publisher(&router, 2, &counting);
    assert_eq!(slow.recv().wait().unwrap().0, 0);
    router.close();
    assert_eq!(counts(block_on(one).unwrap()), (1, 1, 0));
    assert_eq!(counts(block_on(two).unwrap()), (0, 0, 0));
    assert_eq!(drain(&mut slow), ["1", "Closed"]);
}
