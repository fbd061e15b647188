//! Which subscriptions a message reaches.

use ump_router::{Bytes, Message, Router};

use crate::{Number, counts, drain, publish};

#[test]
fn a_subscription_receives_matching_messages_only() {
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
fn a_message_without_subscribers_matches_none() {
    let router = Router::new();
    assert_eq!(counts(publish(&router, "a", 1)), (0, 0, 0));
    let mut late = router.subscribe::<Number>("a").unwrap();
    assert!(late.try_recv().unwrap().is_none());
}

#[test]
fn equal_subscriptions_are_independent() {
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
