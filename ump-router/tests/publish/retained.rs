//! Retained messages.

use std::{collections::HashSet, sync::Arc};

use ump_router::{Error, ReceivedAs, Router, TopicErrorKind, WhenFull};

use crate::{
    LONG, Number, block_on,
    counting_waker::{CountingWaker, poll_once},
    drain, options, publish, waiting_publisher,
};

#[test]
fn a_late_subscriber_receives_the_retained_first() {
    let router = Router::new();
    for (topic, number) in [("a", 1), ("a", 2), ("b", 3)] {
        router
            .publish(topic, Number(number))
            .retain()
            .wait()
            .unwrap();
    }
    publish(&router, "a", 4);
    let mut late = router.subscribe::<Number>("a").unwrap();
    publish(&router, "a", 5);
    assert_eq!(drain(&mut late), ["2", "5"]);
    let mut all = router.subscribe::<Number>("*").unwrap();
    assert_eq!(
        drain(&mut all).into_iter().collect::<HashSet<_>>(),
        HashSet::from(["2".into(), "3".into()])
    );
    assert_eq!(router.remove_retained::<Number>("a").unwrap().unwrap().0, 2);
    assert!(router.remove_retained::<Number>("a").unwrap().is_none());
    let mut later = router.subscribe::<Number>("*").unwrap();
    assert_eq!(drain(&mut later), ["3"]);
    let refused = router.publish("*", Number(6)).retain().wait().unwrap_err();
    assert!(
        matches!(refused.error, Error::Topic(error) if error.kind() == TopicErrorKind::Wildcard)
    );
}

#[test]
fn retained_topics_are_listed_with_their_prefix() {
    let router = Router::new();
    for topic in ["a", "b", "a"] {
        router.publish(topic, Number(1)).retain().wait().unwrap();
    }
    // A name that is not valid is not retained.
    let long = vec!["a"; 65].join("/");
    assert!(router.publish(&long, Number(1)).retain().wait().is_err());
    let listed = router.retained();
    let mut topics: Vec<_> = listed.iter().map(|it| it.topic.as_str()).collect();
    topics.sort_unstable();
    assert_eq!(topics, ["number/a", "number/b"]);
    assert!(listed.iter().all(|it| it.type_name.ends_with("Number")));
}

#[test]
fn all_retained_are_received_however_small_the_queue() {
    let policies = [
        WhenFull::Block(LONG),
        WhenFull::DropOldest,
        WhenFull::DropNewest,
        WhenFull::Latest,
        WhenFull::Disconnect,
    ];
    for policy in policies {
        let router = Router::new();
        for number in 0..3000 {
            retain(&router, &number.to_string(), number);
        }
        let mut late = router
            .subscribe_with::<Number>("*", options(1, policy))
            .unwrap();
        publish(&router, "0", 3000);
        assert_eq!(late.len(), 3001);
        let status = &router.subscriptions()[0];
        assert_eq!((status.backlog, status.depth, status.missed), (3000, 1, 0));
        // By turns as a thread and as a task.
        for number in 0..=3000 {
            let message = if number % 2 == 0 {
                late.recv().wait().unwrap()
            } else {
                block_on(late.recv()).unwrap()
            };
            assert_eq!((message.0, message.is_retained()), (number, number < 3000));
        }
        assert!(late.try_recv().unwrap().is_none());
    }
}

#[test]
fn a_full_queue_behind_the_retained_makes_a_gap_in_its_place() {
    let router = Router::new();
    retain(&router, "a", 1);
    retain(&router, "b", 2);
    let mut late = router
        .subscribe_with::<Number>("*", options(1, WhenFull::DropOldest))
        .unwrap();
    for number in 3..6 {
        publish(&router, "a", number);
    }
    assert_eq!(drain(&mut late), ["1", "2", "[2]", "5"]);
}

#[test]
fn a_table_of_last_values_never_ends_with_a_retained_one() {
    let router = Router::new();
    for (topic, number) in [("a", 1), ("b", 2), ("c", 3)] {
        retain(&router, topic, number);
    }
    let mut latest = router
        .subscribe_with::<Number>("*", options(9, WhenFull::Latest))
        .unwrap();
    publish(&router, "a", 4);
    retain(&router, "b", 5);
    publish(&router, "a", 6);
    assert_eq!(drain(&mut latest), ["1", "2", "3", "[1]", "6", "5"]);
}

