//! Whether anybody listens: as a value, and as changes.

use std::{
    sync::{Arc, mpsc},
    task::Poll,
    thread,
    time::Duration,
};

use futures_util::{StreamExt, stream::FusedStream};
use ump_router::{Bytes, Error, RecvError, Router, SubscriberWatch, WhenFull, ump::ManualClock};

use crate::{LONG, Number, block_on, counting_waker::poll_once, drain, options, publish};

fn changes(watch: &mut SubscriberWatch<Number>) -> Vec<bool> {
    let mut all = Vec::new();
    while let Some(changed) = watch.try_changed().unwrap() {
        assert_eq!(changed, watch.has_subscribers());
        all.push(changed);
    }
    all
}

#[test]
fn the_first_and_the_last_subscriber_are_changes() {
    let router = Router::new();
    let mut watch = router.watch_subscribers::<Number>("a/*").unwrap();
    assert_eq!(watch.pattern(), "a/*");
    let has_subscribers = |name: &str| router.has_subscribers::<Number>(name).unwrap();
    assert!(!has_subscribers("a/b") && !watch.has_subscribers());
    let others = router.subscribe::<Number>("b/**").unwrap();
    assert_eq!(changes(&mut watch), [false; 0]);
    let first = router.subscribe::<Number>("a/b").unwrap();
    assert!(has_subscribers("a/b") && has_subscribers("**") && !has_subscribers("a/c"));
    assert_eq!(changes(&mut watch), [true]);
    let second = router.subscribe::<Number>("**").unwrap();
    drop(first);
    assert_eq!(changes(&mut watch), [false; 0]);
    drop((second, others));
    assert_eq!(changes(&mut watch), [false]);
    assert!(!has_subscribers("**"));
}

#[test]
fn a_watch_begins_with_the_subscriber_that_is_there() {
    let router = Router::new();
    let _subscribed = router.subscribe::<Number>("a").unwrap();
    let mut watch = router.watch_subscribers::<Number>("a").unwrap();
    assert!(watch.has_subscribers());
    assert_eq!(changes(&mut watch), [true]);
}

#[test]
fn fast_changes_are_merged_into_the_last() {
    let router = Router::new();
    let mut watch = router.watch_subscribers::<Number>("a").unwrap();
    let first = router.subscribe::<Number>("a").unwrap();
    assert_eq!(changes(&mut watch), [true]);
    drop(first);
    let second = router.subscribe::<Number>("a").unwrap();
    assert_eq!(changes(&mut watch), [true], "another one came");
    drop(second);
    drop(router.subscribe::<Number>("a").unwrap());
    assert_eq!(changes(&mut watch), [false]);
}

#[test]
fn a_subscription_counts_until_it_has_ended() {
    let router = Router::new();
    let mut watch = router.watch_subscribers::<Number>("a").unwrap();
    let closed = router.subscribe::<Number>("a").unwrap();
    assert_eq!(changes(&mut watch), [true]);
    closed.close_handle().close();
    assert_eq!(changes(&mut watch), [false]);

    let disconnects = options(1, WhenFull::Disconnect);
    let mut small = router.subscribe_with::<Number>("*", disconnects).unwrap();
    assert_eq!(changes(&mut watch), [true]);
    publish(&router, "b", 1);
    publish(&router, "b", 2);
    assert_eq!(changes(&mut watch), [false]);
    let late = router.watch_subscribers::<Number>("a").unwrap();
    assert!(!late.has_subscribers() && !router.has_subscribers::<Number>("a").unwrap());
    assert_eq!(drain(&mut small), ["1", "[1]", "Disconnected"]);
    drop((closed, small));
    assert_eq!(changes(&mut watch), [false; 0]);
}

#[test]
fn a_blocked_publisher_learns_of_subscribers() {
    let router = Router::new();
    let mut watch = router.watch_subscribers::<Number>("a").unwrap();
    let (told, stopped) = mpsc::channel();
    let publisher = {
        let router = router.clone();
        thread::spawn(move || {
            for is_wanted in &mut watch {
                if is_wanted {
                    publish(&router, "a", 1);
                } else {
                    told.send(()).unwrap();
                }
            }
        })
    };
    // The subscriber is a task.
    let mut numbers = router.subscribe::<Number>("a").unwrap();
    assert_eq!(block_on(numbers.recv()).unwrap().0, 1);
    drop(numbers);
    stopped.recv_timeout(LONG).unwrap();
    router.close();
    publisher.join().unwrap();
}

