//! Payloads that are compressed.

use proptest::prelude::*;
use ump_router::{
    Bytes,
    link::{
        session::{Closed, Config, Event, Session},
        wire::{
            COMPRESSION, Caps, Codec, Decoded, HEADER, Kind, Message, WireError, decode, encode,
            encode_compressed,
        },
    },
};

use crate::pair::{Pair, ROOM, config, publication};

const CAPS: Caps = Caps {
    control: 4096,
    bulk: 10_000,
    compression: true,
};

/// The flag of a compressed payload.
const FLAG: u8 = 0x10;

fn message(payload: &[u8]) -> Message {
    Message::Publish {
        topic: 0,
        retain: false,
        retained: false,
        codec: Codec::Raw,
        to: vec![1],
        payload: payload.into(),
    }
}

fn encoded(message: &Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(message, &mut bytes).unwrap();
    bytes
}

fn compressed(message: &Message) -> Vec<u8> {
    let mut bytes = b"before".to_vec();
    encode_compressed(message, &mut bytes).unwrap();
    bytes.split_off(6)
}

/// A publication with this payload, which says that it is compressed.
fn flagged(payload: &[u8]) -> Vec<u8> {
    let mut bytes = encoded(&message(payload));
    bytes[5] |= FLAG;
    bytes
}

/// A declared length, and a block.
fn block(declared: u32, block: &[u8]) -> Vec<u8> {
    [&declared.to_be_bytes()[..], block].concat()
}

/// A block of LZ4 of so many zeros: of 15 to 4000 of them.
fn zeros(count: usize) -> Vec<u8> {
    let whole = compressed(&message(&vec![0; count]));
    assert_eq!(whole[5], FLAG, "it is compressed");
    whole[HEADER + 11 + 4..].to_vec()
}

proptest! {
    #[test]
    fn what_was_compressed_is_decoded(
        words in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..4),
        order in prop::collection::vec(0_usize..4, 0..200),
    ) {
        let chosen = order.iter().filter_map(|nth| words.get(*nth));
        let payload: Vec<u8> = chosen.flatten().copied().collect();
        let message = message(&payload);
        let (plain, short) = (encoded(&message), compressed(&message));
        prop_assert!(short.len() <= plain.len());
        prop_assert_eq!(short[5] == FLAG, short != plain);
        let frame = Decoded::Frame {
            length: short.len(),
            uncompressed: plain.len(),
            kind: Kind::PUBLISH,
            message: Some(message),
        };
        prop_assert_eq!(decode(&short, &CAPS), Ok(frame));
        for end in 0..short.len() {
            let part = decode(&short[..end], &CAPS);
            let is_part = matches!(part, Ok(Decoded::Incomplete { .. }));
            prop_assert!(is_part);
        }
    }

    #[test]
    fn no_bytes_make_the_decoder_panic_or_exceed_the_cap(
        declared in 0_u32..20_000,
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let decoded = decode(&flagged(&block(declared, &bytes)), &CAPS);
        if let Ok(Decoded::Frame { uncompressed, message: Some(message), .. }) = decoded {
            prop_assert_eq!(encoded(&message).len(), uncompressed);
            prop_assert!(uncompressed <= HEADER + CAPS.bulk);
        }
    }
}

#[test]
fn a_declared_length_beyond_the_cap_is_refused() {
    // The fields have 11 bytes.
    for (declared, length) in [(9_990, 10_001), (u32::MAX, 11 + u32::MAX as usize)] {
        let decoded = decode(&flagged(&block(declared, &[0; 100])), &CAPS);
        let kind = Kind::PUBLISH;
        let error = WireError::TooLong {
            kind,
            length,
            cap: 10_000,
        };
        assert_eq!(decoded, Err(error));
    }
}

#[test]
fn a_length_that_is_not_that_of_the_block_is_refused() {
    let kind = Kind::PUBLISH;
    let good = zeros(4000);
    assert!(decode(&flagged(&block(4000, &good)), &CAPS).is_ok());
    for payload in [
        block(3999, &good),
        block(4001, &good),
        block(0, &good),
        block(4000, &good[..good.len() - 1]),
        block(4000, &[0xff; 100]),
        block(0, &[]),
    ] {
        let decoded = decode(&flagged(&payload), &CAPS);
        assert_eq!(decoded, Err(WireError::Compression { kind }), "{payload:?}");
    }
    for payload in [&[][..], &[0, 0, 1]] {
        let decoded = decode(&flagged(payload), &CAPS);
        assert_eq!(decoded, Err(WireError::Fields { kind }));
    }
}

#[test]
fn a_ratio_that_is_not_possible_allocates_nothing() {
    let kind = Kind::PUBLISH;
    for (declared, bytes) in [(1, 0), (511, 2), (9000, 35)] {
        let decoded = decode(&flagged(&block(declared, &vec![0; bytes])), &CAPS);
        let error = WireError::TooLong {
            kind,
            length: 11 + declared as usize,
            cap: 11 + 255 * bytes,
        };
        assert_eq!(decoded, Err(error));
    }
}

