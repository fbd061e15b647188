//! Models of publishers and subscribers that come, leave, and wait for a message or for room.

use std::future::IntoFuture;

use loom::thread;
use loom_tests::{
    Census, Counted,
    block_on::{nervously, quietly},
    explore_fully, poll_once,
};
use ump_router::{Message, Router, SubscribeOptions};

use super::{
    FOREVER, Got, Got::Gap, Number, SOME_TIME, Seen, blocking, counts, drain, full, numbers, one,
    publish,
};

/// [queue 2]
#[test]
fn a_thread_that_waits_for_a_message_is_woken() {
    explore_fully(|| {
        let router = Router::new();
        let mut subscription = router.subscribe("a").unwrap();
        let subscriber = thread::spawn(move || one(&mut subscription));
        assert_eq!(publish(&router, 1), (1, 1, 0));
        assert_eq!(subscriber.join().unwrap(), Got::Number(1));
    });
}

/// [queue 2: the subscriber checks again, also after a spurious wake-up]
#[test]
fn a_task_that_waits_for_a_message_is_woken() {
    explore_fully(|| {
        let router = Router::new();
        let mut subscription = router.subscribe::<Number>("a").unwrap();
        let subscriber = thread::spawn(move || nervously(subscription.recv()).unwrap().0);
        publish(&router, 1);
        assert_eq!(subscriber.join().unwrap(), 1);
    });
}

/// [queue 1: a gap is reported in its place]
#[test]
fn a_full_queue_makes_a_gap() {
    let (seen, add) = Seen::new();
    explore_fully(move || {
        let router = Router::new();
        let options = SubscribeOptions::new().capacity(1);
        let mut subscription = router.subscribe_with("a", options).unwrap();
        let publisher = {
            let router = router.clone();
            thread::spawn(move || [1, 2].map(|number| publish(&router, number)))
        };
        let mut got = vec![one(&mut subscription)];
        assert_eq!(publisher.join().unwrap(), [(1, 1, 0); 2]);
        got.extend(drain(&mut subscription));
        add.add(got);
    });
    seen.exactly(&[numbers([1, 2]), vec![Gap(1), Got::Number(2)]]);
}

/// [bus 1, 2: the retained message comes first, then every message published after it, none twice
/// and none left out]
#[test]
fn a_subscriber_receives_the_retained_and_all_later() {
    let (seen, add) = Seen::new();
    explore_fully(move || {
        let router = Router::new();
        router.publish("a", Number(0)).retain().wait().unwrap();
        let publisher = {
            let router = router.clone();
            thread::spawn(move || {
                let retained = router.publish("a", Number(1)).retain().wait().unwrap();
                [counts(retained), publish(&router, 2)].map(|(matched, ..)| matched)
            })
        };
        let mut subscription = router.subscribe("a").unwrap();
        let matched = publisher.join().unwrap();
        add.add((drain(&mut subscription), matched));
    });
    seen.exactly(&[
        (numbers([0, 1, 2]), [1, 1]),
        (numbers([1, 2]), [0, 1]),
        (numbers([1]), [0, 0]),
    ]);
}

/// [bus 2: all subscribers see retained messages in the same order, and the last one stays]
#[test]
fn the_last_retained_message_is_received_last() {
    let (seen, add) = Seen::new();
    explore_fully(move || {
        let router = Router::new();
        let mut early = router.subscribe("a").unwrap();
        let other = {
            let router = router.clone();
            thread::spawn(move || router.publish("a", Number(1)).retain().wait().unwrap())
        };
        router.publish("a", Number(2)).retain().wait().unwrap();
        other.join().unwrap();
        let mut late = router.subscribe("a").unwrap();
        let order = drain(&mut early);
        assert_eq!(drain(&mut late), order[1..]);
        add.add(order);
    });
    seen.exactly(&[numbers([1, 2]), numbers([2, 1])]);
}

