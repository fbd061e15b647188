//! Peers that do not keep to the protocol.

use proptest::{collection::vec, prelude::*};
use ump_router::{
    Bytes,
    link::{
        session::{Closed, Config, Event, Session},
        wire::{Codec, Hello, Limits, Message, Status, WireError, encode},
    },
};

use crate::{
    codec::message,
    pair::{Pair, ROOM, config},
};

/// Gives an open session frames of a peer. Returns why it was closed, if it was.
fn after(configured: Config, messages: &[Message]) -> (Pair, Option<Closed>) {
    let mut pair = Pair::opened([configured, config(2)]);
    let mut bytes = Vec::new();
    for message in messages {
        encode(message, &mut bytes).unwrap();
    }
    pair.wires[0].extend(bytes);
    pair.read(0, usize::MAX);
    let closed = pair.take(0).into_iter().find_map(|event| match event {
        Event::Closed(closed) => Some(closed),
        _ => None,
    });
    (pair, closed)
}

fn request(request: u64) -> Message {
    Message::Request {
        request,
        topic: 0,
        remaining: None,
        codec: Codec::Raw,
        payload: Bytes::from([0_u8; 0]),
    }
}

fn topic() -> Message {
    Message::Topic {
        number: 0,
        topic: "a".parse().unwrap(),
    }
}

fn publish(to: u32, length: usize) -> Message {
    Message::Publish {
        topic: 0,
        retain: false,
        retained: false,
        codec: Codec::Raw,
        to: vec![to],
        payload: Bytes::from(vec![0_u8; length]),
    }
}

fn subscribe(id: u32) -> Message {
    Message::Subscribe {
        id,
        retained: false,
        messages: 1,
        bytes: 1,
        pattern: "a".parse().unwrap(),
    }
}

#[test]
fn a_breach_of_the_protocol_ends_the_session() {
    let pattern = Message::Topic {
        number: 0,
        topic: "a/*".parse().unwrap(),
    };
    let far = Message::Topic {
        number: 1024,
        topic: "a".parse().unwrap(),
    };
    let serve = |id| Message::Serve {
        id,
        stand_by: false,
        topic: "a".parse().unwrap(),
    };
    let (request_1, taken) = (request(1), Message::Taken { request: 1 });
    let breaches = [
        vec![request_1.clone()],
        vec![pattern, request_1.clone()],
        vec![topic(), request_1.clone(), request_1.clone()],
        vec![far],
        vec![topic(), publish(1, 0)],
        vec![subscribe(1), subscribe(1)],
        vec![subscribe(2), subscribe(1)],
        vec![Message::Unsubscribe { id: 1 }],
        vec![Message::Gap { id: 1, missed: 1 }],
        vec![serve(1), serve(1)],
        vec![Message::Leave { id: 1 }],
        vec![taken],
        vec![Message::Cancel {
            request: 1,
            expired: false,
        }],
        vec![Message::Reply {
            request: 1,
            refused: false,
            codec: Codec::Raw,
            payload: Bytes::from([0_u8; 0]),
        }],
    ];
    for breach in breaches {
        let (_, closed) = after(config(1), &breach);
        assert!(
            matches!(closed, Some(Closed::Violation(_))),
            "{breach:?}: {closed:?}"
        );
    }
    let (pair, closed) = after(config(1), &[topic(), request(1), subscribe(1), serve(1)]);
    assert_eq!(closed, None);
    assert!(pair.ends[0].is_open());
}

#[test]
fn limits_are_enforced() {
    let limits = Limits {
        requests: 2,
        subscriptions: 2,
        operations: 2,
        frame: 500,
        window: 1016,
        ..Limits::default()
    };
    let strict = || Config {
        limits,
        ..config(1)
    };
    let (_, closed) = after(strict(), &[topic(), request(1), request(2)]);
    assert_eq!(closed, None);
    let (_, closed) = after(strict(), &[topic(), request(1), request(2), request(3)]);
    assert!(matches!(closed, Some(Closed::Violation(_))));
    let (_, closed) = after(strict(), &[subscribe(1), subscribe(2), subscribe(3)]);
    assert!(matches!(closed, Some(Closed::Violation(_))));
    let (_, closed) = after(strict(), &[topic(), publish(1, 600)]);
    assert!(matches!(
        closed,
        Some(Closed::Wire(WireError::TooLong { .. }))
    ));
}

