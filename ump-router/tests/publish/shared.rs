//! Shared subscriptions: each message reaches one member of the group.

use std::{
    collections::BTreeSet,
    pin::Pin,
    sync::{Arc, Barrier, mpsc},
    task::{Context, Poll, Waker},
    thread,
};

use ump_router::{
    Change, ChangeKind, CloseHandle, Error, Message, RecvError, Router, SubscribeOptions,
    Subscription, WhenFull,
};

use crate::{LONG, Number, block_on, counting_waker::poll_once, counts, drain, options, publish};

fn join(router: &Router) -> Subscription<Number> {
    let options = SubscribeOptions::new();
    router.subscribe_shared("workers", "a", options).unwrap()
}

fn members<const N: usize>(router: &Router) -> [Subscription<Number>; N] {
    [(); N].map(|()| join(router))
}

#[test]
fn each_message_reaches_one_member() {
    let router = Router::new();
    let mut changes = router.subscribe::<Change>("**").unwrap();
    let [mut one, mut other] = members(&router);
    let mut all = router.subscribe::<Number>("**").unwrap();
    for number in 1..=4 {
        assert_eq!(counts(publish(&router, "a", number)), (2, 2, 0));
    }
    assert_eq!(one.recv().wait().unwrap().0, 1);
    assert_eq!(block_on(other.recv()).unwrap().0, 2);
    assert_eq!(other.len(), 2);
    assert_eq!(drain(&mut one), ["3", "4"]);
    assert_eq!(drain(&mut other), [""; 0]);
    assert_eq!(drain(&mut all), ["1", "2", "3", "4"]);
    let listed = router.subscriptions();
    let group = listed.iter().find(|status| status.group.is_some()).unwrap();
    assert_eq!(group.group.as_ref().unwrap(), "workers");
    assert_eq!((group.members, group.queued), (2, 4));
    drop(one);
    publish(&router, "a", 5);
    assert_eq!(drain(&mut other), ["5"]);
    drop(other);
    assert_eq!(publish(&router, "a", 6).matched, 1);
    let mut kinds = Vec::new();
    while let Some(change) = changes.try_recv().unwrap() {
        kinds.push(change.kind());
    }
    let [subscribed, unsubscribed] = [ChangeKind::Subscribed, ChangeKind::Unsubscribed];
    assert_eq!(
        kinds,
        [subscribed, subscribed, unsubscribed],
        "the group is one"
    );
}

#[test]
fn a_member_that_leaves_takes_no_message_with_it() {
    let router = Router::new();
    let [mut one, mut other, third] = members(&router);
    for number in 1..=4 {
        publish(&router, "a", number);
    }
    let received = one.recv().wait().unwrap();
    drop(one);
    assert_eq!(received.0, 1, "a received message is its own");
    assert_eq!(other.recv().wait().unwrap().0, 2);
    let handle = other.close_handle();
    handle.close();
    handle.close();
    assert!(handle.is_closed() && !third.close_handle().is_closed());
    assert_eq!(drain(&mut other), ["Unsubscribed"]);
    drop(other);
    // The last member that is closed receives what is queued.
    let mut third = third;
    third.close_handle().close();
    assert_eq!(publish(&router, "a", 5).matched, 0);
    assert_eq!(drain(&mut third), ["3", "4", "Unsubscribed"]);
    // The name is free again.
    let mut next = join(&router);
    publish(&router, "a", 6);
    assert_eq!(drain(&mut next), ["6"]);
}

#[test]
fn what_is_queued_is_dropped_with_the_last_member() {
    let router = Router::new();
    let [one, other] = members(&router);
    publish(&router, "a", 1);
    drop((one, other));
    assert_eq!(drain(&mut join(&router)), [""; 0]);
}

