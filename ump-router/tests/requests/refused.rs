//! Requests and servers that a router refuses.

use ump_router::{Bytes, Error, RequestError, Router, ServeOptions, TopicErrorKind, ump::Executed};

use crate::{Double, LONG};

#[test]
fn a_topic_without_a_server_is_an_error_at_once() {
    let router = Router::new();
    let error = router
        .request("a", Double(1))
        .timeout(LONG)
        .wait()
        .unwrap_err();
    assert!(
        matches!(error, RequestError::NoServer(Double(1))),
        "{error:?}"
    );
    assert_eq!(error.executed(), Executed::No);
    assert_eq!(error.into_message(), Some(Double(1)));
}

#[test]
fn an_invalid_topic_returns_the_message() {
    let router = Router::new();
    for (topic, kind) in [
        ("a//b", TopicErrorKind::EmptyFragment),
        ("a/*", TopicErrorKind::Wildcard),
    ] {
        let error = router.request(topic, Double(1)).wait().unwrap_err();
        let RequestError::NotMade(Double(1), Error::Topic(error)) = error else {
            panic!("{error:?}")
        };
        assert_eq!(error.kind(), kind);
        assert!(
            matches!(router.serve::<Double>(topic), Err(Error::Topic(error)) if error.kind() == kind)
        );
    }
    let none = router.serve_with::<Double>("a", ServeOptions::new().capacity(0));
    assert_eq!(none.unwrap_err(), Error::ZeroCapacity);
}

#[test]
fn the_second_server_of_a_topic_is_refused() {
    let router = Router::new();
    let first = router.serve::<Double>("a").unwrap();
    let error = router.serve::<Double>("a").unwrap_err();
    assert_eq!(error, Error::Taken("a".parse().unwrap()));
    // Requests of another type and other topics are independent.
    let _other = router.serve::<Bytes>("a").unwrap();
    let _beside = router.serve::<Double>("a/a").unwrap();
    assert!(first.is_serving());
    drop(first);
    assert!(router.serve::<Double>("a").unwrap().is_serving());
}
