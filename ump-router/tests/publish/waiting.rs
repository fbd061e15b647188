//! Publishers that wait for room.

use std::{future::IntoFuture, mem, pin::pin, sync::Arc, task::Poll, thread, time::Duration};

use ump_router::{Router, WhenFull};

use crate::{
    LONG, Number, block_on,
    counting_waker::{CountingWaker, poll_once},
    counts, drain, options, publish, waiting_publisher,
};

#[test]
fn a_publisher_waits_for_a_full_blocking_subscription() {
    let router = Router::new();
    let mut slow = router
        .subscribe_with::<Number>("a", options(1, WhenFull::Block(LONG)))
        .unwrap();
    let mut quick = router.subscribe::<Number>("a").unwrap();
    publish(&router, "a", 1);
    let counting = Arc::new(CountingWaker::default());
    let mut second = pin!(router.publish("a", Number(2)).into_future());
    assert!(poll_once(second.as_mut(), &counting).is_pending());
    assert_eq!(drain(&mut quick), ["1", "2"], "no other subscription waits");
    assert_eq!(slow.recv().wait().unwrap().0, 1);
    assert_eq!(counting.wakes(), 1);
    let Poll::Ready(Ok(published)) = poll_once(second.as_mut(), &counting) else {
        panic!()
    };
    assert_eq!(counts(published), (2, 2, 0));
    assert_eq!(drain(&mut slow), ["2"]);
}

#[test]
fn an_unread_subscription_delays_no_other() {
    for is_first_read in [true, false] {
        let router = Router::new();
        let forever = options(1, WhenFull::Block(Duration::MAX));
        let subscribe = || router.subscribe_with::<Number>("a", forever).unwrap();
        let (mut read, mut unread) = (subscribe(), subscribe());
        if !is_first_read {
            mem::swap(&mut read, &mut unread);
        }
        publish(&router, "a", 1);
        let counting = Arc::new(CountingWaker::default());
        let mut second = waiting_publisher(&router, 2, &counting);
        assert_eq!(read.recv().wait().unwrap().0, 1);
        assert_eq!(counting.wakes(), 1);
        assert!(poll_once(second.as_mut(), &counting).is_pending());
        assert_eq!(drain(&mut read), ["2"]);
        drop(second);
        assert_eq!(drain(&mut read), [""; 0], "it missed nothing");
        assert_eq!(drain(&mut unread), ["1", "[1]"]);
    }
}

#[test]
fn a_blocked_publisher_resumes_when_there_is_room() {
    let router = Router::new();
    let mut slow = router
        .subscribe_with::<Number>("a", options(1, WhenFull::Block(LONG)))
        .unwrap();
    let publisher = thread::spawn({
        let router = router.clone();
        move || {
            (1..=100)
                .map(|number| publish(&router, "a", number))
                .all(|it| it.queued == 1)
        }
    });
    for number in 1..=100 {
        assert_eq!(slow.recv().wait().unwrap().0, number);
    }
    assert!(publisher.join().unwrap());
}

#[test]
fn a_dropped_subscription_releases_its_publisher() {
    let router = Router::new();
    let slow = router
        .subscribe_with::<Number>("a", options(1, WhenFull::Block(LONG)))
        .unwrap();
    publish(&router, "a", 1);
    let counting = Arc::new(CountingWaker::default());
    let mut second = pin!(router.publish("a", Number(2)).into_future());
    assert!(poll_once(second.as_mut(), &counting).is_pending());
    drop(slow);
    let Poll::Ready(Ok(published)) = poll_once(second.as_mut(), &counting) else {
        panic!()
    };
    assert_eq!(counts(published), (0, 0, 0));
    assert_eq!(counting.wakes(), 1);
}

#[test]
fn nothing_is_missed_after_close() {
    let (router, counting) = (Router::new(), Arc::new(CountingWaker::default()));
    let mut slow = router
        .subscribe_with::<Number>("a", options(1, WhenFull::Block(LONG)))
        .unwrap();
    publish(&router, "a", 1);
    let late = waiting_publisher(&router, 2, &counting);
    router.close();
    assert_eq!(drain(&mut slow), ["1", "Closed"]);
    drop(late);
    assert_eq!(drain(&mut slow), ["Closed"]);
}

#[test]
fn room_for_one_wakes_one_waiting_publisher() {
    let router = Router::new();
    let mut slow = router
        .subscribe_with::<Number>("a", options(2, WhenFull::Block(LONG)))
        .unwrap();
    publish(&router, "a", 1);
    publish(&router, "a", 2);
    let countings = [(); 3].map(|()| Arc::new(CountingWaker::default()));
    let mut waiting: Vec<_> = countings
        .iter()
        .zip(3..)
        .map(|(counting, number)| waiting_publisher(&router, number, counting))
        .collect();
    slow.recv().wait().unwrap();
    slow.recv().wait().unwrap();
    assert_eq!(
        countings.each_ref().map(|counting| counting.wakes()),
        [1, 1, 0]
    );
    // One publisher is dropped after it was woken.
    drop(waiting.remove(0));
    assert_eq!(drain(&mut slow), ["3", "4", "5"], "it was too late");
    for future in waiting {
        assert_eq!(block_on(future).unwrap().queued, 1);
    }
}
