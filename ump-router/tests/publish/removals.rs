//! Retained messages that are removed or expire, and subscriptions that are told.

use std::{future::IntoFuture, sync::Arc, task::Poll, thread, time::Duration};

use ump_router::{
    Bytes, Error,
    ReceivedAs::{self, Expired, Published, Removed, Retained},
    RecvError, Router, SubscribeOptions, Subscription, WhenFull,
    ump::ManualClock,
};

use crate::{
    LONG, Number, block_on,
    counting_waker::{CountingWaker, poll_once},
    drain, options, publish,
};

const SECOND: Duration = Duration::from_secs(1);

fn world() -> (ManualClock, Router) {
    let clock = ManualClock::new();
    let router = Router::with_clock(clock.clock());
    (clock, router)
}

fn told(router: &Router, pattern: &str) -> Subscription<Number> {
    let options = SubscribeOptions::new().removals(true);
    router.subscribe_with(pattern, options).unwrap()
}

fn retain_for(router: &Router, topic: &str, number: u64, seconds: u32) {
    let publish = router.publish(topic, Number(number));
    publish.retain_for(seconds * SECOND).wait().unwrap();
}

fn all(subscription: &mut Subscription<Number>) -> Vec<(u64, ReceivedAs)> {
    let next = || subscription.try_recv().unwrap();
    let all = std::iter::from_fn(next);
    all.map(|it| (it.0, it.received_as())).collect()
}

#[test]
fn a_removal_is_received_in_order_by_those_that_ask() {
    let (_clock, router) = world();
    router.publish("a", Number(1)).retain().wait().unwrap();
    let (mut asks, mut other) = (told(&router, "*"), told(&router, "b"));
    let mut does_not = router.subscribe::<Number>("*").unwrap();
    router.publish("a", Number(2)).retain().wait().unwrap();
    publish(&router, "a", 3);
    assert_eq!(router.remove_retained::<Number>("a").unwrap().unwrap().0, 2);
    router.publish("a", Number(4)).retain().wait().unwrap();
    router.remove_all_retained::<Number>("**").unwrap();
    let expected = [
        (1, Retained),
        (2, Published),
        (3, Published),
        (2, Removed),
        (4, Published),
        (4, Removed),
    ];
    assert_eq!(all(&mut asks), expected);
    assert_eq!(drain(&mut does_not), ["1", "2", "3", "4"]);
    assert!(all(&mut other).is_empty());
}

#[test]
fn a_removal_that_finds_no_room_is_missed() {
    let (_clock, router) = world();
    let options = options(1, WhenFull::Block(LONG)).removals(true);
    let mut slow = router.subscribe_with::<Number>("a", options).unwrap();
    router.publish("a", Number(1)).retain().wait().unwrap();
    router.remove_retained::<Number>("a").unwrap().unwrap();
    assert_eq!(drain(&mut slow), ["1", "[1]"]);
}

#[test]
fn an_expired_message_is_not_seen() {
    let (clock, router) = world();
    router.publish("a", Number(0)).retain().wait().unwrap();
    retain_for(&router, "a", 1, 2);
    retain_for(&router, "b", 2, 3);
    let until = router.publish("c", Number(3));
    until.retain_until(clock.now() + SECOND).wait().unwrap();
    let topics = |router: &Router| {
        let mut topics: Vec<_> = router
            .retained()
            .into_iter()
            .map(|it| (it.topic.to_string(), it.expires_in.unwrap().as_secs()))
            .collect();
        topics.sort();
        topics
    };
    let listed = |name: &str, left: u64| (format!("number/{name}"), left);
    assert_eq!(
        topics(&router),
        [listed("a", 2), listed("b", 3), listed("c", 1)]
    );
    clock.advance(SECOND);
    assert_eq!(topics(&router), [listed("a", 1), listed("b", 2)]);
    assert!(router.remove_retained::<Number>("c").unwrap().is_none());
    // What has been subscribed before is received.
    let mut early = router.subscribe::<Number>("*").unwrap();
    clock.advance(SECOND);
    let read = router.read_retained::<Number>("**").unwrap();
    assert_eq!(read.map(|it| it.0).collect::<Vec<_>>(), [2]);
    let mut late = router.subscribe::<Number>("*").unwrap();
    assert_eq!(drain(&mut late), ["2"]);
    assert_eq!(drain(&mut early), ["1", "2"]);
    clock.advance(SECOND);
    assert!(router.retained().is_empty());
}

#[test]
fn a_new_message_has_its_own_time_to_live() {
    let (clock, router) = world();
    retain_for(&router, "a", 1, 1);
    retain_for(&router, "b", 2, 1);
    retain_for(&router, "a", 3, 9);
    router.publish("b", Number(4)).retain().wait().unwrap();
    retain_for(&router, "c", 5, 0);
    let endless = router.publish("d", Number(6));
    endless.retain_for(Duration::MAX).wait().unwrap();
    clock.advance(SECOND);
    let mut late = router.subscribe::<Number>("*").unwrap();
    assert_eq!(drain(&mut late), ["3", "4", "6"]);
}

#[test]
fn an_expiry_is_received_without_another_operation() {
    let (clock, router) = world();
    let mut asks = told(&router, "*");
    retain_for(&router, "b", 1, 2);
    retain_for(&router, "a", 2, 1);
    retain_for(&router, "c", 3, 1);
    clock.advance(2 * SECOND);
    let expected = [
        (1, Published),
        (2, Published),
        (3, Published),
        (2, Expired),
        (3, Expired),
        (1, Expired),
    ];
    assert_eq!(all(&mut asks), expected);
}

