//! A published message reaches each subscriber once and in order, or the subscriber gets the number
//! of missed messages.

use std::{
    collections::HashSet,
    error::Error as StdError,
    future::{Future, IntoFuture},
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::{Duration, Instant},
};

use futures_core::Stream;
use ump_router::{
    Bytes, Error, Message, ProtocolError, Publish, PublishFuture, Published, RecvError, Router,
    SubscribeOptions, Subscription, TopicErrorKind, WhenFull,
    ump::{Clock, ManualClock},
};

#[derive(Debug, PartialEq)]
struct Number(u64);

impl Message for Number {
    const PREFIX: &'static str = "number";
}

const LONG: Duration = Duration::from_secs(60);

fn block_on<F: Future>(future: F) -> F::Output {
    let clock = Clock::system();
    let until = clock.now() + LONG;
    clock.block_on(future, Some(until)).expect("in time")
}

/// Polls once with a waker that counts its calls.
fn poll_once<F: Future>(future: Pin<&mut F>, counting: &Arc<CountingWaker>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(&Waker::from(Arc::clone(counting))))
}

#[derive(Default)]
struct CountingWaker(AtomicUsize);

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl CountingWaker {
    fn rings(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn publish(router: &Router, topic: &str, number: u64) -> Published {
    router.publish(topic, Number(number)).wait().unwrap()
}

/// Returns a publisher that was polled once and waits for room on topic `a`.
fn in_line(
    router: &Router,
    number: u64,
    counting: &Arc<CountingWaker>,
) -> Pin<Box<PublishFuture<Number>>> {
    let mut publisher = Box::pin(router.publish("a", Number(number)).into_future());
    assert!(poll_once(publisher.as_mut(), counting).is_pending());
    publisher
}

/// Receives everything available: numbers, and gaps in brackets.
fn drain(subscription: &mut Subscription<Number>) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        match subscription.try_recv() {
            Ok(None) => return all,
            Ok(Some(message)) => all.push(message.0.to_string()),
            Err(RecvError::Missed(messages)) => all.push(format!("[{messages}]")),
            Err(end) => {
                all.push(format!("{end:?}"));
                return all;
            }
        }
    }
}

fn of(capacity: usize, when_full: WhenFull) -> SubscribeOptions {
    SubscribeOptions::new()
        .capacity(capacity)
        .when_full(when_full)
}

fn counts(published: Published) -> (usize, usize, usize) {
    (published.matched, published.queued, published.dropped)
}

#[test]
fn who_subscribes_receives_what_fits_and_nothing_else() {
    let router = Router::new();
    let mut lobby = router.subscribe::<Number>("lobby/*").unwrap();
    let mut alice = router.subscribe::<Number>("*/alice").unwrap();
    let mut all = router.subscribe::<Number>("**").unwrap();
    for (topic, number, matched) in [
        ("lobby/alice", 1, 3),
        ("lobby/bob", 2, 2),
        ("kitchen/alice", 3, 2),
        ("kitchen", 4, 1),
        ("*/alice", 5, 3),
        ("lobby/**", 6, 3),
        ("", 7, 1),
    ] {
        assert_eq!(
            counts(publish(&router, topic, number)),
            (matched, matched, 0),
            "{topic}"
        );
    }
    assert_eq!(drain(&mut lobby), ["1", "2", "5", "6"]);
    assert_eq!(drain(&mut alice), ["1", "3", "5", "6"]);
    assert_eq!(drain(&mut all), ["1", "2", "3", "4", "5", "6", "7"]);
}

#[test]
fn a_message_says_under_which_name_it_was_published() {
    let router = Router::new();
    let mut all = router.subscribe::<Number>("**").unwrap();
    publish(&router, "a/b", 1);
    publish(&router, "a/*", 2);
    assert_eq!(all.recv().wait().unwrap().topic().as_str(), "a/b");
    let message = all.recv().wait().unwrap();
    assert_eq!(message.topic().as_str(), "a/*");
    assert_eq!(format!("{message:?}"), "a/*: Number(2)");
}

