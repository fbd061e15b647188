//! CBOR, which describes itself. A field that a reader does not know is skipped, and an optional
//! one may be missing.

use std::{cell::Cell, thread::LocalKey};

use ciborium::{de::from_reader_with_buffer, into_writer};
use serde::{Serialize, de::DeserializeOwned};

use crate::protocol::Bytes;

/// The length of the texts and bytes that a value may borrow while it is decoded.
const BORROWED: usize = 4096;

/// A buffer that is longer after a payload is not kept.
const KEPT: usize = 64 << 10;

// The buffers of this thread, which are used again. To make one takes as long as to encode or
// decode a small payload.
thread_local! {
    static ENCODED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// It has its length, unless it was not used yet.
    static DECODED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Calls `code` with a buffer of this thread. If the user's code in it comes here again, it gets
/// another one.
fn with_buffer<T>(
    of_thread: &'static LocalKey<Cell<Vec<u8>>>,
    code: impl FnOnce(&mut Vec<u8>) -> T,
) -> T {
    // There is none while the thread ends.
    let mut buffer = of_thread.try_with(Cell::take).unwrap_or_default();
    let value = code(&mut buffer);
    if buffer.capacity() <= KEPT {
        let _ = of_thread.try_with(|it| it.set(buffer));
    }
    value
}

pub(super) fn encode<T: Serialize>(value: &T) -> Option<Bytes> {
    with_buffer(&ENCODED, |bytes| {
        bytes.clear();
        into_writer(value, &mut *bytes).ok()?;
        Some(bytes[..].into())
    })
}

pub(super) fn decode<T: DeserializeOwned>(mut payload: &[u8]) -> Option<T> {
    let value = with_buffer(&DECODED, |buffer| {
        buffer.resize(BORROWED, 0);
        from_reader_with_buffer(&mut payload, buffer).ok()
    });
    value.filter(|_| payload.is_empty())
}
