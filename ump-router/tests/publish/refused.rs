//! Refusals of a router: overlapping prefixes, invalid topics and patterns, empty queues.

use std::{error::Error as StdError, future::IntoFuture};

use ump_router::{
    Bytes, Change, Error, Message, Pattern, ProtocolError, Router, SubscribeOptions, Topic,
    TopicErrorKind,
};

use crate::{Number, block_on, drain, publish};

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

/// The longest topics and patterns that a user may write.
fn longest() -> [String; 4] {
    let wild = |rest: String| format!("*/{rest}");
    [
        "a".repeat(Topic::MAX_LENGTH),
        ["a"; Topic::MAX_FRAGMENTS].join("/"),
        wild("a".repeat(Pattern::MAX_LENGTH - 2)),
        wild(["a"; Pattern::MAX_FRAGMENTS - 1].join("/")),
    ]
}

#[test]
fn the_prefix_does_not_count_towards_the_limits() {
    let router = Router::new();
    let mut changes = router.subscribe::<Change>("**").unwrap();
    for name in longest() {
        let mut numbers = router.subscribe::<Number>(&name).unwrap();
        assert_eq!(publish(&router, &name, 1).queued, 1);
        assert_eq!(
            block_on(router.publish(&name, Number(2)).into_future())
                .unwrap()
                .queued,
            1
        );
        assert_eq!(drain(&mut numbers), ["1", "2"]);
        if !name.starts_with('*') {
            router.publish(&name, Number(3)).retain().wait().unwrap();
            assert!(router.remove_retained::<Number>(&name).unwrap().is_some());
        }
        // The lists and changes have the full name.
        let listed = router.subscriptions();
        let listed = listed
            .iter()
            .find(|status| status.type_name.ends_with("Number"));
        let full = format!("number/{name}");
        assert_eq!(listed.unwrap().patterns, [full.as_str()]);
        assert_eq!(*changes.recv().wait().unwrap().topic(), *full);
        let beside = router
            .subscribe::<Change>(&listed.unwrap().patterns[0])
            .unwrap();
        drop((numbers, beside));
        assert_eq!(*changes.recv().wait().unwrap().topic(), *full);
    }
}

#[test]
fn every_operation_has_the_same_limits() {
    let router = Router::new();
    for name in longest() {
        let bytes = name.len();
        for (longer, position) in [(format!("{name}a"), bytes), (format!("{name}/b"), bytes)] {
            let error = longer.parse::<Pattern>();
            let Err(error) = error else { continue };
            assert!(error.position() >= position.min(511), "{error}");
            let refused = router.subscribe::<Number>(&longer).unwrap_err();
            assert_eq!(refused, Error::Topic(error.clone()));
            let refused = router.publish(&longer, Number(1)).wait().unwrap_err();
            assert_eq!(refused.error, Error::Topic(error.clone()));
            let refused = block_on(router.publish(&longer, Number(1)).retain().into_future());
            assert_eq!(refused.unwrap_err().error, Error::Topic(error));
        }
    }
}

#[test]
fn a_full_name_may_be_too_long_for_a_type() {
    let router = Router::new();
    let [name, ..] = longest();
    let _numbers = router.subscribe::<Number>(&name).unwrap();
    let full = router.subscriptions().remove(0).patterns.remove(0);
    let too_long = |error| {
        let Error::Topic(error) = error else {
            panic!("{error:?}")
        };
        assert_eq!(error.kind(), TopicErrorKind::TooLong(Topic::MAX_LENGTH));
        assert_eq!(error.position(), Topic::MAX_LENGTH);
    };
    too_long(router.subscribe::<Number>(&full).unwrap_err());
    too_long(router.publish(&full, Number(1)).wait().unwrap_err().error);
    too_long(
        router
            .publish(&full, Number(1))
            .retain()
            .wait()
            .unwrap_err()
            .error,
    );
    assert!(router.subscribe::<Bytes>(&full).is_ok(), "it has no prefix");
}

#[test]
fn a_prefix_has_limits() {
    struct Long;
    impl Message for Long {
        const PREFIX: &'static str = "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a";
    }
    let Err(Error::Protocol(ProtocolError::Prefix { error, .. })) =
        Router::new().subscribe::<Long>("a")
    else {
        panic!()
    };
    assert_eq!(
        (error.kind(), error.position()),
        (TopicErrorKind::TooManyFragments(16), 32)
    );
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
    assert_eq!(
        publish(&router, "a", 2).queued,
        1,
        "the other subscription is not affected"
    );
    assert_eq!(drain(&mut all), ["2"]);
}
