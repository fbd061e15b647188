//! The encoding of messages.

use std::time::Duration;

use proptest::{collection::vec, option, prelude::*};
use ump::Executed;
use ump_router::{
    Bytes, Pattern, Topic,
    link::wire::{
        Caps, Codec, Decoded, Failure, GoodbyeReason, HEADER, Hello, Kind, Limits, MAX_TEXT,
        Message, RetainedChange, Stamp, Status, WireError, decode, encode,
    },
};

const CAPS: Caps = Caps {
    control: 4096,
    bulk: 100_000,
    compression: false,
};

fn encoded(message: &Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(message, &mut bytes).unwrap();
    bytes
}

fn topic() -> impl Strategy<Value = Topic> {
    "[a-zé]{1,9}(/[a-z0-9]{1,30}){0,5}".prop_map(|text| text.parse().unwrap())
}

fn pattern() -> impl Strategy<Value = Pattern> {
    prop_oneof![
        topic().prop_map(Pattern::from),
        (topic(), any::<bool>()).prop_map(|(topic, deep)| {
            let wildcard = if deep { "**" } else { "*" };
            format!("{topic}/{wildcard}").parse().unwrap()
        }),
    ]
}

fn payload() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..300).prop_map(Bytes::from)
}

fn hello() -> impl Strategy<Value = Hello> {
    let limits = any::<[u32; 6]>();
    let numbers = (any::<[u16; 2]>(), any::<[u64; 3]>(), any::<u128>());
    (limits, numbers, "[ -~à-ÿ€日]{0,40}").prop_map(|(it, (versions, numbers, router), name)| {
        Hello {
            min_version: versions[0],
            max_version: versions[1],
            features: numbers[0],
            required: numbers[1],
            limits: Limits {
                frame: it[0],
                topics: it[1],
                subscriptions: it[2],
                claims: it[3],
                requests: it[4],
                operations: it[5],
                window: numbers[2],
            },
            router,
            name,
        }
    })
}

const TEXT: &str = "[ -~à-ÿ€日]{0,60}";

/// Any message.
pub(crate) fn message() -> impl Strategy<Value = Message> {
    prop_oneof![session(), claims_and_outcomes(), bulk()]
}

fn session() -> impl Strategy<Value = Message> {
    let code = any::<u8>();
    prop_oneof![
        hello().prop_map(Message::Hello),
        (code, any::<u64>(), TEXT).prop_map(|(reason, last_request, text)| Message::Goodbye {
            reason: GoodbyeReason::from(reason),
            last_request,
            text,
        }),
        any::<u64>().prop_map(|token| Message::Ping { token }),
        any::<u64>().prop_map(|token| Message::Pong { token }),
        (any::<u32>(), pattern()).prop_map(|(number, topic)| Message::Topic { number, topic }),
        (any::<u32>(), any::<bool>(), any::<[u64; 2]>(), pattern()).prop_map(
            |(id, retained, [messages, bytes], pattern)| Message::Subscribe {
                id,
                retained,
                messages,
                bytes,
                pattern,
            }
        ),
        (any::<u32>(), code, TEXT).prop_map(|(id, status, text)| Message::Subscribed {
            id,
            status: Status::from(status),
            text,
        }),
        any::<u32>().prop_map(|id| Message::Unsubscribe { id }),
        (any::<u32>(), any::<[u64; 2]>()).prop_map(|(id, [messages, bytes])| Message::Credit {
            id,
            messages,
            bytes,
        }),
        any::<u64>().prop_map(|bytes| Message::Window { bytes }),
        (any::<u32>(), any::<u64>()).prop_map(|(id, missed)| Message::Gap { id, missed }),
    ]
}

