//! The examples of `PROTOCOL.md`.

use std::collections::BTreeSet;

#[cfg(feature = "compression")]
use ump_router::link::wire::encode_compressed;
use ump_router::link::wire::{Caps, Decoded, Kind, decode, encode};

const DOCUMENT: &str = include_str!("../../PROTOCOL.md");

/// The text of the blocks with this language, in order.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    let parts = DOCUMENT.split(fence.as_str()).skip(1);
    parts
        .map(|part| part.split("\n```").next().unwrap())
        .collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.split_whitespace()
        .map(|byte| u8::from_str_radix(byte, 16).unwrap())
        .collect()
}

#[test]
fn each_example_is_decoded_and_encoded() {
    let (examples, messages) = (blocks("hex"), blocks("text"));
    assert_eq!(examples.len(), messages.len());
    let mut kinds = BTreeSet::new();
    for (example, shown) in examples.into_iter().zip(messages) {
        let bytes = bytes(example);
        let decoded = decode(&bytes, &Caps::default());
        let Ok(Decoded::Frame {
            length,
            kind,
            message: Some(message),
            ..
        }) = decoded
        else {
            panic!("{shown}: {decoded:?}");
        };
        assert_eq!(length, bytes.len(), "{shown}");
        assert_eq!(format!("{message:?}"), shown);
        let mut again = Vec::new();
        encode(&message, &mut again).unwrap();
        assert_eq!(again, bytes, "{shown}");
        kinds.insert(kind);
    }
    let all: BTreeSet<_> = Kind::ALL.iter().copied().collect();
    assert_eq!(kinds, all, "each kind has an example");
}

#[cfg(feature = "compression")]
#[test]
fn the_compressed_example_is_decoded_and_encoded() {
    let (examples, messages) = (blocks("hex lz4"), blocks("text lz4"));
    assert_eq!((examples.len(), messages.len()), (1, 1));
    let bytes = bytes(examples[0]);
    let caps = Caps {
        compression: true,
        ..Caps::default()
    };
    let Ok(Decoded::Frame {
        length,
        uncompressed,
        message: Some(message),
        ..
    }) = decode(&bytes, &caps)
    else {
        panic!("{:?}", decode(&bytes, &caps));
    };
    assert_eq!((length, uncompressed), (bytes.len(), 8 + 11 + 40));
    assert_eq!(format!("{message:?}"), messages[0]);
    let mut again = Vec::new();
    encode_compressed(&message, &mut again).unwrap();
    // There may be other blocks for the same payload.
    let Ok(Decoded::Frame { message: found, .. }) = decode(&again, &caps) else {
        panic!("{again:02x?}");
    };
    assert_eq!(found, Some(message));
}

#[test]
fn the_table_of_kinds_is_complete() {
    for kind in Kind::ALL {
        let name = kind.name().unwrap().to_lowercase();
        let row = format!("| {:#04x} | {name} |", kind.0);
        assert!(DOCUMENT.contains(&row), "{row}");
    }
}