#[test]
fn the_last_reference_owns_a_message() {
    let router = Router::new();
    let [mut one, mut other] = [(); 2].map(|()| router.subscribe::<Number>("a").unwrap());
    publish(&router, "a", 1);
    let (one, other) = (one.recv().wait().unwrap(), other.recv().wait().unwrap());
    let is_same = |one: &Number, other: &Number| std::ptr::eq(one, other);
    assert!(is_same(&one, &other));
    let one = one.into_inner().unwrap_err();
    drop(other);
    assert_eq!(one.into_inner().unwrap(), Number(1));
}

#[test]
fn a_message_without_subscribers_matches_none() {
    let router = Router::new();
    assert_eq!(counts(publish(&router, "a", 1)), (0, 0, 0));
    let mut late = router.subscribe::<Number>("a").unwrap();
    assert!(late.try_recv().unwrap().is_none());
}

#[test]
fn of_two_equal_subscriptions_each_is_one() {
    let router = Router::new();
    let one = router.subscribe::<Number>("a").unwrap();
    let mut other = router.subscribe::<Number>("a").unwrap();
    assert_eq!(publish(&router, "a", 1).queued, 2);
    drop(one);
    assert_eq!(publish(&router, "a", 2).queued, 1);
    assert_eq!(drain(&mut other), ["1", "2"]);
}

