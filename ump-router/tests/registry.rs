//! The lists of a router, and the announced changes.

use ump_router::{
    Bytes, Change, ChangeKind, Message, RecvError, RequestMessage, Router, ServeOptions,
    SubscribeOptions, Subscription, WhenFull,
};

struct Number(u64);

impl Message for Number {
    const PREFIX: &'static str = "number";
}

struct Double;

impl RequestMessage for Double {
    type Reply = ();
    type Error = ();
    const PREFIX: &'static str = "number/double";
}

/// Encodes each change: `+` and `-` for subscriptions, `S` and `s` for servers, `B` and `b` for
/// standbys.
fn encode_changes(changes: &mut Subscription<Change>) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(change) = changes.try_recv().unwrap() {
        let sign = match change.kind() {
            ChangeKind::Subscribed => '+',
            ChangeKind::Unsubscribed => '-',
            ChangeKind::Served => 'S',
            ChangeKind::Unserved => 's',
            ChangeKind::StandsBy => 'B',
            ChangeKind::StandsDown => 'b',
            _ => '?',
        };
        all.push(format!("{sign}{}", change.topic()));
    }
    all
}

#[test]
fn subscriptions_are_listed_with_their_counters() {
    let router = Router::new();
    let options = SubscribeOptions::new()
        .capacity(2)
        .when_full(WhenFull::DropNewest);
    let mut slow = router.subscribe_with::<Number>("a/*", options).unwrap();
    let _bytes = router.subscribe::<Bytes>("**").unwrap();
    for number in 1..=4 {
        router.publish("a/b", Number(number)).wait().unwrap();
    }
    assert_eq!(slow.recv().wait().unwrap().0, 1);
    let mut list = router.subscriptions();
    list.sort_by_key(|status| status.patterns[0].to_string());
    let [raw, status] = &list[..] else {
        panic!("{list:?}")
    };
    assert_eq!(
        (raw.patterns[0].as_str(), raw.depth, raw.queued),
        ("**", 0, 0)
    );
    assert_eq!(
        (status.patterns[0].as_str(), status.capacity),
        ("number/a/*", 2)
    );
    assert_eq!((status.depth, status.queued, status.missed), (1, 2, 2));
    assert_eq!(status.when_full, WhenFull::DropNewest);
    assert!(status.type_name.ends_with("Number"));
    drop(slow);
    assert_eq!(router.subscriptions().len(), 1);
}

#[test]
fn servers_are_listed_in_order_with_their_counters() {
    let router = Router::new();
    let _first = router
        .serve_with::<Double>("a", ServeOptions::new().capacity(4))
        .unwrap();
    let second = router
        .serve_with::<Double>("a", ServeOptions::new().standby())
        .unwrap();
    let waits = router.request("a", Double).if_room();
    let mut waits = Box::pin(std::future::IntoFuture::into_future(waits));
    let waker = std::task::Waker::noop();
    let mut cx = std::task::Context::from_waker(waker);
    assert!(std::future::Future::poll(waits.as_mut(), &mut cx).is_pending());
    let list = router.servers();
    let [serving, standby] = &list[..] else {
        panic!("{list:?}")
    };
    assert_eq!(
        (serving.topic.as_str(), serving.is_standby, serving.capacity),
        ("number/double/a", false, Some(4))
    );
    assert_eq!((serving.requests.accepted, serving.requests.queued), (1, 1));
    assert_eq!((standby.is_standby, standby.capacity), (true, None));
    drop(second);
    assert_eq!(router.servers().len(), 1);
}

#[test]
fn changes_are_received_in_order() {
    let router = Router::new();
    let mut all = router.subscribe::<Change>("**").unwrap();
    let mut servers = router.subscribe::<Change>("number/double/**").unwrap();
    let numbers = router.subscribe::<Number>("a/*").unwrap();
    let first = router.serve::<Double>("").unwrap();
    let [second, third] = [(); 2].map(|()| {
        router
            .serve_with::<Double>("", ServeOptions::new().standby())
            .unwrap()
    });
    drop(second);
    drop(first);
    drop(third);
    drop(numbers);
    let double = ["S", "B", "B", "b", "s", "S", "s"].map(|sign| format!("{sign}number/double"));
    assert_eq!(encode_changes(&mut servers), double);
    let mut expected = vec!["+number/a/*".to_owned()];
    expected.extend(double);
    expected.push("-number/a/*".to_owned());
    assert_eq!(encode_changes(&mut all), expected);
}

#[test]
fn changes_of_a_pattern_reach_intersecting_patterns() {
    let router = Router::new();
    let mut changes = router.subscribe::<Change>("number/a").unwrap();
    let _all = router.subscribe::<Number>("**").unwrap();
    let _other = router.subscribe::<Number>("b").unwrap();
    assert_eq!(encode_changes(&mut changes), ["+number/**"]);
}

#[test]
fn a_full_subscription_to_changes_blocks_nothing() {
    let router = Router::new();
    let options = SubscribeOptions::new()
        .capacity(1)
        .when_full(WhenFull::Block(std::time::Duration::MAX));
    let mut changes = router.subscribe_with::<Change>("**", options).unwrap();
    drop(router.subscribe::<Number>("a").unwrap());
    assert_eq!(
        changes.recv().wait().unwrap().kind(),
        ChangeKind::Subscribed
    );
    assert_eq!(changes.recv().wait().unwrap_err(), RecvError::Missed(1));
}

#[test]
fn a_change_names_its_type() {
    let router = Router::new();
    let mut changes = router.subscribe::<Change>("**").unwrap();
    let _numbers = router.subscribe::<Number>("a").unwrap();
    let change = changes.recv().wait().unwrap();
    assert!(change.type_name().ends_with("Number"));
    assert!(format!("{change:?}").starts_with("number/a: Subscribed"));
}
