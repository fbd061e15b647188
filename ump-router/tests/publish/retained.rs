//! Retained messages.

use std::collections::HashSet;

use ump_router::{Error, Router, TopicErrorKind, WhenFull};

use crate::{LONG, Number, drain, options, publish};

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
fn excess_retained_messages_are_missed() {
    let router = Router::new();
    for (topic, number) in [("a", 1), ("b", 2), ("c", 3)] {
        router
            .publish(topic, Number(number))
            .retain()
            .wait()
            .unwrap();
    }
    let mut late = router
        .subscribe_with::<Number>("*", options(2, WhenFull::Block(LONG)))
        .unwrap();
    assert_eq!(drain(&mut late).last().unwrap(), "[1]");
}