#[test]
fn types_are_kept_apart_by_their_prefixes() {
    struct Word(&'static str);
    impl Message for Word {
        const PREFIX: &'static str = "word";
    }
    let router = Router::new();
    let mut words = router.subscribe::<Word>("**").unwrap();
    let mut bytes = router.subscribe::<Bytes>("**").unwrap();
    publish(&router, "a", 1);
    router.publish("a", Word("b")).wait().unwrap();
    router
        .publish("number/a", Bytes::from(*b"raw"))
        .wait()
        .unwrap();
    assert_eq!(words.recv().wait().unwrap().0, "b");
    assert!(words.try_recv().unwrap().is_none());
    assert_eq!(
        format!("{:?}", bytes.recv().wait().unwrap()),
        r#"number/a: b"raw""#
    );
    assert!(bytes.try_recv().unwrap().is_none());
}

#[test]
fn an_overlapping_prefix_is_refused() {
    macro_rules! message {
        ($name:ident, $prefix:literal) => {
            struct $name;
            impl Message for $name {
                const PREFIX: &'static str = $prefix;
            }
        };
    }
    message!(Same, "number");
    message!(Inside, "number/of");
    message!(Beside, "numbers");
    message!(Empty, "");
    message!(Wild, "a/*");
    let router = Router::new();
    let _numbers = router.subscribe::<Number>("a").unwrap();
    let overlap = |error| match error {
        Error::Protocol(ProtocolError::Overlap {
            prefix,
            other_prefix,
            ..
        }) => (prefix, other_prefix),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        overlap(router.subscribe::<Same>("b").unwrap_err()),
        ("number", "number")
    );
    assert_eq!(
        overlap(router.subscribe::<Inside>("b").unwrap_err()),
        ("number/of", "number")
    );
    assert!(router.subscribe::<Beside>("b").is_ok());
    for error in [
        router.subscribe::<Empty>("b").unwrap_err(),
        router.subscribe::<Wild>("b").unwrap_err(),
    ] {
        assert!(
            matches!(error, Error::Protocol(ProtocolError::Prefix { .. })),
            "{error:?}"
        );
    }
    // The refused messages had no effect.
    let refused = router.publish("b", Same).wait().unwrap_err();
    assert!(matches!(refused.error, Error::Protocol(_)));
    assert_eq!(publish(&router, "a", 1).queued, 1);
}

#[test]
fn why_nothing_was_published_is_said_once() {
    let router = Router::new();
    router.close();
    let error = router.publish("a", Number(1)).wait().unwrap_err();
    assert_eq!(error.to_string(), "not published: the router was closed");
    assert!(error.source().is_none());
}

#[test]
fn an_invalid_pattern_is_an_error() {
    let router = Router::new();
    let mut all = router.subscribe::<Number>("**").unwrap();
    let refused = router.publish("a//b", Number(1)).wait().unwrap_err();
    assert_eq!(refused.message, Number(1), "it comes back");
    assert!(refused.to_string().contains("byte 2"), "{refused}");
    let Err(Error::Topic(error)) = router.subscribe::<Number>("a b") else {
        panic!()
    };
    assert_eq!(error.kind(), TopicErrorKind::Character(' '));
    let none = router.subscribe_with::<Number>("a", SubscribeOptions::new().capacity(0));
    assert_eq!(none.unwrap_err(), Error::ZeroCapacity);
    let long = vec!["a"; 64].join("/");
    assert!(
        router.subscribe::<Number>(&long).is_err(),
        "too long with the prefix"
    );
    assert_eq!(
        publish(&router, "a", 2).queued,
        1,
        "nobody else has suffered"
    );
    assert_eq!(drain(&mut all), ["2"]);
}

#[test]
fn the_oldest_makes_way_and_the_gap_is_where_it_was() {
    let router = Router::new();
    let mut slow = router
        .subscribe_with::<Number>("a", of(2, WhenFull::DropOldest))
        .unwrap();
    for number in 1..=5 {
        assert_eq!(counts(publish(&router, "a", number)), (1, 1, 0));
    }
    assert_eq!(drain(&mut slow), ["[3]", "4", "5"]);
    publish(&router, "a", 6);
    assert_eq!(drain(&mut slow), ["6"]);
}

#[test]
fn the_newest_is_dropped_and_the_gap_is_where_it_was() {
    let router = Router::new();
    let mut slow = router
        .subscribe_with::<Number>("a", of(2, WhenFull::DropNewest))
        .unwrap();
    for (number, dropped) in [(1, 0), (2, 0), (3, 1), (4, 1)] {
        assert_eq!(
            counts(publish(&router, "a", number)),
            (1, 1 - dropped, dropped)
        );
    }
    assert_eq!(slow.recv().wait().unwrap().0, 1);
    publish(&router, "a", 5);
    publish(&router, "a", 6);
    assert_eq!(drain(&mut slow), ["2", "[2]", "5", "[1]"]);
}

#[test]
fn a_zero_timeout_does_not_wait() {
    let clock = ManualClock::new();
    let router = Router::with_clock(clock.clock());
    let options = of(1, WhenFull::Block(Duration::ZERO));
    let mut slow = router.subscribe_with::<Number>("a", options).unwrap();
    publish(&router, "a", 1);
    assert_eq!(
        counts(publish(&router, "a", 2)),
        (1, 0, 1),
        "there is no time to wait"
    );
    assert_eq!(drain(&mut slow), ["1", "[1]"]);
}

#[test]
fn of_each_topic_only_the_latest_is_kept() {
    let router = Router::new();
    let mut slow = router
        .subscribe_with::<Number>("*", of(2, WhenFull::Latest))
        .unwrap();
    for (topic, number) in [("a", 1), ("b", 2), ("a", 3), ("a", 4)] {
        assert_eq!(counts(publish(&router, topic, number)), (1, 1, 0));
    }
    assert_eq!(slow.len(), 2);
    // A third topic: the message that has waited longest is lost.
    publish(&router, "c", 5);
    publish(&router, "b", 6);
    assert_eq!(drain(&mut slow), ["[4]", "6", "5"]);
    // The places of received messages are not used for new ones.
    publish(&router, "b", 7);
    publish(&router, "b", 8);
    publish(&router, "a", 9);
    assert_eq!(drain(&mut slow), ["[1]", "8", "9"]);
}

#[test]
fn a_slow_subscription_can_be_disconnected() {
    let router = Router::new();
    let mut slow = router
        .subscribe_with::<Number>("a", of(1, WhenFull::Disconnect))
        .unwrap();
    publish(&router, "a", 1);
    assert_eq!(counts(publish(&router, "a", 2)), (1, 0, 1));
    assert_eq!(
        counts(publish(&router, "a", 3)),
        (0, 0, 0),
        "it is no subscriber any more"
    );
    assert_eq!(drain(&mut slow), ["1", "[1]", "Disconnected"]);
    assert_eq!(
        slow.iter().next().unwrap().unwrap_err(),
        RecvError::Disconnected
    );
    assert!(slow.iter().next().is_none());
}

#[test]
fn a_publisher_waits_for_who_wants_to_be_waited_for() {
    let router = Router::new();
    let mut slow = router
        .subscribe_with::<Number>("a", of(1, WhenFull::Block(LONG)))
        .unwrap();
    let mut quick = router.subscribe::<Number>("a").unwrap();
    publish(&router, "a", 1);
    let counting = Arc::new(CountingWaker::default());
    let mut second = pin!(router.publish("a", Number(2)).into_future());
    assert!(poll_once(second.as_mut(), &counting).is_pending());
    assert_eq!(drain(&mut quick), ["1", "2"], "nobody else waits");
    assert_eq!(slow.recv().wait().unwrap().0, 1);
    assert_eq!(counting.rings(), 1);
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
        let forever = of(1, WhenFull::Block(Duration::MAX));
        let subscribe = || router.subscribe_with::<Number>("a", forever).unwrap();
        let (mut read, mut unread) = (subscribe(), subscribe());
        if !is_first_read {
            mem::swap(&mut read, &mut unread);
        }
        publish(&router, "a", 1);
        let counting = Arc::new(CountingWaker::default());
        let mut second = in_line(&router, 2, &counting);
        assert_eq!(read.recv().wait().unwrap().0, 1);
        assert_eq!(counting.rings(), 1);
        assert!(poll_once(second.as_mut(), &counting).is_pending());
        assert_eq!(drain(&mut read), ["2"]);
        drop(second);
        assert_eq!(drain(&mut read), [""; 0], "it missed nothing");
        assert_eq!(drain(&mut unread), ["1", "[1]"]);
    }
}

