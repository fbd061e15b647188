//! Links whose payloads are compressed.

use serde::{Deserialize, Serialize};
use ump_router::{
    Message, RequestMessage, Router,
    link::{
        sockets::{ConnectOptions, Link, ListenOptions, Listener},
        wire::{COMPRESSION, Hello, Message as Frame},
    },
};

use crate::{
    raw::{LIMITS, Raw, hello, subscribe},
    support::LONG,
};

#[derive(Clone, Serialize, Deserialize)]
struct Text(String);

impl Message for Text {
    const PREFIX: &str = "text";
}

impl RequestMessage for Text {
    type Reply = String;
    type Error = String;
    const PREFIX: &str = "text";
}

pub(crate) fn carrying_texts() -> Router {
    let router = crate::support::router();
    router.carry::<Text>().unwrap();
    router.carry_requests::<Text>().unwrap();
    router
}

fn link(router: &Router, listener: &Listener, compresses: bool) -> Link {
    let mut options = ConnectOptions::new();
    if compresses {
        options = options.compression();
    }
    let address = listener.address().to_string();
    let link = router.connect_with(&address, options).unwrap();
    assert!(link.opened().timeout(LONG).wait());
    link
}

/// Messages, requests and replies from one router to another, short and long, also those that
/// cannot be compressed.
pub(crate) fn exchange(from: &Router, to: &Router) {
    let mut texts = to.subscribe::<Text>("a").unwrap();
    let mut watch = from.watch_subscribers::<Text>("a").unwrap();
    if !watch.has_subscribers() {
        assert_eq!(watch.changed().wait_timeout(LONG).unwrap(), Some(true));
    }
    let server = to.serve::<Text>("a").unwrap();
    let serving = std::thread::spawn(move || {
        for (call, rctx) in &server {
            let text = call.message.0;
            let _ = rctx.answer(if text.len() > 1000 {
                Err(text)
            } else {
                Ok(text)
            });
        }
    });
    let mut state = 7_u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b' ' + (state >> 25) as u8 % 90)
    };
    for length in [0, 10, 511, 512, 600, 5000, 200_000] {
        let mixed: String = (0..length).map(|_| random()).collect();
        for text in ["x".repeat(length), mixed] {
            from.publish("a", Text(text.clone())).wait().unwrap();
            let received = texts.recv().wait_timeout(LONG).unwrap();
            assert_eq!(received.expect("a message in time").0, text);
            let request = from.request("a", Text(text.clone())).wait_for_server();
            let (Ok(answer) | Err(answer)) = request
                .timeout(LONG)
                .wait()
                .map_err(|error| error.into_apperr().expect("its own error"));
            assert_eq!(answer, text);
        }
    }
    to.close();
    serving.join().unwrap();
}

#[test]
fn a_hub_relays_between_links_with_compression_and_without() {
    for [one_compresses, other_compresses] in [[true, true], [true, false], [false, true]] {
        let (hub, one, other) = (crate::support::router(), carrying_texts(), carrying_texts());
        let options = ListenOptions::new().compression();
        let listener = hub.listen_with("tcp:127.0.0.1:0", options).unwrap();
        let _links = [
            link(&one, &listener, one_compresses),
            link(&other, &listener, other_compresses),
        ];
        exchange(&one, &other);
    }
}

#[test]
fn compression_is_offered_by_those_who_ask_for_it() {
    for is_on in [false, true] {
        let router = carrying_texts();
        let mut options = ListenOptions::new();
        if is_on {
            options = options.compression();
        }
        let listener = router.listen_with("tcp:127.0.0.1:0", options).unwrap();
        let mut raw = Raw::connect(&listener.address().to_string());
        let Frame::Hello(own) = hello(LIMITS) else {
            unreachable!("a hello");
        };
        let features = COMPRESSION;
        raw.send(&[Frame::Hello(Hello { features, ..own })])
            .unwrap();
        let Some(Frame::Hello(theirs)) = raw.receive().unwrap() else {
            panic!("no hello");
        };
        assert_eq!(theirs.features & COMPRESSION != 0, is_on);
        raw.send(&[subscribe(1, "text/**", (10, 100_000))]).unwrap();
        let mut watch = router.watch_subscribers::<Text>("a").unwrap();
        assert_eq!(watch.changed().wait_timeout(LONG).unwrap(), Some(true));
        let text = Text("x".repeat(10_000));
        router.publish("a", text).wait().unwrap();
        let length = loop {
            let (length, kind) = raw.skip().unwrap();
            if kind == 0x41 {
                break length;
            }
        };
        assert_eq!(length < 1000, is_on, "{length}");
    }
}
