//! Names that no operation accepts, and the place of what is wrong with them.

use std::{
    future::{Future, IntoFuture},
    pin::pin,
    task::{Context, Poll, Waker},
};

use proptest::{prelude::*, sample::select};
use ump_router::{
    Error, Message, Pattern, RequestError, RequestMessage, Router, Topic, TopicErrorKind,
};

use crate::name::topics;

struct Text;

impl Message for Text {
    const PREFIX: &'static str = "a/prefix/that/does/not/count";
}

impl RequestMessage for Text {
    type Reply = ();
    type Error = ();
    const PREFIX: &'static str = "a/prefix/that/does/not/count";
}

/// A name with one error.
#[derive(Clone, Debug)]
pub(crate) struct BadName {
    text: String,
    kind: TopicErrorKind,
    position: usize,
}

pub(crate) fn bad_names() -> impl Strategy<Value = BadName> {
    let characters = [
        '$', '?', '#', ' ', '\n', '\u{3000}', '\u{feff}', '\u{200b}', '\u{202e}',
    ];
    let broken = |text: String, position, after: &str, kind| BadName {
        text: text + after,
        kind,
        position,
    };
    prop_oneof![
        (topics(), select(characters.to_vec())).prop_map(move |(name, character)| {
            let before = name.text() + "x";
            let position = before.len();
            broken(
                format!("{before}{character}"),
                position,
                "y/z",
                TopicErrorKind::Character(character),
            )
        }),
        topics().prop_map(move |name| {
            let before = format!("x/{}", name.text());
            let before = before.trim_end_matches('/').to_owned() + "/";
            let position = before.len();
            broken(before, position, "/y", TopicErrorKind::EmptyFragment)
        }),
        (0..3_usize).prop_map(move |more| {
            let limit = Topic::MAX_LENGTH;
            let kind = TopicErrorKind::TooLong(limit);
            broken("é".repeat(limit / 2), limit, &"x".repeat(more + 1), kind)
        }),
        (0..3_usize)
            .prop_map(move |more| {
                let limit = Topic::MAX_FRAGMENTS;
                let kind = TopicErrorKind::TooManyFragments(limit);
                broken(
                    "é/".repeat(limit),
                    3 * limit,
                    &"x/".repeat(more).replace("x/", "x/x/"),
                    kind,
                )
            })
            .prop_map(|bad| BadName {
                text: bad.text + "x",
                ..bad
            }),
    ]
}

/// Tries each operation, blocking and async: all give the same error, and nothing happens.
///
/// A type that is new to a closed router is refused before the name is looked at.
pub(crate) fn refuse(router: &Router, is_new_and_closed: bool, bad: &BadName) {
    let expected = if is_new_and_closed {
        Error::Closed
    } else {
        let error = bad.text.parse::<Pattern>().unwrap_err();
        assert_eq!((error.kind(), error.position()), (bad.kind, bad.position));
        Error::Topic(error)
    };
    let text = bad.text.as_str();
    let publish = || router.publish(text, Text);
    let request = || router.request(text, Text);
    let errors = [
        router.subscribe::<Text>(text).err(),
        publish().wait().err().map(|refused| refused.error),
        at_once(publish().into_future())
            .err()
            .map(|refused| refused.error),
        publish().retain().wait().err().map(|refused| refused.error),
        at_once(publish().retain().into_future())
            .err()
            .map(|refused| refused.error),
        router.serve::<Text>(text).err(),
        request().wait().err().and_then(not_made),
        at_once(request().into_future()).err().and_then(not_made),
    ];
    for error in errors {
        assert_eq!(error.as_ref(), Some(&expected), "{text}");
    }
}

fn not_made(error: RequestError<Text>) -> Option<Error> {
    match error {
        RequestError::NotMade(Text, error) => Some(error),
        _ => None,
    }
}

fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it is refused at once"),
    }
}