#[test]
fn a_blocking_publisher_goes_on_when_there_is_room() {
    let router = Router::new();
    let mut slow = router
        .subscribe_with::<Number>("a", of(1, WhenFull::Block(LONG)))
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
fn a_publisher_waits_no_longer_than_it_should() {
    let clock = ManualClock::new();
    let router = Router::with_clock(clock.clock());
    let hour = Duration::from_secs(3600);
    let mut slow = router
        .subscribe_with::<Number>("a", of(1, WhenFull::Block(hour)))
        .unwrap();
    publish(&router, "a", 1);
    let publisher = thread::spawn({
        let router = router.clone();
        move || publish(&router, "a", 2)
    });
    clock.wait_for_sleepers(1);
    clock.advance(hour);
    assert_eq!(counts(publisher.join().unwrap()), (1, 0, 1));
    publish_in_vain(&router);
    assert_eq!(drain(&mut slow), ["1", "[2]"]);
}

#[test]
fn a_publisher_waits_no_longer_than_it_wants_to() {
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
            .subscribe_with::<Number>("a", of(1, WhenFull::Block(wanted)))
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
    let mut slow = full(&router);
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
    let waiting = in_line(&router, 4, &counting);
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
    let _slow = full(&router);
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
fn publish_in_vain(router: &Router) {
    drop(in_line(router, 3, &Arc::default()));
}

#[test]
fn a_publisher_learns_that_who_it_waits_for_has_gone() {
    let router = Router::new();
    let slow = router
        .subscribe_with::<Number>("a", of(1, WhenFull::Block(LONG)))
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
    assert_eq!(counting.rings(), 1);
}

#[test]
fn nothing_is_missed_after_the_end() {
    let (router, counting) = (Router::new(), Arc::new(CountingWaker::default()));
    let mut slow = router
        .subscribe_with::<Number>("a", of(1, WhenFull::Block(LONG)))
        .unwrap();
    publish(&router, "a", 1);
    let late = in_line(&router, 2, &counting);
    router.close();
    assert_eq!(drain(&mut slow), ["1", "Closed"]);
    drop(late);
    assert_eq!(drain(&mut slow), ["Closed"]);
}

#[test]
fn of_publishers_that_wait_each_gets_the_room_of_one() {
    let router = Router::new();
    let mut slow = router
        .subscribe_with::<Number>("a", of(2, WhenFull::Block(LONG)))
        .unwrap();
    publish(&router, "a", 1);
    publish(&router, "a", 2);
    let countings = [(); 3].map(|()| Arc::new(CountingWaker::default()));
    let mut waiting: Vec<_> = countings
        .iter()
        .zip(3..)
        .map(|(counting, number)| in_line(&router, number, counting))
        .collect();
    slow.recv().wait().unwrap();
    slow.recv().wait().unwrap();
    assert_eq!(
        countings.each_ref().map(|counting| counting.rings()),
        [1, 1, 0]
    );
    // One publisher is dropped after it was woken.
    drop(waiting.remove(0));
    assert_eq!(drain(&mut slow), ["3", "4", "5"], "it was too late");
    for future in waiting {
        assert_eq!(block_on(future).unwrap().queued, 1);
    }
}

/// Subscribes with room for one message, for which publishers wait without a limit. The queue holds
/// a 0.
fn full(router: &Router) -> Subscription<Number> {
    let options = of(1, WhenFull::Block(Duration::MAX));
    let slow = router.subscribe_with::<Number>("a", options).unwrap();
    router.publish("a", Number(0)).retain().wait().unwrap();
    slow
}

#[test]
fn retained_messages_keep_their_order_when_blocked() {
    let (router, counting) = (Router::new(), Arc::new(CountingWaker::default()));
    let mut slow = full(&router);
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
        let mut slow = full(&router);
        let countings = [(); 2].map(|()| Arc::new(CountingWaker::default()));
        let one = in_line(&router, 1, &countings[0]);
        let two = in_line(&router, 2, &countings[1]);
        let _kept = if is_forgotten {
            mem::forget(one);
            None
        } else {
            Some(one)
        };
        assert_eq!(slow.recv().wait().unwrap().0, 0);
        assert_eq!(slow.recv().wait().unwrap().0, 1);
        assert_eq!(
            countings.each_ref().map(|counting| counting.rings()),
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
        let mut slow = full(&router);
        let mut waiting = [1, 2, 3].map(|number| Some(in_line(&router, number, &counting)));
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
    let mut slow = full(&router);
    let one = in_line(&router, 1, &counting);
    let two = in_line(&router, 2, &counting);
    drop(one);
    router.close();
    assert_eq!(counts(block_on(two).unwrap()), (0, 0, 0));
    assert_eq!(drain(&mut slow), ["0", "[1]", "Closed"]);
}

#[test]
fn a_message_admitted_before_the_end_is_queued() {
    let (router, counting) = (Router::new(), Arc::default());
    let mut slow = full(&router);
    let one = in_line(&router, 1, &counting);
    let two = in_line(&router, 2, &counting);
    assert_eq!(slow.recv().wait().unwrap().0, 0);
    router.close();
    assert_eq!(counts(block_on(one).unwrap()), (1, 1, 0));
    assert_eq!(counts(block_on(two).unwrap()), (0, 0, 0));
    assert_eq!(drain(&mut slow), ["1", "Closed"]);
}

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
    // The topic is too long with the prefix of its type.
    let long = vec!["a"; 64].join("/");
    assert!(router.publish(&long, Number(1)).retain().wait().is_err());
    let listed = router.retained();
    let mut topics: Vec<_> = listed.iter().map(|it| it.topic.as_str()).collect();
    topics.sort_unstable();
    assert_eq!(topics, ["number/a", "number/b"]);
    assert!(listed.iter().all(|it| it.type_name.ends_with("Number")));
}

#[test]
fn more_is_retained_than_there_is_room_for() {
    let router = Router::new();
    for (topic, number) in [("a", 1), ("b", 2), ("c", 3)] {
        router
            .publish(topic, Number(number))
            .retain()
            .wait()
            .unwrap();
    }
    let mut late = router
        .subscribe_with::<Number>("*", of(2, WhenFull::Block(LONG)))
        .unwrap();
    assert_eq!(drain(&mut late).last().unwrap(), "[1]");
}

#[test]
fn a_thread_that_waits_is_woken() {
    let router = Router::new();
    let mut numbers = router.subscribe::<Number>("a").unwrap();
    let receiver = thread::spawn(move || {
        let received: Vec<_> = numbers
            .iter()
            .take(2)
            .map(|number| number.unwrap().0)
            .collect();
        (received, numbers.recv().wait())
    });
    publish(&router, "a", 1);
    block_on(router.publish("a", Number(2)).into_future()).unwrap();
    router.close();
    let (received, end) = receiver.join().unwrap();
    assert_eq!(
        (received, end.unwrap_err()),
        (vec![1, 2], RecvError::Closed)
    );
}

#[test]
fn a_waiting_task_is_woken_once() {
    let router = Router::new();
    let mut numbers = pin!(router.subscribe::<Number>("a").unwrap());
    let counting = Arc::new(CountingWaker::default());
    let waker = Waker::from(Arc::clone(&counting));
    let mut cx = Context::from_waker(&waker);
    assert!(numbers.as_mut().poll_next(&mut cx).is_pending());
    publish(&router, "a", 1);
    publish(&router, "a", 2);
    assert_eq!(counting.rings(), 1);
    for number in [1, 2] {
        let Poll::Ready(Some(Ok(received))) = numbers.as_mut().poll_next(&mut cx) else {
            panic!()
        };
        assert_eq!(received.0, number);
    }
    assert!(numbers.as_mut().poll_next(&mut cx).is_pending());
    router.close();
    assert_eq!(counting.rings(), 2);
    assert!(matches!(
        numbers.as_mut().poll_next(&mut cx),
        Poll::Ready(None)
    ));
    assert!(matches!(
        numbers.as_mut().poll_next(&mut cx),
        Poll::Ready(None)
    ));
}

#[test]
fn a_receiver_waits_no_longer_than_it_wants() {
    let clock = ManualClock::new();
    let router = Router::with_clock(clock.clock());
    let mut numbers = router.subscribe::<Number>("a").unwrap();
    assert!(
        numbers
            .recv()
            .wait_timeout(Duration::ZERO)
            .unwrap()
            .is_none()
    );
    let receiver = thread::spawn(move || {
        let first = numbers
            .recv()
            .wait_timeout(LONG)
            .unwrap()
            .map(|number| number.0);
        (
            first,
            numbers
                .recv()
                .wait_timeout(LONG)
                .unwrap()
                .map(|number| number.0),
        )
    });
    clock.wait_for_sleepers(1);
    publish(&router, "a", 1);
    clock.wait_for_sleepers(1);
    // The receiver may be between its two waits.
    while !receiver.is_finished() {
        clock.advance(LONG);
        thread::yield_now();
    }
    assert_eq!(receiver.join().unwrap(), (Some(1), None));
}

#[test]
fn queued_messages_outlive_the_router() {
    let router = Router::new();
    let mut numbers = router.subscribe::<Number>("a").unwrap();
    publish(&router, "a", 1);
    drop(router);
    assert_eq!(drain(&mut numbers), ["1", "Closed"]);
}

#[test]
fn nothing_goes_over_a_closed_router() {
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

/// A message that panics when it is dropped.
#[derive(Debug)]
struct Bomb;

impl Message for Bomb {
    const PREFIX: &'static str = "bomb";
}

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

#[test]
fn a_panicking_drop_does_not_reach_the_publisher() {
    let router = Router::new();
    let options = of(1, WhenFull::DropOldest);
    let [mut one, mut other] =
        [(); 2].map(|()| router.subscribe_with::<Bomb>("a", options).unwrap());
    router.publish("a", Bomb).wait().unwrap();
    assert_eq!(router.publish("a", Bomb).wait().unwrap().queued, 2);
    for subscription in [&mut one, &mut other] {
        assert_eq!(subscription.try_recv().unwrap_err(), RecvError::Missed(1));
    }
    let second = one.try_recv().unwrap().unwrap();
    drop(other);
    assert!(
        catch_unwind(AssertUnwindSafe(|| drop(second))).is_err(),
        "it is that of who holds it last"
    );
}

#[test]
fn panicking_drops_do_not_prevent_close() {
    let router = Router::new();
    for topic in ["a", "b"] {
        router.publish(topic, Bomb).retain().wait().unwrap();
    }
    // Types are closed in no fixed order.
    let mut numbers = router.subscribe::<Number>("a").unwrap();
    let mut bytes = router.subscribe::<Bytes>("a").unwrap();
    router.close();
    assert_eq!(numbers.recv().wait().unwrap_err(), RecvError::Closed);
    assert_eq!(bytes.recv().wait().unwrap_err(), RecvError::Closed);
}

#[test]
fn a_panicking_waker_does_not_reach_the_publisher() {
    struct Broken;
    impl Wake for Broken {
        fn wake(self: Arc<Self>) {
            panic!("woken");
        }
    }
    let router = Router::new();
    let [mut one, mut other] = [(); 2].map(|()| router.subscribe::<Number>("a").unwrap());
    let (broken, counting) = (
        Waker::from(Arc::new(Broken)),
        Arc::new(CountingWaker::default()),
    );
    assert!(
        one.poll_recv(&mut Context::from_waker(&broken))
            .is_pending()
    );
    assert!(
        other
            .poll_recv(&mut Context::from_waker(&Waker::from(Arc::clone(
                &counting
            ))))
            .is_pending()
    );
    assert_eq!(publish(&router, "a", 1).queued, 2);
    assert_eq!(counting.rings(), 1);
}

#[test]
fn a_message_may_use_the_router_when_it_is_dropped() {
    struct Nested(Router);
    impl Message for Nested {
        const PREFIX: &'static str = "nested";
    }
    impl Drop for Nested {
        fn drop(&mut self) {
            self.0.publish("told", Number(1)).wait().unwrap();
            drop(self.0.subscribe::<Nested>("a").unwrap());
        }
    }
    let router = Router::new();
    let mut told = router.subscribe::<Number>("told").unwrap();
    let slow = router
        .subscribe_with::<Nested>("a", of(1, WhenFull::DropOldest))
        .unwrap();
    for _ in 0..2 {
        router.publish("a", Nested(router.clone())).wait().unwrap();
    }
    assert_eq!(drain(&mut told), ["1"]);
    drop(slow);
    assert_eq!(drain(&mut told), ["1"]);
    router.publish("a", Nested(router.clone())).wait().unwrap();
    assert_eq!(drain(&mut told), ["1"], "it reached nobody");
}

#[test]
fn each_publisher_is_heard_in_its_order_by_everybody() {
    const EACH: u64 = 2_000;
    let router = Router::new();
    let subscriptions: Vec<_> = (0..3)
        .map(|_| {
            router
                .subscribe_with::<Number>("**", of(64, WhenFull::Block(LONG)))
                .unwrap()
        })
        .collect();
    thread::scope(|scope| {
        for publisher in 0..3 {
            let router = router.clone();
            scope.spawn(move || {
                for number in 0..EACH {
                    let topic = format!("p{publisher}/{}", number % 3);
                    let published = publish(&router, &topic, publisher * EACH + number);
                    assert_eq!(counts(published), (3, 3, 0));
                }
            });
        }
        for mut subscription in subscriptions {
            scope.spawn(move || {
                let mut next = [0; 3];
                for received in subscription.iter().take(3 * usize::try_from(EACH).unwrap()) {
                    let number = received.unwrap().0;
                    let publisher = usize::try_from(number / EACH).unwrap();
                    assert_eq!(number % EACH, next[publisher]);
                    next[publisher] += 1;
                }
                assert_eq!(next, [EACH; 3]);
            });
        }
    });
}

#[test]
fn churning_subscribers_learn_of_every_gap() {
    const ALL: u64 = 3_000;
    let router = Router::new();
    thread::scope(|scope| {
        let router = &router;
        let publisher = scope.spawn(move || {
            for number in 0..ALL {
                router
                    .publish("a/b", Number(number))
                    .retain()
                    .wait()
                    .unwrap();
            }
        });
        scope.spawn(move || {
            let mut last = 0;
            while !publisher.is_finished() {
                let mut passing = router
                    .subscribe_with::<Number>("a/*", of(4, WhenFull::DropOldest))
                    .unwrap();
                let mut next = None;
                for _ in 0..8 {
                    match passing.try_recv() {
                        Ok(None) => {}
                        Ok(Some(received)) => {
                            assert!(
                                received.0 >= last,
                                "who comes late receives the last value first"
                            );
                            assert!(
                                next.is_none_or(|next| next == received.0),
                                "{next:?} {received:?}"
                            );
                            last = received.0;
                            next = Some(received.0 + 1);
                        }
                        Err(RecvError::Missed(missing)) => next = next.map(|next| next + missing),
                        Err(end) => panic!("{end}"),
                    }
                }
            }
        });
    });
    assert!(router.subscriptions().is_empty());
}
