//! Each error text says what has happened, to what, and what to do.

use std::error::Error as StdError;

use ump_router::{
    Error, ProtocolError, PublishError, RecvError, RequestError, RequestErrorKind, RequestMessage,
    Topic, TopicError,
    link::wire::Codec,
    routing::{Core, Input, Violation},
};

#[derive(Debug)]
struct Ask;

impl RequestMessage for Ask {
    type Reply = ();
    type Error = std::fmt::Error;
    const PREFIX: &'static str = "ask";
}

/// Compares the text, which contains that of each cause.
fn check(error: &dyn StdError, text: &str) {
    assert_eq!(error.to_string(), text);
    assert!(error.source().is_none(), "{text}");
}

fn invalid() -> TopicError {
    "a/".parse::<Topic>().unwrap_err()
}

#[test]
fn errors_of_a_router_say_what_to_do() {
    let overlap = ProtocolError::Overlap {
        type_name: "Gold",
        prefix: "price/gold",
        other_type_name: "Price",
        other_prefix: "price",
    };
    let prefix = ProtocolError::Prefix {
        type_name: "Gold",
        error: invalid(),
    };
    for (error, text) in [
        (
            Error::Topic(invalid()),
            r#"empty fragment at byte 2, after "a/": write a name there, or leave out a slash"#,
        ),
        (
            Error::Protocol(prefix),
            r#"the prefix of Gold is not valid: empty fragment at byte 2, after "a/": write a name there, or leave out a slash"#,
        ),
        (
            Error::Protocol(overlap),
            "prefix 'price/gold' of Gold overlaps prefix 'price' of Price: change one, so that neither begins with the other",
        ),
        (
            Error::Taken("a".parse().unwrap()),
            "topic 'a' already has a server: serve it as a standby to take over when that server leaves",
        ),
        (
            Error::ZeroCapacity,
            "the capacity is zero: give the queue room for at least one message",
        ),
        (
            Error::GroupDiffers("w".parse().unwrap()),
            "the group 'w' has other patterns or options: use the same for all its members, or another name",
        ),
        (
            Error::OtherCodec {
                prefix: "price",
                codec: Codec::Raw,
            },
            "the type with the prefix 'price' travels as raw bytes already: carry it once, or with the same codec",
        ),
        (
            Error::NoPattern,
            "there is no pattern: subscribe to one at least",
        ),
        (Error::Closed, "the router was closed"),
    ] {
        check(&error, text);
        let (message, error) = ((), error);
        let refused = PublishError { message, error };
        check(&refused, &format!("the message was not published: {text}"));
        let refused = RequestError::<Ask>::NotMade(Ask, refused.error);
        let text = format!("the request was not made: {text}");
        check(&refused, &text);
        check(&refused.without_message(), &text);
    }
}

#[test]
fn errors_of_requests_say_what_to_do() {
    let text = "the topic has no server: serve it first, or let the request wait for a server";
    check(&RequestError::<Ask>::NoServer(Ask), text);
    check(&RequestErrorKind::<std::fmt::Error>::NoServer, text);
}

#[test]
fn errors_of_receiving_say_what_to_do() {
    for (error, text) in [
        (
            RecvError::Missed(1),
            "the subscription missed 1 message: receive faster, or raise its capacity",
        ),
        (
            RecvError::Missed(2),
            "the subscription missed 2 messages: receive faster, or raise its capacity",
        ),
        (
            RecvError::Disconnected,
            "the subscription was disconnected because its queue was full: subscribe again",
        ),
        (
            RecvError::Unsubscribed,
            "the subscription was closed by its handle",
        ),
        (RecvError::Closed, "the router was closed"),
    ] {
        check(&error, text);
    }
}

#[test]
fn violations_say_what_to_do() {
    for (error, text) in [
        (
            Violation::UnknownPeer,
            "the peer is not connected: connect it, and use its new id",
        ),
        (
            Violation::LocalIdInUse(3),
            "the peer already uses local id 3: choose an unused one",
        ),
        (
            Violation::UnknownSubscription(3),
            "the peer has no subscription with local id 3: unsubscribe with the id of a live subscription",
        ),
        (
            Violation::WrongClaim,
            "the peer left a topic without a claim, or claimed a topic twice: claim a topic once before leaving it",
        ),
    ] {
        check(&error, text);
    }
    let mut core = Core::<()>::new();
    let peer = core.connect();
    let leave = Input::Leave {
        topic: Topic::default(),
    };
    let error = core.handle(std::time::Instant::now(), peer, leave);
    assert_eq!(error, Err(Violation::WrongClaim));
}
