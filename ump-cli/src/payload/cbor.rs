//! CBOR from JSON, and JSON from CBOR.

use base64::{Engine, prelude::BASE64_STANDARD};
use ciborium::Value as Cbor;
use serde_json::{Map, Value as Json};

/// Encodes a value.
pub(super) fn encode(value: &impl serde::Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A `Vec` takes everything, and texts and JSON can always be encoded.
    let _ = ciborium::into_writer(value, &mut bytes);
    bytes
}

/// Decodes a value, which must be all of the bytes.
pub(super) fn decode(mut bytes: &[u8]) -> Option<Cbor> {
    let value = ciborium::from_reader(&mut bytes).ok()?;
    bytes.is_empty().then_some(value)
}

/// Converts to JSON. What JSON does not have becomes text: bytes in base64, numbers beyond 64
/// bits and infinite ones, keys that are not texts. Tags are left out.
pub(super) fn to_json(value: &Cbor) -> Json {
    match value {
        Cbor::Integer(integer) => integer_to_json(i128::from(*integer)),
        Cbor::Float(float) => serde_json::Number::from_f64(*float)
            .map_or_else(|| Json::from(float.to_string()), Json::from),
        Cbor::Bool(it) => Json::from(*it),
        Cbor::Text(text) => Json::from(text.as_str()),
        Cbor::Bytes(bytes) => Json::from(BASE64_STANDARD.encode(bytes)),
        Cbor::Array(values) => values.iter().map(to_json).collect(),
        Cbor::Map(entries) => {
            let entries = entries
                .iter()
                .map(|(key, value)| (key_to_json(key), to_json(value)));
            Json::Object(entries.collect::<Map<_, _>>())
        }
        Cbor::Tag(_, inner) => to_json(inner),
        _ => Json::Null,
    }
}

fn integer_to_json(integer: i128) -> Json {
    if let Ok(integer) = i64::try_from(integer) {
        Json::from(integer)
    } else if let Ok(integer) = u64::try_from(integer) {
        Json::from(integer)
    } else {
        Json::from(integer.to_string())
    }
}

fn key_to_json(key: &Cbor) -> String {
    match key {
        Cbor::Text(text) => text.clone(),
        other => to_json(other).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_survives_cbor() {
        let value = json!({"b": [1, -2, 3.5, true, null, "x"], "a": {"n": u64::MAX}});
        assert_eq!(to_json(&decode(&encode(&value)).unwrap()), value);
    }

    #[test]
    fn cbor_that_json_lacks_becomes_text() {
        let value = Cbor::Map(vec![
            (Cbor::from(1), Cbor::Bytes(vec![1, 2])),
            (
                Cbor::Text("t".into()),
                Cbor::Tag(1, Box::new(Cbor::from(2))),
            ),
            (Cbor::Text("f".into()), Cbor::Float(f64::INFINITY)),
        ]);
        let expected = json!({"1": "AQI=", "t": 2, "f": "inf"});
        assert_eq!(to_json(&value), expected);
    }

    #[test]
    fn rest_and_truncation_are_no_cbor() {
        assert!(decode(&[0x01, 0x02]).is_none());
        assert!(decode(&[0x82, 0x01]).is_none());
        assert!(decode(&[]).is_none());
        assert!(decode(&[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).is_none());
        assert!(decode(&vec![0x81; 100_000]).is_none());
    }
}
