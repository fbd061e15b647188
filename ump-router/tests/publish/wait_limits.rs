//! How long a publisher waits for room.

use std::{
    future::IntoFuture,
    sync::Arc,
    task::Poll,
    thread,
    time::{Duration, Instant},
};

use ump_router::{Publish, Router, WhenFull, ump::ManualClock};

use crate::{
    LONG, Number, block_on,
    counting_waker::{CountingWaker, poll_once},
    counts, drain, full_subscription, options, publish, waiting_publisher,
};

#[test]
fn the_subscriber_limits_the_wait_of_a_publisher() {
    let clock = ManualClock::new();
    let router = Router::with_clock(clock.clock());
    let hour = Duration::from_secs(3600);
    let mut slow = router
        .subscribe_with::<Number>("a", options(1, WhenFull::Block(hour)))
        .unwrap();
    publish(&router, "a", 1);
    let publisher = thread::spawn({
        let router = router.clone();
        move || publish(&router, "a", 2)
    });
    clock.wait_for_sleepers(1);
    clock.advance(hour);
    assert_eq!(counts(publisher.join().unwrap()), (1, 0, 1));
    cancel_waiting_publisher(&router);
    assert_eq!(drain(&mut slow), ["1", "[2]"]);
}

#[test]
fn the_shorter_of_two_limits_ends_the_wait() {
    const HOUR: Duration = Duration::from_secs(3600);
    type CallOptions = fn(Publish<Number>, &ManualClock) -> Publish<Number>;
    let call_options: [(Duration, CallOptions); 4] = [
        (Duration::MAX, |publish, _| publish.timeout(HOUR)),
        (Duration::MAX, |publish, clock| {
            publish.deadline(clock.now() + HOUR)
        }),
        // The subscriber's limit is shorter.
        (HOUR, |publish, _| publish.timeout(2 * HOUR)),
        (HOUR, |publish, _| publish.timeout(Duration::MAX)),
    ];
    for (wanted, call_options) in call_options {
        let clock = ManualClock::new();
        let router = Router::with_clock(clock.clock());
        let mut slow = router
            .subscribe_with::<Number>("a", options(1, WhenFull::Block(wanted)))
            .unwrap();
        publish(&router, "a", 1);
        let blocking = thread::spawn({
            let publish = call_options(router.publish("a", Number(2)), &clock);
            move || publish.wait().unwrap()
        });
        clock.wait_for_sleepers(1);
        let awaiting = thread::spawn({
            let publish = call_options(router.publish("a", Number(3)), &clock);
            move || block_on(publish.into_future()).unwrap()
        });
        clock.wait_for_sleepers(2);
        clock.advance(HOUR.saturating_sub(Duration::from_nanos(1)));
        assert_eq!(clock.sleepers(), 2);
        clock.advance(Duration::from_nanos(1));
        for publisher in [blocking, awaiting] {
            assert_eq!(counts(publisher.join().unwrap()), (1, 0, 1));
        }
        assert_eq!(drain(&mut slow), ["1", "[2]"]);
    }
}

#[test]
fn if_room_reaches_subscriptions_with_room() {
    let router = Router::new();
    let mut slow = full_subscription(&router);
    let mut quick = router.subscribe::<Number>("a").unwrap();
    for number in [1, 2] {
        let publish = router.publish("a", Number(number)).if_room();
        let published = if number == 1 {
            publish.wait()
        } else {
            block_on(publish.into_future())
        };
        assert_eq!(counts(published.unwrap()), (2, 1, 1));
    }
    assert_eq!(drain(&mut slow), ["0", "[2]"]);
    assert_eq!(drain(&mut quick), ["0", "1", "2"]);
    // A publisher that does not wait does not overtake one that waits.
    publish(&router, "a", 3);
    let counting = Arc::new(CountingWaker::default());
    let waiting = waiting_publisher(&router, 4, &counting);
    let hasty = router.publish("a", Number(5)).if_room().wait();
    assert_eq!(counts(hasty.unwrap()), (2, 1, 1));
    assert_eq!(slow.recv().wait().unwrap().0, 3);
    assert_eq!(counts(block_on(waiting).unwrap()), (2, 2, 0));
    assert_eq!(drain(&mut slow), ["4", "[1]"]);
}

#[test]
fn if_room_ignores_timeouts() {
    type CallOptions = fn(Publish<Number>) -> Publish<Number>;
    let call_options: [CallOptions; 4] = [
        |publish| publish.if_room().timeout(LONG),
        |publish| publish.timeout(LONG).if_room(),
        |publish| publish.if_room().timeout(Duration::MAX),
        |publish| publish.if_room().deadline(Instant::now() + LONG),
    ];
    let router = Router::new();
    let _slow = full_subscription(&router);
    let counting = Arc::new(CountingWaker::default());
    for call_options in call_options {
        let mut hasty = Box::pin(call_options(router.publish("a", Number(1))).into_future());
        match poll_once(hasty.as_mut(), &counting) {
            Poll::Ready(published) => assert_eq!(counts(published.unwrap()), (1, 0, 1)),
            Poll::Pending => panic!("it waits"),
        }
    }
}

/// Starts to wait for room, and drops the publisher.
fn cancel_waiting_publisher(router: &Router) {
    drop(waiting_publisher(router, 3, &Arc::default()));
}
