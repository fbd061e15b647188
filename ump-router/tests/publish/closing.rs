//! A closed router: the operations that go on, and those that it refuses. Closing a subscription
//! from outside.

use std::{sync::Arc, task::Poll, thread};

use futures_util::{StreamExt, stream::FusedStream};
use ump_router::{
    Bytes, Change, ChangeKind, CloseHandle, Error, RecvError, Router, Subscription, WhenFull,
};

use crate::{
    Number, block_on, counting_waker::poll_once, counts, drain, full_subscription, options,
    publish, waiting_publisher,
};

#[test]
fn queued_messages_outlive_the_router() {
    let router = Router::new();
    let mut numbers = router.subscribe::<Number>("a").unwrap();
    publish(&router, "a", 1);
    drop(router);
    assert_eq!(drain(&mut numbers), ["1", "Closed"]);
}

#[test]
fn a_closed_router_refuses_every_operation() {
    let router = Router::new();
    let _numbers = router.subscribe::<Number>("a").unwrap();
    router.close();
    let refused = router.publish("a", Number(1)).wait().unwrap_err();
    assert_eq!((refused.message, refused.error), (Number(1), Error::Closed));
    assert_eq!(router.subscribe::<Number>("a").unwrap_err(), Error::Closed);
    assert_eq!(router.subscribe::<Bytes>("a").unwrap_err(), Error::Closed);
    assert_eq!(
        router.remove_retained::<Number>("a").unwrap_err(),
        Error::Closed
    );
    assert_eq!(
        router.remove_retained::<Bytes>("a").unwrap_err(),
        Error::Closed
    );
    router.close();
}

fn numbers(router: &Router) -> (Subscription<Number>, CloseHandle) {
    let numbers = router.subscribe::<Number>("a").unwrap();
    let handle = numbers.close_handle();
    (numbers, handle)
}

#[test]
fn a_blocked_subscriber_learns_of_its_close() {
    let router = Router::new();
    let (mut numbers, handle) = numbers(&router);
    let waits = thread::spawn(move || numbers.recv().wait().unwrap_err());
    handle.close();
    assert_eq!(waits.join().unwrap(), RecvError::Unsubscribed);
}

#[test]
fn a_subscriber_task_learns_of_its_close() {
    let router = Router::new();
    let (mut numbers, handle) = numbers(&router);
    let waker = Arc::default();
    let mut waits = Box::pin(numbers.recv());
    assert!(poll_once(waits.as_mut(), &waker).is_pending());
    let closing = thread::spawn(move || handle.close());
    closing.join().unwrap();
    assert_eq!(waker.wakes(), 1);
    let end = poll_once(waits.as_mut(), &waker);
    assert!(matches!(end, Poll::Ready(Err(RecvError::Unsubscribed))));
}

#[test]
fn a_closed_subscription_keeps_its_queue_and_gets_no_more() {
    let router = Router::new();
    let mut changes = router.subscribe::<Change>("**").unwrap();
    let mut beside = router.subscribe::<Number>("a").unwrap();
    let (mut numbers, handle) = numbers(&router);
    publish(&router, "a", 1);
    assert!(!handle.is_closed());
    handle.close();
    handle.clone().close();
    assert!(handle.is_closed());
    assert_eq!(counts(publish(&router, "a", 2)), (1, 1, 0));
    assert_eq!(
        router.subscriptions().len(),
        2,
        "changes, and the other one"
    );
    assert_eq!(drain(&mut numbers), ["1", "Unsubscribed"]);
    assert_eq!(
        block_on(numbers.recv()).unwrap_err(),
        RecvError::Unsubscribed
    );
    drop(numbers);
    assert_eq!(drain(&mut beside), ["1", "2"]);
    let mut kinds = Vec::new();
    while let Some(change) = changes.try_recv().unwrap() {
        kinds.push(change.kind());
    }
    let [subscribed, unsubscribed] = [ChangeKind::Subscribed, ChangeKind::Unsubscribed];
    assert_eq!(kinds, [subscribed, subscribed, unsubscribed]);
}

#[test]
fn iterators_and_streams_end_at_the_close() {
    let router = Router::new();
    let (mut numbers, handle) = self::numbers(&router);
    publish(&router, "a", 1);
    handle.close();
    let items: Vec<_> = numbers.iter().map(|item| item.unwrap().0).collect();
    assert_eq!(items, [1]);

    let (mut numbers, handle) = self::numbers(&router);
    publish(&router, "a", 1);
    handle.close();
    let items = block_on(
        numbers
            .stream()
            .map(|item| item.unwrap().0)
            .collect::<Vec<_>>(),
    );
    assert_eq!(items, [1]);
    assert!(numbers.is_terminated());
}

#[test]
fn a_waiting_publisher_goes_on_at_the_close() {
    let router = Router::new();
    let mut full = full_subscription(&router);
    let counting = Arc::default();
    let mut publisher = waiting_publisher(&router, 1, &counting);
    full.close_handle().close();
    assert_eq!(counting.wakes(), 1);
    let Poll::Ready(Ok(published)) = poll_once(publisher.as_mut(), &counting) else {
        panic!()
    };
    assert_eq!(counts(published), (0, 0, 0));
    assert_eq!(drain(&mut full), ["0", "Unsubscribed"]);
}

#[test]
fn the_first_end_of_a_subscription_counts() {
    let router = Router::new();
    let disconnects = options(1, WhenFull::Disconnect);
    let mut small = router.subscribe_with::<Number>("a", disconnects).unwrap();
    let handle = small.close_handle();
    publish(&router, "a", 1);
    publish(&router, "a", 2);
    assert!(handle.is_closed(), "disconnected");
    handle.close();
    assert_eq!(drain(&mut small), ["1", "[1]", "Disconnected"]);

    let (mut numbers, handle) = numbers(&router);
    handle.close();
    router.close();
    assert_eq!(drain(&mut numbers), ["Unsubscribed"]);
    drop(numbers);
    assert!(handle.is_closed());
    handle.close();
}

#[test]
fn a_handle_outlives_its_subscription() {
    let router = Router::new();
    let (numbers, handle) = numbers(&router);
    drop(numbers);
    assert!(handle.is_closed());
    drop(router);
    handle.close();
    assert_eq!(format!("{handle:?}"), "CloseHandle { is_closed: true }");
}