#[test]
fn a_receiver_of_the_retained_makes_no_room() {
    let router = Router::new();
    retain(&router, "a", 1);
    let mut slow = router
        .subscribe_with::<Number>("a", options(1, WhenFull::Block(LONG)))
        .unwrap();
    publish(&router, "a", 2);
    let counting = Arc::new(CountingWaker::default());
    let mut publisher = waiting_publisher(&router, 3, &counting);
    assert_eq!(slow.recv().wait().unwrap().0, 1);
    assert!(poll_once(publisher.as_mut(), &counting).is_pending());
    assert_eq!(slow.recv().wait().unwrap().0, 2);
    assert!(poll_once(publisher.as_mut(), &counting).is_ready());
    assert_eq!(drain(&mut slow), ["3"]);
}

#[test]
fn the_retained_outlive_the_router_and_the_handle() {
    for by_handle in [true, false] {
        let router = Router::new();
        retain(&router, "a", 1);
        retain(&router, "b", 2);
        let mut late = router.subscribe::<Number>("*").unwrap();
        if by_handle {
            late.close_handle().close();
        } else {
            router.close();
        }
        let end = if by_handle { "Unsubscribed" } else { "Closed" };
        assert_eq!(drain(&mut late), ["1", "2", end]);
    }
}

#[test]
fn a_later_message_that_is_not_retained_leaves_the_retained_one() {
    let router = Router::new();
    retain(&router, "a", 1);
    publish(&router, "a", 2);
    let mut late = router.subscribe::<Number>("a").unwrap();
    assert_eq!(drain(&mut late), ["1"]);
    let read = router.read_retained::<Number>("a").unwrap().next().unwrap();
    assert_eq!((read.0, read.received_as()), (1, ReceivedAs::Retained));
}

#[test]
fn pages_contain_each_message_once() {
    let router = Router::new();
    for number in 0..2000 {
        retain(&router, &format!("{}/{number}", number % 2), number);
    }
    let mut reader = router.read_retained::<Number>("1/*").unwrap();
    let mut all: Vec<_> = reader.by_ref().take(7).map(|it| it.0).collect();
    // While it reads, a message that it has read is replaced, one before it is removed, and one
    // that it has not read is replaced.
    retain(&router, "1/1", 2000);
    router.remove_retained::<Number>("1/3").unwrap().unwrap();
    retain(&router, "1/1999", 2001);
    loop {
        let position = reader.position();
        reader = router.read_retained("1/*").unwrap().after(position);
        let before = all.len();
        all.extend(reader.by_ref().take(7).map(|it| it.0));
        if all.len() == before {
            break;
        }
    }
    let expected = (1..1999).step_by(2).chain([2000, 2001]);
    assert!(all.into_iter().eq(expected));
    assert!(reader.next().is_none());
    retain(&router, "1/1", 2002);
    assert_eq!(reader.next().unwrap().0, 2002);
}

#[test]
fn what_is_replaced_often_is_read_once() {
    let router = Router::new();
    for number in 0..10_000 {
        retain(&router, &(number % 3).to_string(), number);
    }
    let reader = router.read_retained::<Number>("*").unwrap();
    assert_eq!(
        reader.map(|it| it.0).collect::<Vec<_>>(),
        [9997, 9998, 9999]
    );
}

#[test]
fn messages_are_removed_by_pattern() {
    let router = Router::new();
    for (topic, number) in [("a/x", 1), ("b", 2), ("a/y", 3), ("a", 4), ("a/x", 5)] {
        retain(&router, topic, number);
    }
    let removed = router.remove_all_retained::<Number>("a/*").unwrap();
    let removed: Vec<_> = removed.iter().map(|it| (it.0, it.received_as())).collect();
    assert_eq!(
        removed,
        [(3, ReceivedAs::Removed), (5, ReceivedAs::Removed)]
    );
    assert!(
        router
            .remove_all_retained::<Number>("a/*")
            .unwrap()
            .is_empty()
    );
    let mut late = router.subscribe::<Number>("**").unwrap();
    assert_eq!(drain(&mut late), ["2", "4"]);
    router.close();
    assert_eq!(
        router.remove_all_retained::<Number>("a/*").unwrap_err(),
        Error::Closed
    );
    assert_eq!(
        router.read_retained::<Number>("a/*").unwrap_err(),
        Error::Closed
    );
}

fn retain(router: &Router, topic: &str, number: u64) {
    let published = router.publish(topic, Number(number)).retain().wait();
    published.unwrap();
}
