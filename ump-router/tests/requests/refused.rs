//! Requests and servers that a router refuses.

use std::future::IntoFuture;

use ump_router::{
    Bytes, Error, RequestError, Router, ServeOptions, Topic, TopicErrorKind,
    ump::{Clock, Executed},
};

use crate::{Double, LONG, counting_waker::poll_once};

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
fn serve_and_request_have_the_limits_of_topics() {
    let router = Router::new();
    for name in [
        "a".repeat(Topic::MAX_LENGTH),
        ["a"; Topic::MAX_FRAGMENTS].join("/"),
    ] {
        let server = router.serve::<Double>(&name).unwrap();
        let mut request = Box::pin(router.request(&name, Double(1)).into_future());
        assert!(poll_once(request.as_mut()).is_pending());
        assert_eq!(server.wait().unwrap().0.topic, *name);
        assert_eq!(router.servers()[0].topic, *format!("double/{name}"));

        let longer = format!("{name}/b");
        let error = longer.parse::<Topic>().unwrap_err();
        assert!(error.position() >= name.len() && error.position() <= name.len() + 1);
        let refused = router.serve::<Double>(&longer).unwrap_err();
        assert_eq!(refused, Error::Topic(error.clone()));
        for refused in [
            router.request(&longer, Double(1)).wait(),
            Clock::system()
                .block_on(router.request(&longer, Double(1)).into_future(), None)
                .unwrap(),
        ] {
            let Err(RequestError::NotMade(Double(1), refused)) = refused else {
                panic!("{refused:?}")
            };
            assert_eq!(refused, Error::Topic(error.clone()));
        }
    }
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