#[test]
fn only_bulk_frames_of_a_link_with_the_feature_are_compressed() {
    let bytes = flagged(&block(4000, &zeros(4000)));
    let off = Caps {
        compression: false,
        ..CAPS
    };
    let critical = |kind, flags| Err(WireError::Critical { kind, flags });
    assert_eq!(decode(&bytes, &off), critical(Kind::PUBLISH, FLAG));
    let mut ping = encoded(&Message::Ping { token: 1 });
    ping[5] = FLAG;
    assert_eq!(decode(&ping, &CAPS), critical(Kind::PING, FLAG));
    let mut other = bytes.clone();
    other[5] = 0x20;
    assert_eq!(decode(&other, &CAPS), critical(Kind::PUBLISH, 0x20));
    // An unknown kind is ignored, and uses the credit of what it declares.
    let mut unknown = bytes;
    unknown[4] = 0x7f;
    let frame = Decoded::Frame {
        length: unknown.len(),
        uncompressed: HEADER + 11 + 4000,
        kind: Kind(0x7f),
        message: None,
    };
    assert_eq!(decode(&unknown, &CAPS), Ok(frame));
}

fn offering(router: u128, is_on: bool) -> Config {
    Config {
        features: if is_on { COMPRESSION } else { 0 },
        ..config(router)
    }
}

#[test]
fn a_link_is_compressed_if_both_ends_offer_it() {
    let long = "a message that repeats itself. ".repeat(100);
    for (one, other) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut pair = Pair::opened([offering(1, one), offering(2, other)]);
        let id = pair.subscribe(0, "a", ROOM);
        for (text, is_short) in [(&*long, one && other), ("short short short", false)] {
            pair.ends[1]
                .publish(&publication("a", text), &[id])
                .unwrap();
            let written = pair.write(1, usize::MAX);
            assert_eq!(written < text.len(), is_short, "{one} {other}");
            pair.settle();
            let Event::Message { payload, .. } = pair.one(0) else {
                panic!("another event");
            };
            assert_eq!(payload, Bytes::from(text.as_bytes()));
        }
    }
}

/// A pair whose end 0 gets frames that are written by hand.
fn narrow() -> (Pair, u32) {
    let mut config = offering(1, true);
    (config.limits.frame, config.limits.window) = (1000, 2016);
    let mut pair = Pair::opened([config, offering(2, true)]);
    let id = pair.subscribe(0, "a", ROOM);
    let mut topic = Vec::new();
    let definition = Message::Topic {
        number: 0,
        topic: "a".parse().unwrap(),
    };
    encode(&definition, &mut topic).unwrap();
    pair.wires[0].extend(topic);
    (pair, id)
}

fn closed(pair: &mut Pair) -> Option<Closed> {
    pair.read(0, usize::MAX);
    let mut events = pair.take(0).into_iter();
    events.find_map(|event| match event {
        Event::Closed(closed) => Some(closed),
        _ => None,
    })
}

#[test]
fn a_bomb_ends_its_link_and_takes_no_memory() {
    let kind = Kind::PUBLISH;
    for (payload, error) in [
        (
            block(1 << 30, &[0; 100]),
            WireError::TooLong {
                kind,
                length: 11 + (1 << 30),
                cap: 1000,
            },
        ),
        (
            block(900, &[0x1f, 0, 1]),
            WireError::TooLong {
                kind,
                length: 911,
                cap: 11 + 3 * 255,
            },
        ),
        (block(100, &[0xff; 90]), WireError::Compression { kind }),
    ] {
        let (mut pair, _) = narrow();
        pair.wires[0].extend(flagged(&payload));
        assert_eq!(closed(&mut pair), Some(Closed::Wire(error)));
        assert!(pair.ends[0].buffered() < 50_000);
        pair.settle();
        assert!(pair.ends.iter().all(Session::is_finished));
    }
}

/// Otherwise a peer could fill the memory with what its window allows, 255 times.
#[test]
fn credit_counts_what_a_payload_takes_when_it_is_decompressed() {
    let (mut pair, id) = narrow();
    let bytes = compressed(&message(&[0; 900]));
    assert!(bytes.len() < 50);
    assert_eq!(id, 1);
    for _ in 0..2 {
        pair.wires[0].extend(&bytes);
    }
    // The events are not taken, so the credit does not come back.
    let all: Vec<u8> = pair.wires[0].drain(..).collect();
    assert_eq!(pair.ends[0].receive(pair.now, &all), all.len());
    assert!(pair.ends[0].buffered() >= 1800);
    let _ = pair.ends[0].receive(pair.now, &bytes);
    let last = pair.take(0).pop();
    let violation = "more bytes than the link has credit for";
    assert_eq!(last, Some(Event::Closed(Closed::Violation(violation))));
}
