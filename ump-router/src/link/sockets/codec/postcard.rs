//! postcard: the values alone, in the order of the fields.

use postcard::Deserializer;
use serde::{Serialize, de::DeserializeOwned};

use super::limited::{Limited, Limits};
use crate::protocol::Bytes;

pub(super) fn encode<T: Serialize>(value: &T) -> Option<Bytes> {
    postcard::to_extend(value, Vec::new()).ok().map(Bytes::from)
}

pub(super) fn decode<T: DeserializeOwned>(payload: &[u8]) -> Option<T> {
    let mut deserializer = Deserializer::from_bytes(payload);
    let limits = Limits::new(payload.len());
    let value = T::deserialize(Limited::new(&mut deserializer, &limits)).ok()?;
    let rest = deserializer.finalize().ok()?;
    rest.is_empty().then_some(value)
}
