//! Models of retained messages that are published and removed while a subscription begins.

use loom::thread;
use loom_tests::explore_fully;
use ump_router::{
    ReceivedAs::{self, Published, Removed, Retained},
    Router, SubscribeOptions, Subscription,
};

use super::{Number, Seen};

fn all(subscription: &mut Subscription<Number>) -> Vec<(u32, ReceivedAs)> {
    let next = || subscription.try_recv().unwrap();
    let all = std::iter::from_fn(next);
    all.map(|it| (it.0, it.received_as())).collect()
}

/// The values that a table retains at the end.
fn table(received: &[(u32, ReceivedAs)]) -> Option<u32> {
    let (number, received_as) = received.last()?;
    (*received_as != Removed).then_some(*number)
}

/// [bus 2: a retained message is published and removed in one step with telling the subscribers;
/// queue 1: the backlog comes first]
#[test]
fn a_table_of_retained_values_ends_as_the_router() {
    let (seen, add) = Seen::new();
    explore_fully(move || {
        let router = Router::new();
        let retain = |router: &Router, number| {
            let publish = router.publish("a", Number(number)).retain();
            publish.wait().unwrap();
        };
        retain(&router, 1);
        let publisher = {
            let router = router.clone();
            thread::spawn(move || retain(&router, 2))
        };
        let remover = {
            let router = router.clone();
            thread::spawn(move || {
                router.remove_retained::<Number>("a").unwrap().unwrap();
            })
        };
        let options = SubscribeOptions::new().removals(true);
        let mut subscription = router.subscribe_with("a", options).unwrap();
        publisher.join().unwrap();
        remover.join().unwrap();
        let received = all(&mut subscription);
        let mut retained = router.read_retained::<Number>("a").unwrap();
        assert_eq!(table(&received), retained.next().map(|it| it.0));
        add.add(received);
    });
    seen.exactly(&[
        vec![],
        vec![(2, Retained), (2, Removed)],
        vec![(1, Retained), (2, Published), (2, Removed)],
        vec![(1, Retained), (1, Removed), (2, Published)],
        vec![(2, Retained)],
        vec![(2, Published)],
    ]);
}

/// [bus 2: another member of a group receives nothing before the backlog]
#[test]
fn a_member_that_joins_receives_the_backlog_first() {
    let (seen, add) = Seen::new();
    explore_fully(move || {
        let router = Router::new();
        let join = |router: &Router| {
            let options = SubscribeOptions::new();
            router.subscribe_shared("group", "a", options).unwrap()
        };
        router.publish("a", Number(1)).retain().wait().unwrap();
        let other = {
            let router = router.clone();
            thread::spawn(move || {
                let mut other = join(&router);
                (all(&mut other), other)
            })
        };
        let mut one = join(&router);
        let (received, mut other) = other.join().unwrap();
        router.publish("a", Number(2)).wait().unwrap();
        let rest = all(&mut one);
        assert!(all(&mut other).is_empty());
        add.add((received, rest));
    });
    seen.exactly(&[(vec![(1, Retained)], vec![(2, Published)])]);
}