#[test]
fn requests_whose_answers_are_not_read_are_bounded() {
    let mut messages = vec![topic()];
    for number in 1..5000 {
        messages.push(request(number));
        messages.push(Message::Cancel {
            request: number,
            expired: false,
        });
    }
    let (pair, closed) = after(config(1), &messages);
    assert_eq!(
        closed,
        Some(Closed::Violation("more requests than are allowed"))
    );
    assert!(pair.ends[0].queued() < 10);
    let mut messages = Vec::new();
    for id in 1..5000 {
        messages.push(subscribe(id));
        messages.push(Message::Unsubscribe { id });
    }
    let (_, closed) = after(config(1), &messages);
    assert!(matches!(closed, Some(Closed::Violation(_))));
    // Pings are answered once.
    let pings: Vec<_> = (0..5000).map(|token| Message::Ping { token }).collect();
    let (mut pair, closed) = after(config(1), &pings);
    assert_eq!((closed, pair.write(0, usize::MAX)), (None, 16));
}

#[test]
fn more_messages_than_credit_end_the_session() {
    let mut pair = Pair::open();
    let id = pair.subscribe(0, "a", ROOM);
    let mut bytes = Vec::new();
    encode(&topic(), &mut bytes).unwrap();
    for _ in 0..=ROOM.messages {
        encode(&publish(id, 0), &mut bytes).unwrap();
    }
    pair.wires[0].extend(bytes);
    pair.read(0, usize::MAX);
    let events = pair.take(0);
    assert!(matches!(
        events.last(),
        Some(Event::Closed(Closed::Violation(_)))
    ));
    assert_eq!(events.len(), 101);
}

#[test]
fn a_length_is_not_trusted_before_the_data_arrives() {
    let mut pair = Pair::open();
    pair.wires[0].extend([0, 15, 0xff, 0xff, 0x41, 0, 0, 0, 1]);
    pair.read(0, usize::MAX);
    assert!(pair.ends[0].is_open());
    assert!(pair.ends[0].buffered() < 5000);
}

#[test]
fn other_protocols_are_refused_by_their_first_bytes() {
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        &[0; 20],
        &[0xff; 20],
        &[0, 0, 0, 8, 3, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 7],
    ] {
        let mut pair = Pair::new([config(1), config(2)]);
        pair.wires[0].extend(bytes);
        pair.read(0, usize::MAX);
        let events = pair.take(0);
        assert!(
            matches!(events[..], [Event::Closed(_)]),
            "{bytes:?}: {events:?}"
        );
    }
}

#[test]
fn limits_with_which_nothing_works_are_refused() {
    let works = Limits {
        frame: 1000,
        topics: 1,
        subscriptions: 0,
        claims: 0,
        requests: 0,
        operations: 1,
        window: 2016,
    };
    let narrow = Limits {
        window: 2015,
        ..works
    };
    let nameless = Limits { topics: 0, ..works };
    let idle = Limits {
        operations: 0,
        ..works
    };
    for (limits, is_refused) in [
        (works, false),
        (narrow, true),
        (nameless, true),
        (idle, true),
    ] {
        let mut pair = Pair::new([config(1), config(2)]);
        let hello = Hello {
            min_version: 1,
            max_version: 1,
            features: 0,
            required: 0,
            limits,
            router: 3,
            name: String::new(),
        };
        let mut bytes = Vec::new();
        encode(&Message::Hello(hello), &mut bytes).unwrap();
        pair.wires[0].extend(bytes);
        pair.read(0, usize::MAX);
        let closed = |event: &Event| matches!(event, Event::Closed(Closed::Violation(_)));
        let events = pair.take(0);
        assert_eq!(
            events.iter().any(closed),
            is_refused,
            "{limits:?}: {events:?}"
        );
    }
}