#[test]
fn an_expiry_wakes_a_thread() {
    let (clock, router) = world();
    retain_for(&router, "a", 1, 5);
    let mut asks = told(&router, "*");
    let waits = thread::spawn(move || {
        [(); 2].map(|()| {
            let received = asks.recv().wait().unwrap();
            (received.0, received.received_as())
        })
    });
    clock.wait_for_sleepers(1);
    clock.advance(5 * SECOND);
    assert_eq!(waits.join().unwrap(), [(1, Retained), (1, Expired)]);
}

#[test]
fn an_expiry_wakes_a_task_once() {
    let (clock, router) = world();
    let mut asks = told(&router, "a");
    retain_for(&router, "other", 1, 1);
    let counting = Arc::new(CountingWaker::default());
    let mut receives = Box::pin(asks.recv());
    assert!(poll_once(receives.as_mut(), &counting).is_pending());
    // One that expires earlier is received, so that the task looks again.
    retain_for(&router, "a", 2, 3);
    assert_eq!(counting.wakes(), 1);
    assert!(poll_once(receives.as_mut(), &counting).is_ready());
    drop(receives);
    let mut receives = Box::pin(asks.recv());
    assert!(poll_once(receives.as_mut(), &counting).is_pending());
    // That of another topic wakes it for nothing.
    clock.advance(2 * SECOND);
    assert_eq!(counting.wakes(), 2);
    assert!(poll_once(receives.as_mut(), &counting).is_pending());
    clock.advance(SECOND);
    assert_eq!(counting.wakes(), 3);
    assert!(poll_once(receives.as_mut(), &counting).is_ready());
}

#[test]
fn a_cancelled_wait_leaves_no_timer() {
    let (clock, router) = world();
    let mut asks = told(&router, "a");
    retain_for(&router, "b", 1, 1);
    let counting = Arc::new(CountingWaker::default());
    let mut receives = Box::pin(asks.recv());
    assert!(poll_once(receives.as_mut(), &counting).is_pending());
    assert!(clock.next_wake().is_some());
    drop(receives);
    assert!(clock.next_wake().is_none());
    let none = asks.recv().wait_timeout(Duration::ZERO).unwrap();
    assert!(none.is_none() && clock.next_wake().is_none());
}

#[test]
fn an_expiry_is_received_by_a_select_and_by_one_of_a_group() {
    let (clock, router) = world();
    let options = SubscribeOptions::new().removals(true);
    let mut members = [(); 2].map(|()| {
        router
            .subscribe_shared::<Number>("group", "a", options)
            .unwrap()
    });
    retain_for(&router, "a", 1, 1);
    let [one, other] = &mut members;
    assert_eq!(one.recv().wait().unwrap().0, 1);
    clock.advance(SECOND);
    let mut select = router.select();
    let received = select.on(other.recv(), |it| it.unwrap().received_as());
    assert_eq!(block_on(received.into_future()), Expired);
    assert!(all(one).is_empty());
}

#[test]
fn an_expiry_wakes_a_group_while_its_receiver_is_busy() {
    let (clock, router) = world();
    let options = SubscribeOptions::new().removals(true);
    let mut members = [(); 2].map(|()| {
        let joins = router.subscribe_shared::<Number>("group", "a", options);
        joins.unwrap()
    });
    let [busy, other] = &mut members;
    let wakers = [Arc::default(), Arc::default()];
    let mut first = Box::pin(busy.recv());
    let mut second = Box::pin(other.recv());
    assert!(poll_once(first.as_mut(), &wakers[0]).is_pending());
    assert!(poll_once(second.as_mut(), &wakers[1]).is_pending());
    retain_for(&router, "a", 1, 1);
    assert!(poll_once(first.as_mut(), &wakers[0]).is_ready());
    // The first one does not receive any more. The second one is polled if it is woken.
    let woken = wakers[1].wakes();
    assert!(woken == 0 || poll_once(second.as_mut(), &wakers[1]).is_pending());
    clock.advance(SECOND);
    assert_eq!(wakers[1].wakes(), woken + 1);
    let received = poll_once(second.as_mut(), &wakers[1]);
    assert!(matches!(received, Poll::Ready(Ok(it)) if it.received_as() == Expired));
}

#[test]
fn by_the_system_clock_an_expiry_comes_too() {
    let router = Router::new();
    let mut asks = told(&router, "a");
    let publish = router.publish("a", Number(1));
    publish.retain_for(Duration::from_millis(1)).wait().unwrap();
    assert_eq!(block_on(asks.recv()).unwrap().received_as(), Published);
    assert_eq!(block_on(asks.recv()).unwrap().received_as(), Expired);
    router.close();
    assert_eq!(asks.recv().wait().unwrap_err(), RecvError::Closed);
}

#[test]
fn a_listed_message_is_removed_whatever_its_type() {
    let (_clock, router) = world();
    let mut told = told(&router, "**");
    retain_for(&router, "a", 1, 60);
    retain_for(&router, "", 2, 60);
    let bytes = Bytes::from(&b"x"[..]);
    router.publish("b", bytes).retain().wait().unwrap();
    let listed = router.retained();
    assert_eq!(listed.len(), 3);
    for status in &listed {
        assert_eq!(router.remove_listed(status), Ok(true), "{status:?}");
        assert_eq!(router.remove_listed(status), Ok(false), "{status:?}");
    }
    assert!(router.retained().is_empty());
    let removed = all(&mut told)
        .into_iter()
        .filter(|(_, how)| *how == Removed);
    assert_eq!(removed.count(), 2);
    router.close();
    assert_eq!(router.remove_listed(&listed[0]), Err(Error::Closed));
}
