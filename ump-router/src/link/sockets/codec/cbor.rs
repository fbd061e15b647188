//! CBOR, which describes itself. A field that a reader does not know is skipped, and an optional
//! one may be missing.

use serde::{Serialize, de::DeserializeOwned};

use crate::protocol::Bytes;

pub(super) fn encode<T: Serialize>(value: &T) -> Option<Bytes> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).ok()?;
    Some(bytes.into())
}

pub(super) fn decode<T: DeserializeOwned>(mut payload: &[u8]) -> Option<T> {
    let value = ciborium::from_reader(&mut payload).ok()?;
    payload.is_empty().then_some(value)
}
