//! Types that travel in different codecs.

use std::thread;

use serde::{Deserialize, Serialize};
use ump::Executed;
use ump_router::{
    Bytes, Error, Message, RecvError, RequestError, RequestMessage, Router,
    link::{
        sockets::{
            Link, Listener,
            codec::{Cbor, PayloadCodec, Raw as RawBytes},
        },
        wire::{Codec, Failure, Message as Frame},
    },
};

use crate::{
    raw::{LIMITS, Raw, subscribe, topic},
    support::{Double, LONG, Price, await_server, await_subscriber, next, publish, serve},
};

/// Bytes, with the prefix of [`Price`].
#[derive(Debug, PartialEq)]
struct Blob(Vec<u8>);

impl Message for Blob {
    const PREFIX: &str = "price";
}

/// Bytes, with the prefix of [`Double`].
impl RequestMessage for Blob {
    type Reply = Vec<u8>;
    type Error = Vec<u8>;
    const PREFIX: &str = "double";
}

impl AsRef<[u8]> for Blob {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

/// A router in which [`Price`] and [`Double`] travel in a codec.
fn carrying_as<C>(codec: C) -> Router
where
    C: PayloadCodec<Price> + PayloadCodec<Double> + PayloadCodec<u64> + PayloadCodec<String> + Copy,
{
    let router = crate::support::router();
    router.carry_as::<Price>(codec).unwrap();
    router.carry_requests_as::<Double>(codec).unwrap();
    router
}

/// A router in which bytes travel under the same prefixes.
fn carrying_bytes() -> Router {
    let router = crate::support::router();
    router.carry_as::<Blob>(RawBytes).unwrap();
    router.carry_requests_as::<Blob>(RawBytes).unwrap();
    router
}

fn linked(hub: &Router, leaf: &Router) -> (Listener, Link) {
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    let link = leaf.connect(listener.address().to_string()).unwrap();
    assert!(link.opened().timeout(LONG).wait());
    (listener, link)
}

/// Messages, replies and errors between two routers.
fn exchange(one: &Router, other: &Router) {
    let mut prices = other.subscribe::<Price>("**").unwrap();
    await_subscriber(one, "a");
    publish(one, "a", 1 << 40);
    assert_eq!(next(&mut prices), Ok(1 << 40));
    let serving = serve(other, "a");
    await_server(one, "a");
    let ask = |number| one.request("a", Double(number)).timeout(LONG).wait();
    assert_eq!(ask(21), Ok(42));
    let refused = ask(0).unwrap_err();
    assert_eq!(refused.into_apperr(), Some("zero".to_owned()));
    other.close();
    assert_eq!(serving.join().unwrap(), 2);
}

#[test]
fn messages_and_requests_travel_as_cbor() {
    let [one, other] = [carrying_as(Cbor), carrying_as(Cbor)];
    let _link = linked(&other, &one);
    exchange(&one, &other);
}

#[cfg(feature = "postcard")]
#[test]
fn the_codecs_of_two_programs_may_differ() {
    use ump_router::link::sockets::codec::Postcard;
    for [one, other] in [
        [carrying_as(Postcard), carrying_as(Postcard)],
        [carrying_as(Postcard), carrying_as(Cbor)],
        [carrying_as(Cbor), carrying_as(Postcard)],
    ] {
        let _link = linked(&other, &one);
        exchange(&one, &other);
    }
}

#[test]
fn bytes_travel_without_serde_also_through_a_hub() {
    let (hub, one, other) = (crate::support::router(), carrying_bytes(), carrying_bytes());
    let (listener, _one) = linked(&hub, &one);
    let _other = other.connect(listener.address().to_string()).unwrap();
    let mut blobs = other.subscribe::<Blob>("**").unwrap();
    let mut watch = one.watch_subscribers::<Blob>("a").unwrap();
    assert_eq!(watch.changed().wait_timeout(LONG).unwrap(), Some(true));
    for bytes in [&b""[..], b"\xff\0 any bytes"] {
        one.publish("a", Blob(bytes.to_vec())).wait().unwrap();
        let received = blobs.recv().wait_timeout(LONG).unwrap().unwrap();
        assert_eq!(received.0, bytes);
    }
    let server = other.serve::<Blob>("a").unwrap();
    let serving = thread::spawn(move || {
        for (call, rctx) in &server {
            let mut bytes = call.message.0;
            bytes.reverse();
            let is_short = bytes.len() < 3;
            let _ = rctx.answer(if is_short { Err(bytes) } else { Ok(bytes) });
        }
    });
    let ask = |bytes: &[u8]| {
        let request = one.request("a", Blob(bytes.to_vec())).wait_for_server();
        request.timeout(LONG).wait()
    };
    assert_eq!(ask(b"\xff123").unwrap(), b"321\xff");
    assert_eq!(ask(b"12").unwrap_err().into_apperr(), Some(b"21".to_vec()));
    other.close();
    serving.join().unwrap();
}

fn publication(codec: Codec, payload: &[u8]) -> Frame {
    Frame::Publish {
        topic: 0,
        retain: false,
        retained: false,
        codec,
        to: vec![1],
        payload: payload.into(),
    }
}

fn request_in(codec: Codec, request: u64, payload: &[u8]) -> Frame {
    Frame::Request {
        request,
        topic: 1,
        remaining: Some(LONG),
        codec,
        payload: payload.into(),
    }
}

/// A peer by hand knows what the frames say.
fn by_hand(router: &Router) -> (Raw, Listener) {
    let listener = router.listen("tcp:127.0.0.1:0").unwrap();
    let mut raw = Raw::open(&listener.address().to_string(), LIMITS);
    raw.send(&[topic(0, "price/a"), topic(1, "double/a")])
        .unwrap();
    (raw, listener)
}

/// Returns the next message that is neither of the opening nor of flow control.
fn answer(raw: &mut Raw) -> Frame {
    loop {
        let frame = raw.receive().unwrap().expect("an open link");
        if matches!(
            frame,
            Frame::Publish { .. } | Frame::Reply { .. } | Frame::Outcome { .. }
        ) {
            return frame;
        }
    }
}

#[test]
fn a_message_is_decoded_by_the_codec_that_it_names() {
    let router = carrying_as(Cbor);
    let mut prices = router.subscribe::<Price>("a").unwrap();
    let (mut raw, _listener) = by_hand(&router);
    while !matches!(raw.receive().unwrap(), Some(Frame::Subscribe { id: 1, .. })) {}
    // The bytes are a number in each of them.
    let seven = [7_u8];
    for (codec, expected) in [
        (Codec::Cbor, Ok(7)),
        (Codec::Raw, Err(RecvError::Missed(1))),
        (Codec::Other(9), Err(RecvError::Missed(1))),
        #[cfg(feature = "postcard")]
        (Codec::Postcard, Ok(7)),
        #[cfg(not(feature = "postcard"))]
        (Codec::Postcard, Err(RecvError::Missed(1))),
    ] {
        raw.send(&[publication(codec, &seven)]).unwrap();
        assert_eq!(next(&mut prices), expected, "{codec}");
    }
    // 200 in postcard is a tagged 1 in CBOR.
    #[cfg(feature = "postcard")]
    for (codec, payload, expected) in [
        (Codec::Postcard, &[0xc8, 0x01][..], Ok(200)),
        (Codec::Cbor, &[0xc8, 0x01], Ok(1)),
        (Codec::Cbor, &[0x18, 0xc8], Ok(200)),
        (Codec::Postcard, &[0x18, 0xc8], Err(RecvError::Missed(1))),
    ] {
        raw.send(&[publication(codec, payload)]).unwrap();
        assert_eq!(next(&mut prices), expected, "{codec} {payload:?}");
    }
}

#[cfg(feature = "postcard")]
#[test]
fn a_payload_that_is_nested_too_deep_is_a_gap() {
    #[derive(Serialize, Deserialize)]
    struct Nested(Option<Box<Nested>>);
    impl Message for Nested {
        const PREFIX: &str = "price";
    }
    let router = crate::support::router();
    router.carry::<Nested>().unwrap();
    let mut all = router.subscribe::<Nested>("a").unwrap();
    let (mut raw, _listener) = by_hand(&router);
    while !matches!(raw.receive().unwrap(), Some(Frame::Subscribe { id: 1, .. })) {}
    let mut deep = vec![1; 1 << 19];
    deep.push(0);
    raw.send(&[publication(Codec::Postcard, &deep)]).unwrap();
    let received = all.recv().wait_timeout(LONG).map(|_| ());
    assert_eq!(received, Err(RecvError::Missed(1)));
    raw.send(&[publication(Codec::Postcard, &[1, 1, 0])])
        .unwrap();
    let nested = all.recv().wait_timeout(LONG).unwrap().unwrap();
    assert!(nested.0.as_ref().is_some_and(|it| it.0.is_some()));
}

#[test]
fn a_reply_is_in_the_codec_of_its_request() {
    let router = carrying_as(Cbor);
    let serving = serve(&router, "a");
    let (mut raw, _listener) = by_hand(&router);
    let mut id = 0;
    let mut ask = |codec, payload: &[u8]| {
        id += 1;
        raw.send(&[request_in(codec, id, payload)]).unwrap();
        answer(&mut raw)
    };
    let reply = |request, refused, codec, payload: &[u8]| Frame::Reply {
        request,
        refused,
        codec,
        payload: Bytes::from(payload),
    };
    let malformed = |request, text: &str| Frame::Outcome {
        request,
        failure: Failure::Malformed,
        executed: Executed::No,
        text: text.to_owned(),
    };
    let cbor = ask(Codec::Cbor, &[0x18, 100]);
    assert_eq!(cbor, reply(1, false, Codec::Cbor, &[0x18, 200]));
    assert_eq!(
        ask(Codec::Cbor, &[0]),
        reply(2, true, Codec::Cbor, b"\x64zero")
    );
    let text = "this type is not decoded from raw bytes here";
    assert_eq!(ask(Codec::Raw, &[7]), malformed(3, text));
    let text = "this type is not decoded from codec 9 here";
    assert_eq!(ask(Codec::Other(9), &[7]), malformed(4, text));
    let text = "the payload is not CBOR of this type";
    assert_eq!(ask(Codec::Cbor, b"\x61x"), malformed(5, text));
    #[cfg(feature = "postcard")]
    {
        let postcard = Codec::Postcard;
        let doubled = reply(6, false, postcard, &[0xc8, 0x01]);
        assert_eq!(ask(postcard, &[100]), doubled);
        let refused = reply(7, true, postcard, b"\x04zero");
        assert_eq!(ask(postcard, &[0]), refused);
        let text = "the payload is not postcard of this type";
        assert_eq!(ask(postcard, &[0x80]), malformed(8, text));
    }
    router.close();
    serving.join().unwrap();
}

#[test]
fn the_program_chooses_the_codec_of_what_it_sends() {
    let router = carrying_bytes();
    let (mut raw, _listener) = by_hand(&router);
    raw.send(&[subscribe(1, "price/**", (10, 1000))]).unwrap();
    let mut watch = router.watch_subscribers::<Blob>("a").unwrap();
    assert_eq!(watch.changed().wait_timeout(LONG).unwrap(), Some(true));
    router.publish("a", Blob(b"hi".to_vec())).wait().unwrap();
    let Frame::Publish { codec, payload, .. } = answer(&mut raw) else {
        panic!("another frame");
    };
    assert_eq!((codec, &payload[..]), (Codec::Raw, &b"hi"[..]));
}

#[test]
fn a_program_with_another_codec_gets_a_typed_failure() {
    let (hub, leaf) = (carrying_as(Cbor), carrying_bytes());
    let _link = linked(&hub, &leaf);
    let mut prices = hub.subscribe::<Price>("a").unwrap();
    let mut watch = leaf.watch_subscribers::<Blob>("a").unwrap();
    assert_eq!(watch.changed().wait_timeout(LONG).unwrap(), Some(true));
    leaf.publish("a", Blob(vec![7])).wait().unwrap();
    assert_eq!(next(&mut prices), Err(RecvError::Missed(1)));
    let serving = serve(&hub, "a");
    let request = leaf.request("a", Blob(vec![7])).wait_for_server();
    let Err(RequestError::Link(message, error)) = request.timeout(LONG).wait() else {
        panic!("not a failure of the link");
    };
    assert_eq!(
        (error.failure, error.executed),
        (Failure::Malformed, Executed::No)
    );
    assert_eq!(error.text, "this type is not decoded from raw bytes here");
    assert_eq!(message, Some(Blob(vec![7])), "it comes back");
    hub.close();
    assert_eq!(serving.join().unwrap(), 0);
}

#[test]
fn a_type_has_one_codec() {
    /// Bytes, and serde.
    #[derive(Serialize, Deserialize)]
    struct Both(Vec<u8>);
    impl Message for Both {
        const PREFIX: &str = "both";
    }
    impl RequestMessage for Both {
        type Reply = Vec<u8>;
        type Error = Vec<u8>;
        const PREFIX: &str = "both";
    }
    impl AsRef<[u8]> for Both {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    impl From<Vec<u8>> for Both {
        fn from(bytes: Vec<u8>) -> Self {
            Self(bytes)
        }
    }
    let router = crate::support::router();
    router.carry_as::<Both>(RawBytes).unwrap();
    router.carry_as::<Both>(RawBytes).unwrap();
    let other = |codec| Error::OtherCodec {
        prefix: "both",
        codec,
    };
    assert_eq!(router.carry::<Both>(), Err(other(Codec::Raw)));
    // Requests are another type.
    router.carry_requests::<Both>().unwrap();
    router.carry_requests_as::<Both>(Cbor).unwrap();
    let refused = router.carry_requests_as::<Both>(RawBytes);
    assert_eq!(refused, Err(other(Codec::Cbor)));
}