#[test]
fn a_peer_without_a_hello_is_held_to_the_small_cap() {
    // The header of the longest frame that an open session takes, and of a hello beyond the cap.
    for header in [[0, 16, 0, 0, 0x41, 0, 0, 0], [0, 0, 4, 1, 1, 0, 0, 80]] {
        let mut pair = Pair::new([config(1), config(2)]);
        pair.wires[0].extend(header);
        pair.read(0, usize::MAX);
        assert_eq!(
            pair.take(0),
            [Event::Closed(Closed::Wire(WireError::NoHello))]
        );
        // What it sends then is not kept.
        pair.wires[0].extend([0, 15, 0, 0, 0x41, 0, 0, 0]);
        pair.wires[0].extend(vec![0; 100_000]);
        pair.read(0, usize::MAX);
        pair.write(0, usize::MAX);
        assert!(pair.ends[0].is_finished());
        assert!(pair.ends[0].buffered() < 2000);
    }
}

#[test]
fn a_peer_that_broke_the_protocol_is_not_listened_to() {
    let (mut pair, closed) = after(config(1), &[Message::Leave { id: 1 }]);
    assert!(matches!(closed, Some(Closed::Violation(_))));
    pair.wires[0].extend([0, 15, 0, 0, 0x41, 0, 0, 0]);
    pair.wires[0].extend(vec![0; 100_000]);
    pair.read(0, usize::MAX);
    assert!(pair.ends[0].buffered() < 10_000);
    assert_eq!(pair.take(0), []);
}

#[test]
fn unknown_frames_use_the_credit_of_the_link_and_return_it() {
    let limits = Limits {
        frame: 500,
        window: 1016,
        ..Limits::default()
    };
    let narrow = Config {
        limits,
        ..config(1)
    };
    let mut pair = Pair::opened([narrow, config(2)]);
    let bulk = |length: u16| {
        let [high, low] = length.to_be_bytes();
        let mut frame = vec![0, 0, high, low, 0x7f, 0, 0, 0];
        frame.extend(vec![7; usize::from(length)]);
        frame
    };
    for _ in 0..10 {
        pair.wires[0].extend(bulk(500));
        pair.read(0, usize::MAX);
        assert!(pair.ends[0].is_open());
        assert_eq!(pair.write(0, usize::MAX), 16, "a window");
    }
    // Three frames at once are more than the window.
    for _ in 0..3 {
        pair.wires[0].extend(bulk(500));
    }
    pair.ends[0].tick(pair.now);
    pair.read(0, usize::MAX);
    let events = pair.take(0);
    let violation = Closed::Violation("more bytes than the link has credit for");
    assert_eq!(events, [Event::Closed(violation)]);
}

#[test]
fn unknown_kinds_and_flags_are_ignored_or_refused_by_their_bits() {
    for (kind, flags, is_ignored) in [
        (0x3f, 0x0f, true),
        (0x7f, 0x0f, true),
        (0x3f, 0x10, false),
        (0x80, 0, false),
        (0xc0, 0, false),
    ] {
        let mut pair = Pair::open();
        pair.wires[0].extend([0, 0, 0, 2, kind, flags, 0, 1, 7, 7]);
        pair.read(0, usize::MAX);
        assert_eq!(pair.ends[0].is_open(), is_ignored, "{kind:#x} {flags:#x}");
        if is_ignored {
            pair.subscribe(0, "a", ROOM);
        }
    }
}

/// Gives an open session the same messages again and again, and takes none of its events and none
/// of its bytes. Returns how many rounds it took, and why it was closed.
fn flood(round: impl Fn(u32) -> Vec<Message>) -> (u32, Option<Closed>) {
    let mut pair = Pair::opened([config(1), config(2)]);
    let session = &mut pair.ends[0];
    for number in 1..100_000 {
        let mut bytes = Vec::new();
        for message in round(number) {
            encode(&message, &mut bytes).unwrap();
        }
        let used = session.receive(pair.now, &bytes);
        assert!(session.buffered() < 100_000);
        assert!(session.queued() < 2000);
        if used < bytes.len() || !session.is_open() {
            let closed =
                std::iter::from_fn(|| session.poll_event()).find_map(|event| match event {
                    Event::Closed(closed) => Some(closed),
                    _ => None,
                });
            return (number, closed);
        }
    }
    (u32::MAX, None)
}