fn claims_and_outcomes() -> impl Strategy<Value = Message> {
    let code = any::<u8>();
    let executed = prop_oneof![
        Just(Executed::No),
        Just(Executed::Perhaps),
        Just(Executed::Yes)
    ];
    prop_oneof![
        (any::<u32>(), any::<bool>(), topic()).prop_map(|(id, stand_by, topic)| {
            Message::Serve {
                id,
                stand_by,
                topic,
            }
        }),
        (any::<u32>(), code, TEXT).prop_map(|(id, status, text)| Message::Served {
            id,
            status: Status::from(status),
            text,
        }),
        any::<u32>().prop_map(|id| Message::Leave { id }),
        any::<u64>().prop_map(|request| Message::Taken { request }),
        (any::<u64>(), any::<bool>())
            .prop_map(|(request, expired)| Message::Cancel { request, expired }),
        (any::<u64>(), code, executed, TEXT).prop_map(|(request, failure, executed, text)| {
            Message::Outcome {
                request,
                failure: Failure::from(failure),
                executed,
                text,
            }
        }),
        topic().prop_map(|topic| Message::Unretain { topic }),
        (code, topic(), TEXT).prop_map(|(status, topic, text)| Message::Refused {
            status: Status::from(status),
            topic: ump_router::Pattern::from(&topic),
            text,
        }),
        Just(Message::Synced),
    ]
}

fn bulk() -> impl Strategy<Value = Message> {
    let code = any::<u8>();
    let flags = any::<[bool; 2]>();
    prop_oneof![
        (
            any::<u32>(),
            flags,
            code,
            vec(any::<u32>(), 0..20),
            payload()
        )
            .prop_map(
                |(topic, [retain, retained], codec, to, payload)| Message::Publish {
                    topic,
                    retain,
                    retained,
                    codec: Codec::from(codec),
                    to,
                    payload,
                }
            ),
        (
            any::<u64>(),
            any::<u32>(),
            option::of(0..u64::MAX),
            code,
            payload()
        )
            .prop_map(
                |(request, topic, micros, codec, payload)| Message::Request {
                    request,
                    topic,
                    remaining: micros.map(Duration::from_micros),
                    codec: Codec::from(codec),
                    payload,
                }
            ),
        (
            topic(),
            (any::<u64>(), any::<u128>()),
            flags,
            option::of(0..u64::MAX),
            code,
            payload()
        )
            .prop_map(
                |(topic, (time, router), [removed, retained], micros, codec, payload)| {
                    Message::Replicate(RetainedChange {
                        topic,
                        stamp: Stamp { time, router },
                        removed,
                        retained,
                        remaining: micros.map(Duration::from_micros),
                        codec: Codec::from(codec),
                        payload,
                    })
                }
            ),
        (any::<u64>(), any::<bool>(), code, payload()).prop_map(
            |(request, refused, codec, payload)| Message::Reply {
                request,
                refused,
                codec: Codec::from(codec),
                payload,
            }
        ),
    ]
}

proptest! {
    #[test]
    fn a_message_is_decoded_as_it_was_encoded(message in message(), rest in vec(any::<u8>(), 0..9)) {
        let mut bytes = encoded(&message);
        let length = bytes.len();
        bytes.extend(rest);
        let kind = message.kind();
        let frame = Decoded::Frame { length, uncompressed: length, kind, message: Some(message) };
        prop_assert_eq!(decode(&bytes, &CAPS), Ok(frame));
    }

    #[test]
    fn each_part_of_a_frame_needs_more(message in message()) {
        let bytes = encoded(&message);
        for end in 0..bytes.len() {
            let needed = if end < HEADER { HEADER } else { bytes.len() };
            prop_assert_eq!(decode(&bytes[..end], &CAPS), Ok(Decoded::Incomplete { needed }));
        }
    }

    #[test]
    fn any_bytes_are_decoded_without_a_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes, &CAPS);
    }

    #[test]
    fn a_changed_frame_is_decoded_without_a_panic(message in message(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = encoded(&message);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(Decoded::Frame { message: Some(message), .. }) = decode(&bytes, &CAPS) {
            let _ = encoded(&message);
        }
    }

    #[test]
    fn unknown_fields_are_ignored(message in message(), more in vec(any::<u8>(), 0..20)) {
        let mut bytes = encoded(&message);
        let head = usize::from(u16::from_be_bytes([bytes[6], bytes[7]]));
        let length = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        bytes.splice(HEADER + head..HEADER + head, more.iter().copied());
        bytes[..4].copy_from_slice(&(length + u32::try_from(more.len()).unwrap()).to_be_bytes());
        bytes[6..8].copy_from_slice(&u16::try_from(head + more.len()).unwrap().to_be_bytes());
        let Ok(Decoded::Frame { message: found, .. }) = decode(&bytes, &CAPS) else {
            return Err(TestCaseError::fail("no frame"));
        };
        prop_assert_eq!(found, Some(message));
    }
}

