//! What a router refuses: overlapping prefixes, invalid topics and patterns, empty queues.

use std::error::Error as StdError;

use ump_router::{Error, Message, ProtocolError, Router, SubscribeOptions, TopicErrorKind};

use crate::{Number, drain, publish};

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
fn a_publish_error_states_its_cause_once() {
    let router = Router::new();
    router.close();
    let error = router.publish("a", Number(1)).wait().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the message was not published: the router was closed"
    );
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
        "the other subscription is not affected"
    );
    assert_eq!(drain(&mut all), ["2"]);
}