#[test]
fn floods_stop_the_reading_or_end_the_session() {
    let serve = |id| Message::Serve {
        id,
        stand_by: false,
        topic: "a".parse().unwrap(),
    };
    // Events wait: the session reads no further until they are taken.
    let (rounds, closed) = flood(|id| vec![subscribe(id), Message::Unsubscribe { id }]);
    assert!(rounds <= 129 && closed.is_none(), "{rounds} {closed:?}");
    let (rounds, closed) = flood(|id| vec![serve(id), Message::Leave { id }]);
    assert!(rounds <= 129 && closed.is_none(), "{rounds} {closed:?}");
    let (rounds, closed) = flood(|_| vec![Message::Synced]);
    assert!(rounds <= 257 && closed.is_none(), "{rounds} {closed:?}");
    let unretain = || Message::Unretain {
        topic: "a".parse().unwrap(),
    };
    let (rounds, closed) = flood(|_| vec![unretain()]);
    assert!(rounds <= 257 && closed.is_none(), "{rounds} {closed:?}");
    // No events, and nothing is kept: the session goes on.
    let window = |number| Message::Window {
        bytes: u64::from(number),
    };
    let pings = |number| Message::Ping {
        token: u64::from(number),
    };
    assert_eq!(flood(|number| vec![window(number)]), (u32::MAX, None));
    assert_eq!(flood(|number| vec![pings(number)]), (u32::MAX, None));
    assert_eq!(flood(|_| vec![topic()]), (u32::MAX, None));
}

#[test]
fn later_states_of_a_claim_do_not_hide_operations_without_an_answer() {
    let limits = Limits {
        operations: 2,
        ..Limits::default()
    };
    let strict = Config {
        limits,
        ..config(1)
    };
    let mut pair = Pair::opened([strict, config(2)]);
    let claim = pair.ends[1].serve(&"a".parse().unwrap(), true).unwrap();
    pair.settle();
    for status in [Status::StandingBy, Status::Accepted] {
        pair.ends[0].answer_serve(claim, status, "").unwrap();
    }
    let receive = |pair: &mut Pair, id| {
        let mut bytes = Vec::new();
        encode(&subscribe(id), &mut bytes).unwrap();
        pair.wires[0].extend(bytes);
        pair.read(0, usize::MAX);
        pair.ends[0].is_open()
    };
    // With the claim, whose answer is not encoded, these are two.
    assert!(receive(&mut pair, 1));
    pair.write(0, usize::MAX);
    assert!(receive(&mut pair, 2));
    assert!(!receive(&mut pair, 3));
}

proptest! {
    /// Any messages, in any order, cut anywhere: no panic, and memory is bounded.
    #[test]
    fn any_messages_are_survived(messages in vec(message(), 0..40), cut in any::<prop::sample::Index>(), noise in vec(any::<u8>(), 0..20)) {
        let mut bytes = Vec::new();
        for message in &messages {
            encode(message, &mut bytes).unwrap();
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        bytes.extend(noise);
        let mut pair = Pair::opened([config(1), config(2)]);
        pair.subscribe(0, "a", ROOM);
        pair.wires[0].extend(bytes);
        pair.read(0, usize::MAX);
        prop_assert!(pair.ends[0].buffered() < 100_000);
        pair.write(0, usize::MAX);
        let now = pair.now;
        pair.ends[0].disconnected(now);
        let events = pair.take(0);
        let ends = events.iter().filter(|event| matches!(event, Event::Closed(_))).count();
        prop_assert_eq!(ends, 1);
        prop_assert!(matches!(events.last(), Some(Event::Closed(_))));
    }

    #[test]
    fn any_bytes_are_survived(bytes in vec(any::<u8>(), 0..300)) {
        let now = std::time::Instant::now();
        let mut session = Session::new(now, config(1));
        let _ = session.receive(now, &bytes);
        prop_assert!(session.buffered() < 10_000 + 300);
    }
}
