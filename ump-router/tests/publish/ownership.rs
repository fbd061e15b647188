//! The accessors of received messages, and the moment at which the router drops a message.

use std::time::Duration;

use ump_router::{Message, Router, WhenFull};

use crate::{LONG, Number, drain, options, publish};

#[test]
fn a_message_has_the_topic_it_was_published_on() {
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
fn a_message_may_use_the_router_when_it_is_dropped() {
    struct Nested(Router);
    impl Message for Nested {
        const PREFIX: &'static str = "nested";
    }
    impl Drop for Nested {
        fn drop(&mut self) {
            self.0.publish("notices", Number(1)).wait().unwrap();
            drop(self.0.subscribe::<Nested>("a").unwrap());
        }
    }
    let router = Router::new();
    let mut notices = router.subscribe::<Number>("notices").unwrap();
    let slow = router
        .subscribe_with::<Nested>("a", options(1, WhenFull::DropOldest))
        .unwrap();
    for _ in 0..2 {
        router.publish("a", Nested(router.clone())).wait().unwrap();
    }
    assert_eq!(drain(&mut notices), ["1"]);
    drop(slow);
    assert_eq!(drain(&mut notices), ["1"]);
    router.publish("a", Nested(router.clone())).wait().unwrap();
    assert_eq!(
        drain(&mut notices),
        ["1"],
        "the message reached no subscriber"
    );
    let retain = |topic: &str, time| {
        let publish = router.publish(topic, Nested(router.clone()));
        publish.retain_for(time).wait().unwrap();
    };
    retain("b", Duration::ZERO);
    retain("a", LONG);
    assert_eq!(drain(&mut notices), ["1"], "one has expired");
    retain("a", LONG);
    assert_eq!(drain(&mut notices), ["1"], "one was replaced");
    drop(router.remove_all_retained::<Nested>("**").unwrap());
    assert_eq!(drain(&mut notices), ["1"], "one was removed");
    retain("a", LONG);
    let late = router.subscribe::<Nested>("a").unwrap();
    router.remove_retained::<Nested>("a").unwrap();
    drop(late);
    assert_eq!(drain(&mut notices), ["1"], "one was in the backlog");
}
