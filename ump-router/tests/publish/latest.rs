//! The policy `Latest`: a subscriber that keeps a table of last values ends with the last ones.

use std::{collections::BTreeMap, thread};

use ump_router::{Pattern, RecvError, Router, Subscription, Topic, WhenFull};

use crate::{Number, block_on, drain, options, publish};

fn latest(router: &Router, capacity: usize) -> Subscription<Number> {
    let latest = options(capacity, WhenFull::Latest);
    router.subscribe_with::<Number>("**", latest).unwrap()
}

#[test]
fn a_later_value_comes_after_a_pattern_that_covers_it() {
    let router = Router::new();
    let mut latest = latest(&router, 9);
    publish(&router, "eth/eur", 1);
    publish(&router, "btc/usd", 2);
    publish(&router, "*/eur", 3);
    publish(&router, "eth/eur", 4);
    publish(&router, "btc/usd", 5);
    assert_eq!(latest.len(), 3);
    assert_eq!(drain(&mut latest), ["[2]", "5", "3", "4"]);
}

#[test]
fn a_pattern_comes_after_the_values_that_it_covers() {
    let router = Router::new();
    let mut latest = latest(&router, 9);
    publish(&router, "*/eur", 1);
    publish(&router, "*/eur", 2);
    publish(&router, "eth/eur", 3);
    publish(&router, "*/eur", 4);
    publish(&router, "a", 5);
    assert_eq!(drain(&mut latest), ["[2]", "3", "4", "5"]);
}

#[test]
fn a_value_that_no_pattern_covers_keeps_its_place() {
    let router = Router::new();
    let mut latest = latest(&router, 9);
    publish(&router, "hot", 0);
    publish(&router, "other", 1);
    publish(&router, "*/eur", 2);
    for number in 3..100 {
        publish(&router, "hot", number);
    }
    assert_eq!(drain(&mut latest), ["[97]", "99", "1", "2"]);
}

#[test]
fn values_that_move_take_no_room() {
    let router = Router::new();
    let mut latest = latest(&router, 4);
    publish(&router, "first", 0);
    for number in 0..1000 {
        publish(&router, "a", 2 * number);
        publish(&router, "*", 2 * number + 1);
        assert!(latest.len() <= 3);
    }
    publish(&router, "b", 5000);
    assert_eq!(drain(&mut latest), ["0", "[1998]", "1998", "1999", "5000"]);
}

/// A table of last values, by a number of topics.
fn table(messages: impl IntoIterator<Item = (Pattern, u64)>) -> BTreeMap<Topic, u64> {
    let topics = ["a", "b", "a/a", "a/b", "b/a", "b/b"];
    let topics = topics.map(|topic| topic.parse::<Topic>().unwrap());
    let mut table = BTreeMap::new();
    for (pattern, number) in messages {
        let covered = topics.iter().filter(|topic| pattern.matches(topic));
        table.extend(covered.map(|topic| (topic.clone(), number)));
    }
    table
}

#[test]
fn a_table_ends_with_the_last_values() {
    let names = [
        "a", "b", "a/a", "a/b", "b/b", "*/a", "a/*", "**", "*", "b/**",
    ];
    let mut random = 1_u64;
    let mut next = |of: usize| {
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        usize::try_from(random >> 33).unwrap() % of
    };
    for _ in 0..200 {
        let router = Router::new();
        let mut latest = latest(&router, names.len());
        let (mut all, mut received) = (Vec::new(), Vec::new());
        for number in 0..40 {
            let name = names[next(names.len())];
            publish(&router, name, number);
            all.push((name.parse().unwrap(), number));
            if next(4) > 0 {
                continue;
            }
            // By turns as a thread and as a task.
            let message = if next(2) == 0 {
                latest.recv().wait()
            } else {
                block_on(latest.recv())
            };
            received.extend(message.map(|message| (message.topic().clone(), message.0)));
        }
        loop {
            match latest.try_recv() {
                Ok(Some(message)) => received.push((message.topic().clone(), message.0)),
                Err(RecvError::Missed(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
        assert_eq!(table(received.clone()), table(all), "{received:?}");
    }
}

#[test]
fn early_and_late_subscribers_receive_retained_messages_in_one_order() {
    let router = Router::new();
    let mut early = router.subscribe::<Number>("**").unwrap();
    let topics = ["b", "a", "c/d", "c", "z", "a/b", "b", "c"];
    for (topic, number) in topics.into_iter().zip(0..) {
        let publish = router.publish(topic, Number(number)).retain();
        if number % 2 == 0 {
            publish.wait().unwrap();
        } else {
            block_on(async { publish.await }).unwrap();
        }
    }
    assert_eq!(drain(&mut early), ["0", "1", "2", "3", "4", "5", "6", "7"]);
    let late = thread::spawn(move || {
        let mut late = router.subscribe::<Number>("**").unwrap();
        drain(&mut late)
    });
    assert_eq!(late.join().unwrap(), ["1", "2", "4", "5", "6", "7"]);
}
