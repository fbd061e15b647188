//! Payloads: CBOR, which describes itself. A field that a reader does not know is skipped, and an
//! optional one may be missing.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Serialize, de::DeserializeOwned};

use super::Malformed;
use crate::protocol::Bytes;

/// Encodes a value. A panic of its code is an error: it must not end the links of others.
pub(super) fn encode<T: Serialize>(value: &T) -> Result<Bytes, Malformed> {
    let encoded = catch_unwind(AssertUnwindSafe(|| {
        let mut bytes = Vec::new();
        ciborium::into_writer(value, &mut bytes).map(|()| bytes)
    }));
    match encoded {
        Ok(Ok(bytes)) => Ok(bytes.into()),
        _ => Err(Malformed),
    }
}

/// Decodes a value, which must be all of the payload.
pub(super) fn decode<T: DeserializeOwned>(mut payload: &[u8]) -> Result<T, Malformed> {
    let decoded = catch_unwind(AssertUnwindSafe(|| ciborium::from_reader(&mut payload)));
    match decoded {
        Ok(Ok(value)) if payload.is_empty() => Ok(value),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Old {
        name: String,
    }

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct New {
        name: String,
        #[serde(default)]
        unit: Option<String>,
    }

    #[test]
    fn an_added_optional_field_breaks_no_reader() {
        let name = || "height".to_owned();
        let new = New {
            name: name(),
            unit: Some("m".to_owned()),
        };
        let old: Old = decode(&encode(&new).unwrap()).unwrap();
        assert_eq!(old, Old { name: name() });
        let expected = New {
            name: name(),
            unit: None,
        };
        assert_eq!(decode::<New>(&encode(&old).unwrap()).unwrap(), expected);
    }

    #[test]
    fn no_prefix_of_a_payload_is_one() {
        let whole = encode(&("a text", 7_u64, vec![1.5, 2.5])).unwrap();
        for cut in 0..whole.len() {
            assert!(decode::<(String, u64, Vec<f64>)>(&whole[..cut]).is_err());
        }
        let longer = [&whole[..], &[0]].concat();
        assert!(decode::<(String, u64, Vec<f64>)>(&longer).is_err());
    }

    #[test]
    fn a_declared_length_allocates_nothing() {
        // An array of 2^60 elements, and a text of 2^60 bytes.
        for major in [0x9b, 0x7b] {
            let bytes = [major, 0x10, 0, 0, 0, 0, 0, 0, 0, 1];
            assert!(decode::<Vec<u64>>(&bytes).is_err());
            assert!(decode::<String>(&bytes).is_err());
        }
    }

    #[test]
    fn a_panic_of_a_type_is_an_error() {
        struct Broken;
        impl Serialize for Broken {
            fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                panic!("a message that cannot be encoded")
            }
        }
        assert!(encode(&Broken).is_err());
    }
}