struct Precious(#[expect(dead_code)] Counted);

impl Message for Precious {
    const PREFIX: &'static str = "precious";
}

/// [queue: Open, Dropped; bus 1]
#[test]
fn a_message_to_a_leaving_subscriber_is_dropped_once() {
    let (seen, add) = Seen::new();
    explore_fully(move || {
        let (router, census) = (Router::new(), Census::default());
        let subscription = router.subscribe::<Precious>("a").unwrap();
        let leaver = thread::spawn(move || drop(subscription));
        let message = Precious(census.born());
        let published = router.publish("a", message).wait().unwrap();
        leaver.join().unwrap();
        assert_eq!(census.alive(), 0);
        assert!(router.subscriptions().is_empty());
        add.add(counts(published));
    });
    seen.exactly(&[(0, 0, 0), (1, 1, 0)]);
}

/// [queue: full, lost; the message is counted as what became of it, while room is made]
#[test]
fn if_room_knows_whether_there_was_room() {
    let (seen, add) = Seen::new();
    explore_fully(move || {
        let (router, mut subscription) = full(FOREVER);
        let publisher = thread::spawn(move || {
            let publish = router.publish("a", Number(2)).if_room();
            (counts(publish.wait().unwrap()), router)
        });
        let mut got = vec![one(&mut subscription)];
        let (published, _router) = publisher.join().unwrap();
        got.extend(drain(&mut subscription));
        add.add((published, got));
    });
    seen.exactly(&[
        ((1, 1, 0), numbers([1, 2])),
        ((1, 0, 1), vec![Got::Number(1), Gap(1)]),
    ]);
}

/// [wait queue 1, 2]
#[test]
fn a_publisher_that_waits_is_woken_when_there_is_room() {
    explore_fully(|| {
        let (router, mut subscription) = full(FOREVER);
        let publisher = thread::spawn(move || publish(&router, 2));
        assert_eq!(one(&mut subscription), Got::Number(1));
        assert_eq!(one(&mut subscription), Got::Number(2));
        assert_eq!(publisher.join().unwrap(), (1, 1, 0));
    });
}

/// [queue 3: each received message makes room for one; wait queue 1]
#[test]
fn of_two_publishers_that_wait_each_gets_its_room() {
    explore_fully(|| {
        let router = Router::new();
        let options = blocking(FOREVER).capacity(2);
        let mut subscription = router.subscribe_with::<Number>("a", options).unwrap();
        assert_eq!(
            [1, 2].map(|number| publish(&router, number)),
            [(1, 1, 0); 2]
        );
        let publishers = [3, 4].map(|number| {
            let mut publisher = router.publish("a", Number(number)).into_future();
            assert!(poll_once(&mut publisher).is_pending());
            publisher
        });
        let both = thread::spawn(move || publishers.map(|one| counts(quietly(one).unwrap())));
        assert_eq!(
            [(); 2].map(|()| one(&mut subscription)),
            [1, 2].map(Got::Number)
        );
        assert_eq!(both.join().unwrap(), [(1, 1, 0); 2]);
        assert_eq!(drain(&mut subscription), numbers([3, 4]));
    });
}

/// [queue 3: new room belongs to the first waiter, not to a publisher that comes at that moment]
#[test]
fn no_message_overtakes_a_waiting_one() {
    explore_fully(|| {
        let (router, mut subscription) = full(FOREVER);
        let mut first = router.publish("a", Number(2)).into_future();
        assert!(poll_once(&mut first).is_pending());
        let publisher = {
            let router = router.clone();
            thread::spawn(move || publish(&router, 3))
        };
        let got = [(); 3].map(|()| one(&mut subscription));
        assert_eq!(got, [1, 2, 3].map(Got::Number));
        assert_eq!(publisher.join().unwrap(), (1, 1, 0));
        // The first publisher is polled only now.
        assert_eq!(counts(quietly(first).unwrap()), (1, 1, 0));
    });
}

/// [queue 4, wait queue: refused]
#[test]
fn a_waiting_publisher_learns_of_a_drop() {
    explore_fully(|| {
        let (router, subscription) = full(FOREVER);
        let publisher = thread::spawn(move || publish(&router, 2));
        drop(subscription);
        assert_eq!(publisher.join().unwrap(), (0, 0, 0));
    });
}

/// [wait queue 3]
#[test]
fn a_cancelled_wait_is_received_or_missed_in_place() {
    let (seen, add) = Seen::new();
    explore_fully(move || {
        let (router, mut subscription) = full(FOREVER);
        let [first, second] = [2, 3].map(|number| {
            let mut publisher = router.publish("a", Number(number)).into_future();
            assert!(poll_once(&mut publisher).is_pending());
            publisher
        });
        let first = thread::spawn(move || drop(first));
        let second = thread::spawn(move || counts(quietly(second).unwrap()));
        let got = [(); 3].map(|()| one(&mut subscription));
        first.join().unwrap();
        assert_eq!(second.join().unwrap(), (1, 1, 0));
        add.add(got);
    });
    let [one, two, three] = [1, 2, 3].map(Got::Number);
    seen.exactly(&[[one.clone(), two, three.clone()], [one, Gap(1), three]]);
}

/// [queue: the policy drops the message and notes a gap]
#[test]
fn a_message_whose_time_is_up_is_received_or_missed() {
    let (seen, add) = Seen::new();
    explore_fully(move || {
        let (router, mut subscription) = full(SOME_TIME);
        let publisher = thread::spawn(move || publish(&router, 2));
        let got = [(); 2].map(|()| one(&mut subscription));
        add.add((publisher.join().unwrap(), got));
    });
    let [one, two] = [1, 2].map(Got::Number);
    seen.exactly(&[((1, 1, 0), [one.clone(), two]), ((1, 0, 1), [one, Gap(1)])]);
}
