//! The examples of `PROTOCOL.md`.

use std::collections::BTreeSet;

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

#[test]
fn the_table_of_kinds_is_complete() {
    for kind in Kind::ALL {
        let name = kind.name().unwrap().to_lowercase();
        let row = format!("| {:#04x} | {name} |", kind.0);
        assert!(DOCUMENT.contains(&row), "{row}");
    }
}