#[test]
fn a_publisher_task_learns_of_subscribers() {
    let router = Router::new();
    let mut watch = router.watch_subscribers::<Number>("a").unwrap();
    let waker = Arc::default();
    let mut changed = Box::pin(watch.changed());
    assert!(poll_once(changed.as_mut(), &waker).is_pending());
    let subscribing = thread::spawn(move || (router.subscribe::<Number>("a").unwrap(), router));
    let (numbers, router) = subscribing.join().unwrap();
    assert_eq!(waker.wakes(), 1);
    assert_eq!(poll_once(changed.as_mut(), &waker), Poll::Ready(Ok(true)));
    drop(changed);

    // A future that is dropped leaves no waker behind.
    let mut changed = Box::pin(watch.changed());
    assert!(poll_once(changed.as_mut(), &waker).is_pending());
    drop(changed);
    drop(numbers);
    assert_eq!(waker.wakes(), 1);
    assert_eq!(Arc::strong_count(&waker), 1);
    assert_eq!(block_on(watch.changed()), Ok(false));

    router.close();
    assert_eq!(block_on(watch.changed()), Err(RecvError::Closed));
}

#[test]
fn iterators_and_streams_of_changes_end_with_the_router() {
    let router = Router::new();
    let mut watch = router.watch_subscribers::<Number>("a").unwrap();
    let numbers = router.subscribe::<Number>("a").unwrap();
    assert_eq!(watch.iter().next(), Some(true));
    drop(numbers);
    assert_eq!(block_on(watch.stream().next()), Some(false));
    router.close();
    assert!(!watch.has_subscribers());
    assert_eq!(watch.iter().next(), None);
    assert_eq!(block_on(watch.stream().next()), None);
    assert!(watch.stream().is_terminated());
    assert_eq!((&mut watch).into_iter().count(), 0);
}

#[test]
fn a_wait_for_a_change_has_a_limit() {
    let clock = ManualClock::new();
    let router = Router::with_clock(clock.clock());
    let mut watch = router.watch_subscribers::<Number>("a").unwrap();
    let now = clock.clock().now();
    assert_eq!(watch.changed().wait_deadline(now), Ok(None));
    assert_eq!(watch.changed().wait_timeout(Duration::ZERO), Ok(None));
    let _numbers = router.subscribe::<Number>("a").unwrap();
    assert_eq!(watch.changed().wait_deadline(now), Ok(Some(true)));
}

#[test]
fn thousands_of_watches_see_each_change() {
    let router = Router::new();
    let watch = |nth: usize| {
        let pattern = ["a", "*", "**", "b"][nth % 4];
        router.watch_subscribers::<Number>(pattern).unwrap()
    };
    let mut watches: Vec<_> = (0..4_000).map(watch).collect();
    let waiting = watches.pop().unwrap();
    assert_eq!(waiting.pattern(), "b");
    let waker = Arc::default();
    let mut first = Box::pin(watches[0].changed());
    assert!(poll_once(first.as_mut(), &waker).is_pending());
    let subscription = router.subscribe::<Number>("a").unwrap();
    assert_eq!(poll_once(first.as_mut(), &waker), Poll::Ready(Ok(true)));
    drop((first, subscription));
    let subscription = router.subscribe::<Number>("a").unwrap();
    drop(watches.split_off(2_000));
    drop(subscription);
    for (nth, watch) in watches.iter_mut().enumerate() {
        let expected: &[bool] = if nth % 4 == 3 { &[] } else { &[false] };
        assert_eq!(changes(watch), expected);
    }
}

#[test]
fn a_watch_is_refused_like_a_subscription() {
    let router = Router::new();
    assert!(matches!(
        router.watch_subscribers::<Number>("a//b"),
        Err(Error::Topic(_))
    ));
    assert!(router.has_subscribers::<Number>("a b").is_err());
    let watch = router.watch_subscribers::<Number>("a").unwrap();
    router.close();
    assert_eq!(router.has_subscribers::<Number>("a"), Err(Error::Closed));
    assert_eq!(
        router.watch_subscribers::<Number>("a").unwrap_err(),
        Error::Closed
    );
    assert_eq!(
        router.watch_subscribers::<Bytes>("a").unwrap_err(),
        Error::Closed
    );
    drop(router);
    drop(watch);
}