/// A message that counts the live ones.
struct Counted(#[expect(dead_code)] Arc<()>);

impl Message for Counted {
    const PREFIX: &'static str = "counted";
}

#[test]
fn the_queue_of_the_last_member_is_dropped_with_it() {
    let router = Router::new();
    let join = || {
        let options = SubscribeOptions::new();
        router
            .subscribe_shared::<Counted>("w", "a", options)
            .unwrap()
    };
    let alive = Arc::new(());
    let [one, last] = [join(), join()];
    for _ in 0..2 {
        let message = Counted(Arc::clone(&alive));
        router.publish("a", message).wait().unwrap();
    }
    one.close_handle().close();
    last.close_handle().close();
    assert_eq!(Arc::strong_count(&alive), 3, "the last one can receive");
    drop(last);
    assert_eq!(Arc::strong_count(&alive), 1, "the other one cannot");
    drop(one);
}

#[test]
fn a_handle_knows_of_a_member_that_was_dropped() {
    let router = Router::new();
    let [one, other, third] = members(&router);
    let handles = [&one, &other, &third].map(Subscription::close_handle);
    let closed = || handles.each_ref().map(CloseHandle::is_closed);
    assert_eq!(closed(), [false; 3]);
    drop(one);
    handles[1].close();
    assert_eq!(closed(), [true, true, false]);
    drop(other);
    handles[0].close();
    assert_eq!(closed(), [true, true, false]);
    assert_eq!(publish(&router, "a", 1).queued, 1);
    drop(router);
    assert_eq!(closed(), [true; 3]);
    drop(third);
}

#[test]
fn a_thread_and_a_task_are_closed_while_they_wait() {
    let router = Router::new();
    let [mut one, mut other, mut third] = members(&router);
    let handles = [&one, &other].map(Subscription::close_handle);
    let waits = thread::spawn(move || one.recv().wait().unwrap_err());
    let waker = Arc::default();
    let mut task = Box::pin(other.recv());
    assert!(poll_once(task.as_mut(), &waker).is_pending());
    for handle in &handles {
        handle.close();
    }
    assert_eq!(waits.join().unwrap(), RecvError::Unsubscribed);
    assert_eq!(waker.wakes(), 1);
    let end = poll_once(task.as_mut(), &waker);
    assert!(matches!(end, Poll::Ready(Err(RecvError::Unsubscribed))));
    drop(task);
    publish(&router, "a", 1);
    assert_eq!(third.recv().wait().unwrap().0, 1);
}

#[test]
fn a_member_that_is_closed_after_its_wake_up_passes_it_on() {
    let router = Router::new();
    let [mut one, mut other] = members(&router);
    let handle = one.close_handle();
    let wakers = [Arc::default(), Arc::default()];
    let mut first = Box::pin(one.recv());
    let mut second = Box::pin(other.recv());
    assert!(poll_once(first.as_mut(), &wakers[0]).is_pending());
    assert!(poll_once(second.as_mut(), &wakers[1]).is_pending());
    publish(&router, "a", 1);
    handle.close();
    let end = poll_once(first.as_mut(), &wakers[0]);
    assert!(matches!(end, Poll::Ready(Err(RecvError::Unsubscribed))));
    assert_eq!(wakers[1].wakes(), 1);
    assert!(poll_once(second.as_mut(), &wakers[1]).is_ready());
}

#[test]
fn a_message_wakes_one_waiting_member() {
    let router = Router::new();
    let [mut one, mut other] = members(&router);
    let wakers = [Arc::default(), Arc::default()];
    let mut first = Box::pin(one.recv());
    let mut second = Box::pin(other.recv());
    assert!(poll_once(first.as_mut(), &wakers[0]).is_pending());
    assert!(poll_once(second.as_mut(), &wakers[1]).is_pending());
    publish(&router, "a", 1);
    assert_eq!([&wakers[0], &wakers[1]].map(|waker| waker.wakes()), [1, 0]);
    publish(&router, "a", 2);
    assert_eq!([&wakers[0], &wakers[1]].map(|waker| waker.wakes()), [1, 1]);
    let received = poll_once(second.as_mut(), &wakers[1]);
    assert!(matches!(received, Poll::Ready(Ok(number)) if number.0 == 1));
    let received = poll_once(first.as_mut(), &wakers[0]);
    assert!(matches!(received, Poll::Ready(Ok(number)) if number.0 == 2));
}

#[test]
fn a_member_that_stops_waiting_passes_its_wake_up_on() {
    let router = Router::new();
    let [mut one, mut other] = members(&router);
    let wakers = [Arc::default(), Arc::default()];
    let mut first = Box::pin(one.recv());
    let mut second = Box::pin(other.recv());
    assert!(poll_once(first.as_mut(), &wakers[0]).is_pending());
    assert!(poll_once(second.as_mut(), &wakers[1]).is_pending());
    publish(&router, "a", 1);
    drop(first);
    assert_eq!(wakers[1].wakes(), 1);
    assert!(poll_once(second.as_mut(), &wakers[1]).is_ready());
    drop(second);

    // A thread whose time is over leaves no waker behind that a message could wake in vain.
    assert!(
        one.recv()
            .wait_timeout(std::time::Duration::from_millis(1))
            .unwrap()
            .is_none()
    );
    let mut second = Box::pin(other.recv());
    assert!(poll_once(second.as_mut(), &wakers[1]).is_pending());
    publish(&router, "a", 2);
    assert_eq!(wakers[1].wakes(), 2);
}

#[test]
fn members_that_are_polled_by_hand_are_all_woken() {
    let router = Router::new();
    let [mut one, mut other, mut third] = members(&router);
    let wakers = [Arc::default(), Arc::default(), Arc::default()];
    for (member, waker) in [&mut one, &mut other].into_iter().zip(&wakers) {
        let waker = Waker::from(Arc::clone(waker));
        assert!(
            member
                .poll_recv(&mut Context::from_waker(&waker))
                .is_pending()
        );
    }
    let mut waits = Box::pin(third.recv());
    assert!(poll_once(waits.as_mut(), &wakers[2]).is_pending());
    publish(&router, "a", 1);
    assert_eq!(wakers.each_ref().map(|waker| waker.wakes()), [1; 3]);
    assert!(poll_once(waits.as_mut(), &wakers[2]).is_ready());
    let one = Pin::new(&mut one);
    let waker = Waker::from(Arc::clone(&wakers[0]));
    let next = futures_util::Stream::poll_next(one, &mut Context::from_waker(&waker));
    assert!(next.is_pending());
}

#[test]
fn a_gap_is_told_to_one_member() {
    let router = Router::new();
    let options = options(2, WhenFull::DropOldest);
    let join = || {
        router
            .subscribe_shared::<Number>("workers", "a", options)
            .unwrap()
    };
    let (mut one, mut other) = (join(), join());
    for number in 1..=5 {
        publish(&router, "a", number);
    }
    assert_eq!(one.try_recv().unwrap_err(), RecvError::Missed(3));
    assert_eq!(other.try_recv().unwrap().unwrap().0, 4);
    assert_eq!(one.try_recv().unwrap().unwrap().0, 5);
}

#[test]
fn retained_messages_come_once_to_a_group() {
    let router = Router::new();
    router.publish("a", Number(1)).retain().wait().unwrap();
    let [mut one, mut other] = members(&router);
    assert_eq!(drain(&mut other), ["1"]);
    assert_eq!(drain(&mut one), [""; 0]);
}

#[test]
fn members_need_the_same_patterns_and_options() {
    let router = Router::new();
    let share = |group: &str, patterns: &[&str], options| {
        router
            .subscribe_shared::<Number>(group, patterns, options)
            .map(drop)
    };
    let options = SubscribeOptions::new();
    let _first = router
        .subscribe_shared::<Number>("w", ["a", "b"], options)
        .unwrap();
    assert_eq!(share("w", &["b", "a", "a"], options), Ok(()));
    let differs = Error::GroupDiffers("w".parse().unwrap());
    assert_eq!(share("w", &["a"], options), Err(differs.clone()));
    assert_eq!(share("w", &["a", "b"], options.capacity(7)), Err(differs));
    assert_eq!(share("other", &["a"], options), Ok(()));
    assert!(matches!(
        share("w/*", &["a"], options),
        Err(Error::Topic(_))
    ));
    assert_eq!(share("w", &[], options), Err(Error::NoPattern));
    router.close();
    assert_eq!(share("w", &["a", "b"], options), Err(Error::Closed));
}

#[test]
fn a_group_that_was_disconnected_begins_anew() {
    let router = Router::new();
    let options = options(1, WhenFull::Disconnect);
    let join = || {
        router
            .subscribe_shared::<Number>("w", "a", options)
            .unwrap()
    };
    let (mut one, other) = (join(), join());
    publish(&router, "a", 1);
    publish(&router, "a", 2);
    let mut new = join();
    publish(&router, "a", 3);
    assert_eq!(drain(&mut new), ["3"]);
    drop(other);
    assert_eq!(drain(&mut one), ["1", "[1]", "Disconnected"]);
    drop(one);
    publish(&router, "a", 4);
    assert_eq!(drain(&mut new), ["4"]);
}

#[test]
fn threads_and_tasks_share_the_work() {
    const MESSAGES: u64 = 3000;
    let router = Router::new();
    let (sender, receiver) = mpsc::channel();
    let begin = Arc::new(Barrier::new(5));
    let options = SubscribeOptions::new()
        .when_full(WhenFull::Block(LONG))
        .capacity(8);
    for nth in 0..4 {
        let mut jobs = router
            .subscribe_shared::<Number>("w", "*", options)
            .unwrap();
        let (sender, begin) = (sender.clone(), Arc::clone(&begin));
        thread::spawn(move || {
            begin.wait();
            // Two threads and two tasks.
            loop {
                let next = if nth < 2 {
                    jobs.recv().wait()
                } else {
                    block_on(jobs.recv())
                };
                match next {
                    Ok(number) => sender.send(number.0).unwrap(),
                    Err(end) => return assert_eq!(end, RecvError::Closed),
                }
            }
        });
    }
    drop(sender);
    begin.wait();
    for number in 0..MESSAGES {
        assert_eq!(counts(publish(&router, "job", number)), (1, 1, 0));
    }
    router.close();
    let received: Vec<u64> = receiver.iter().collect();
    assert_eq!(received.len() as u64, MESSAGES, "each once");
    assert_eq!(
        received.into_iter().collect::<BTreeSet<_>>().len() as u64,
        MESSAGES
    );
}
