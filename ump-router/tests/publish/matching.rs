//! Which subscriptions a message reaches.

use ump_router::{Bytes, Error, Message, Pattern, Router};

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
fn a_message_that_matches_several_patterns_is_received_once() {
    let router = Router::new();
    router.publish("a/b", Number(0)).retain().wait().unwrap();
    let several = ["a/*", "**/b", "c", "a/*", "a/**/*"];
    let mut numbers = router.subscribe::<Number>(several).unwrap();
    assert_eq!(numbers.patterns(), ["a/*", "**/b", "c", "a/*/**"]);
    assert_eq!(numbers.pattern(), "a/*");
    let [status] = &router.subscriptions()[..] else {
        panic!("one subscription is listed once")
    };
    let full = ["number/a/*", "number/**/b", "number/c", "number/a/*/**"];
    assert_eq!(status.patterns, full);
    for (name, number, matched) in [
        ("a/b", 1, 1),
        ("b", 2, 1),
        ("c", 3, 1),
        ("**", 4, 1),
        ("d", 5, 0),
        ("a/c/d", 6, 1),
    ] {
        assert_eq!(
            counts(publish(&router, name, number)),
            (matched, matched, 0),
            "{name}"
        );
    }
    assert_eq!(drain(&mut numbers), ["0", "1", "2", "3", "4", "6"]);
    drop(numbers);
    assert_eq!(publish(&router, "a/b", 7).matched, 0);
    assert!(router.subscriptions().is_empty());
}

#[test]
fn a_topic_and_a_later_pattern_bring_a_message_once() {
    let router = Router::new();
    let mut numbers = router.subscribe::<Number>(["a", "*", "b", "**"]).unwrap();
    for (name, number) in [
        ("a", 1),
        ("b", 2),
        ("c", 3),
        ("a/b", 4),
        ("*", 5),
        ("**", 6),
    ] {
        assert_eq!(counts(publish(&router, name, number)), (1, 1, 0), "{name}");
    }
    assert_eq!(drain(&mut numbers), ["1", "2", "3", "4", "5", "6"]);
}

#[test]
fn each_of_two_lists_of_patterns_brings_a_message_once() {
    let router = Router::new();
    let mut one = router.subscribe::<Number>(["a", "*"]).unwrap();
    let mut other = router.subscribe::<Number>(&["*", "b", "a"]).unwrap();
    for (name, number) in [("a", 1), ("b", 2), ("*", 3), ("**", 4)] {
        assert_eq!(counts(publish(&router, name, number)), (2, 2, 0), "{name}");
    }
    for numbers in [&mut one, &mut other] {
        assert_eq!(drain(numbers), ["1", "2", "3", "4"]);
    }
}

#[test]
fn a_subscription_has_thousands_of_topics() {
    let router = Router::new();
    let topics = (0..3_000).map(|nth| format!("topic/{nth}"));
    let patterns: Vec<_> = topics
        .chain(["*/7".to_owned(), "topic".to_owned()])
        .collect();
    let mut numbers = router.subscribe::<Number>(patterns).unwrap();
    for (name, number) in [
        ("topic/7", 1),
        ("topic/2999", 2),
        ("topic/**", 3),
        ("topic", 4),
    ] {
        assert_eq!(counts(publish(&router, name, number)), (1, 1, 0), "{name}");
    }
    assert_eq!(drain(&mut numbers), ["1", "2", "3", "4"]);
}

#[test]
fn patterns_come_as_arrays_slices_and_vectors() {
    let router = Router::new();
    let texts = [String::from("a"), String::from("b")];
    let parsed: Vec<Pattern> = vec!["a".parse().unwrap(), "b".parse().unwrap()];
    let all = [
        router.subscribe::<Number>(["a", "b"]).unwrap(),
        router.subscribe::<Number>(vec!["a", "b"]).unwrap(),
        router.subscribe::<Number>(&["a", "b"][..]).unwrap(),
        router.subscribe::<Number>(&texts[..]).unwrap(),
        router.subscribe::<Number>(texts.clone()).unwrap(),
        router.subscribe::<Number>(&parsed[..]).unwrap(),
        router.subscribe::<Number>(parsed.clone()).unwrap(),
    ];
    publish(&router, "b", 1);
    for mut numbers in all {
        assert_eq!(drain(&mut numbers), ["1"]);
    }
    let none = router.subscribe::<Number>(Vec::<String>::new());
    assert_eq!(none.unwrap_err(), Error::NoPattern);
    assert!(matches!(
        router.subscribe::<Number>(["a", "b//c"]),
        Err(Error::Topic(_))
    ));
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
