//! Payloads as people and programs read them.

use base64::{Engine, prelude::BASE64_STANDARD};
use ciborium::Value as Cbor;
use serde_json::{Map, Value as Json};
use ump_router::link::wire::Codec;

use super::cbor;

/// Returns the name of a codec.
fn codec_name(codec: Codec) -> String {
    match codec {
        Codec::Cbor => "cbor".to_owned(),
        Codec::Postcard => "postcard".to_owned(),
        Codec::Raw => "raw".to_owned(),
        other => other.code().to_string(),
    }
}

/// Returns a payload for people: a text as it is, CBOR as JSON, other bytes as base64. What only a
/// reader with its type can decode has the name of its codec in front: `postcard:aGk=`.
pub(crate) fn line(codec: Codec, payload: &[u8]) -> String {
    let decoded = if codec == Codec::Cbor {
        cbor::decode(payload)
    } else {
        None
    };
    match decoded {
        Some(Cbor::Text(text)) => text,
        Some(value) => cbor::to_json(&value).to_string(),
        None => match plain_text(codec, payload) {
            Some(text) => text.to_owned(),
            None if codec == Codec::Raw => BASE64_STANDARD.encode(payload),
            None => format!("{}:{}", codec_name(codec), BASE64_STANDARD.encode(payload)),
        },
    }
}

/// Adds the fields of a payload to an object: `codec`, and `json`, `text` or `base64`.
pub(crate) fn fields(object: &mut Map<String, Json>, codec: Codec, payload: &[u8]) {
    object.insert("codec".to_owned(), Json::from(codec_name(codec)));
    let decoded = if codec == Codec::Cbor {
        cbor::decode(payload)
    } else {
        None
    };
    let (key, value) = if let Some(value) = decoded {
        ("json", cbor::to_json(&value))
    } else if let Some(text) = plain_text(codec, payload) {
        ("text", Json::from(text))
    } else {
        ("base64", Json::from(BASE64_STANDARD.encode(payload)))
    };
    object.insert(key.to_owned(), value);
}

/// Raw bytes are text if they can be.
fn plain_text(codec: Codec, payload: &[u8]) -> Option<&str> {
    (codec == Codec::Raw).then(|| std::str::from_utf8(payload).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_text_json_or_base64() {
        let shown = |codec, bytes: &[u8]| {
            let mut object = Map::new();
            fields(&mut object, codec, bytes);
            (line(codec, bytes), Json::Object(object).to_string())
        };
        let (text, json) = shown(Codec::Cbor, b"\x62hi");
        assert_eq!(
            (text.as_str(), json.as_str()),
            ("hi", r#"{"codec":"cbor","json":"hi"}"#)
        );
        let (text, json) = shown(Codec::Cbor, b"\xf9\x4d\x60");
        assert_eq!(
            (text.as_str(), json.as_str()),
            ("21.5", r#"{"codec":"cbor","json":21.5}"#)
        );
        let (text, json) = shown(Codec::Raw, b"hi");
        assert_eq!(
            (text.as_str(), json.as_str()),
            ("hi", r#"{"codec":"raw","text":"hi"}"#)
        );
        let (text, json) = shown(Codec::Postcard, b"hi");
        assert_eq!(
            (text.as_str(), json.as_str()),
            ("postcard:aGk=", r#"{"codec":"postcard","base64":"aGk="}"#)
        );
        let lines = [
            (Codec::Cbor, "cbor:/w=="),
            (Codec::Raw, "/w=="),
            (Codec::Other(9), "9:/w=="),
        ];
        for (codec, text) in lines {
            assert_eq!(shown(codec, b"\xff").0, text);
        }
    }
}