#[test]
fn a_long_body_is_refused_by_its_header() {
    let refused = |kind: Kind, length: u32, caps: &Caps| {
        let [a, b, c, d] = length.to_be_bytes();
        decode(&[a, b, c, d, kind.0, 0, 0, 0], caps)
    };
    for (kind, cap) in [(Kind::PING, CAPS.control), (Kind::PUBLISH, CAPS.bulk)] {
        let allowed = u32::try_from(cap).unwrap();
        let needed = HEADER + cap;
        assert_eq!(
            refused(kind, allowed, &CAPS),
            Ok(Decoded::Incomplete { needed })
        );
        let length = cap + 1;
        let error = WireError::TooLong { kind, length, cap };
        assert_eq!(refused(kind, allowed + 1, &CAPS), Err(error));
    }
    let result = refused(Kind::HELLO, 1025, &Caps::HELLO);
    assert!(matches!(result, Err(WireError::TooLong { cap: 1024, .. })));
    let result = refused(Kind::PUBLISH, 1, &Caps::HELLO);
    assert!(matches!(result, Err(WireError::TooLong { cap: 0, .. })));
}

#[test]
fn unknown_kinds_are_ignored_unless_critical() {
    let frame = |kind, flags| decode(&[0, 0, 0, 2, kind, flags, 0, 1, 7, 7], &CAPS);
    for kind in [Kind(0x3f), Kind(0x7f)] {
        let ignored = Decoded::Frame {
            length: 10,
            uncompressed: 10,
            kind,
            message: None,
        };
        assert_eq!(frame(kind.0, 0), Ok(ignored));
    }
    assert_eq!(
        frame(0x80, 0),
        Err(WireError::Critical {
            kind: Kind(0x80),
            flags: 0
        })
    );
    assert_eq!(
        frame(0x3f, 0x10),
        Err(WireError::Critical {
            kind: Kind(0x3f),
            flags: 0x10
        })
    );
}

#[test]
fn a_message_that_does_not_fit_is_not_encoded() {
    let to = vec![1; 20_000];
    let message = Message::Publish {
        topic: 0,
        retain: false,
        retained: false,
        codec: Codec::Raw,
        to,
        payload: Bytes::from([0_u8; 0]),
    };
    let mut bytes = vec![1];
    let result = encode(&message, &mut bytes);
    assert!(matches!(result, Err(WireError::TooLong { .. })));
    assert_eq!(bytes, [1]);
}

#[test]
fn a_long_explanation_is_cut_between_characters() {
    let message = Message::Goodbye {
        reason: GoodbyeReason::Done,
        last_request: 0,
        text: "é".repeat(200) + "x",
    };
    let Ok(Decoded::Frame {
        message: Some(Message::Goodbye { text, .. }),
        ..
    }) = decode(&encoded(&message), &CAPS)
    else {
        panic!()
    };
    assert_eq!(text, "é".repeat(MAX_TEXT / 2));
}

#[test]
fn a_time_is_rounded_up_and_kept_below_no_deadline() {
    for (time, decoded) in [
        (Duration::from_nanos(1), Duration::from_micros(1)),
        (Duration::MAX, Duration::from_micros(u64::MAX - 1)),
    ] {
        let message = Message::Request {
            request: 1,
            topic: 0,
            remaining: Some(time),
            codec: Codec::Raw,
            payload: Bytes::from([0_u8; 0]),
        };
        let Ok(Decoded::Frame {
            message: Some(Message::Request { remaining, .. }),
            ..
        }) = decode(&encoded(&message), &CAPS)
        else {
            panic!()
        };
        assert_eq!(remaining, Some(decoded));
    }
}

#[test]
fn an_explanation_controls_no_terminal() {
    let message = Message::Goodbye {
        reason: GoodbyeReason::Done,
        last_request: 0,
        text: "é\x1b[2J\r\n\u{9b}31m\u{202e}x\u{2028}".to_owned(),
    };
    let Ok(Decoded::Frame {
        message: Some(Message::Goodbye { text, .. }),
        ..
    }) = decode(&encoded(&message), &CAPS)
    else {
        panic!()
    };
    assert_eq!(text, "é?[2J???31m?x?");
}
