//! Any bytes: no panic, a frame within the caps, and what is encoded again means the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ump_router::link::wire::{Caps, Decoded, HEADER, decode, encode};

const CAPS: Caps = Caps {
    control: 4096,
    bulk: 10_000,
    compression: true,
};

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    loop {
        match decode(rest, &CAPS) {
            Ok(Decoded::Incomplete { needed }) => {
                assert!(needed > rest.len() && needed <= HEADER + CAPS.bulk);
                break;
            }
            Ok(Decoded::Frame {
                length, message, ..
            }) => {
                // No part of the frame is taken for the whole.
                let part = decode(&rest[..length - 1], &CAPS);
                assert!(matches!(part, Ok(Decoded::Incomplete { .. })), "{part:?}");
                if let Some(message) = message {
                    let mut again = Vec::new();
                    encode(&message, &mut again).expect("it is not longer than it was");
                    let Ok(Decoded::Frame { message: found, .. }) = decode(&again, &CAPS) else {
                        panic!("{message:?}")
                    };
                    assert_eq!(found, Some(message));
                }
                rest = &rest[length..];
            }
            Err(_) => break,
            Ok(other) => panic!("{other:?}"),
        }
    }
});
