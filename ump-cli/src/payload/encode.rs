//! Payloads from the command line, from files and from the output of programs.

use std::{fs, io::Read, path::PathBuf};

use ump_router::{Bytes, link::wire::Codec};

use super::cbor;
use crate::exit::Error;

/// The longest payload that is read from a file. Servers allow less by default.
const MAX_FILE: u64 = 1 << 30;

/// An encoded payload.
#[derive(Clone, Debug)]
pub(crate) struct Payload {
    pub(crate) codec: Codec,
    pub(crate) bytes: Bytes,
}

/// How the bytes of a text or a file are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum CodecName {
    /// CBOR: a text becomes a text of CBOR, a file has to be CBOR
    Cbor,
    /// postcard: the bytes have to be postcard
    Postcard,
    /// Bytes without a structure
    Raw,
}

/// The payload of a message, a request or a reply.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct PayloadArgs {
    /// A text, as a CBOR text unless --codec says otherwise
    #[arg(
        long,
        value_name = "TEXT",
        group = "payload",
        allow_hyphen_values = true
    )]
    pub(crate) text: Option<String>,
    /// A JSON value, sent as CBOR
    #[arg(
        long,
        value_name = "JSON",
        group = "payload",
        allow_hyphen_values = true
    )]
    pub(crate) json_payload: Option<String>,
    /// The bytes of a file, raw unless --codec says otherwise
    #[arg(long, value_name = "FILE", group = "payload")]
    pub(crate) file: Option<PathBuf>,
    /// How the bytes of --text, --file or lines are sent
    #[arg(long, value_name = "CODEC")]
    pub(crate) codec: Option<CodecName>,
}

impl From<CodecName> for Codec {
    fn from(name: CodecName) -> Self {
        match name {
            CodecName::Cbor => Self::Cbor,
            CodecName::Postcard => Self::Postcard,
            CodecName::Raw => Self::Raw,
        }
    }
}

impl PayloadArgs {
    /// Returns the payload that the arguments name, if they name one.
    pub(crate) fn payload(&self) -> Result<Option<Payload>, Error> {
        if let Some(text) = &self.text {
            return Ok(Some(Payload::text(text, self.codec)));
        }
        if let Some(json) = &self.json_payload {
            if !matches!(self.codec, None | Some(CodecName::Cbor)) {
                return Err(Error::usage(
                    "--json-payload is sent as CBOR: leave --codec out",
                ));
            }
            return Payload::json(json).map(Some);
        }
        let Some(path) = &self.file else {
            return Ok(None);
        };
        let failed = |error| Error::usage(format!("cannot read {}: {error}", path.display()));
        let mut bytes = Vec::new();
        let file = fs::File::open(path).map_err(failed)?;
        file.take(MAX_FILE)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        let codec = self.codec.map_or(Codec::Raw, Codec::from);
        Ok(Some(Payload::new(codec, bytes)))
    }
}

impl Payload {
    pub(crate) fn new(codec: Codec, bytes: Vec<u8>) -> Self {
        let bytes = bytes.into();
        Self { codec, bytes }
    }

    /// Encodes a text: as CBOR, unless another codec is asked for.
    pub(crate) fn text(text: &str, codec: Option<CodecName>) -> Self {
        match codec {
            None | Some(CodecName::Cbor) => Self::new(Codec::Cbor, cbor::encode(&text)),
            Some(other) => Self::new(other.into(), text.as_bytes().to_vec()),
        }
    }

    /// Encodes a JSON value as CBOR.
    pub(crate) fn json(json: &str) -> Result<Self, Error> {
        let value: serde_json::Value = serde_json::from_str(json)
            .map_err(|error| Error::usage(format!("the payload is not JSON: {error}")))?;
        Ok(Self::new(Codec::Cbor, cbor::encode(&value)))
    }
}

/// Returns what a program gets on its standard input: the text of a CBOR text, JSON of other CBOR,
/// and the bytes of anything else.
pub(crate) fn to_input(codec: Codec, payload: &Bytes) -> Vec<u8> {
    if codec == Codec::Cbor {
        match cbor::decode(payload) {
            Some(ciborium::Value::Text(text)) => return text.into_bytes(),
            Some(value) => return cbor::to_json(&value).to_string().into_bytes(),
            None => {}
        }
    }
    payload.to_vec()
}

/// Returns the payload for the output of a program: in the codec of the request. For CBOR that is
/// a JSON value if `is_json`, and otherwise a text without the last line end, or else its bytes.
pub(crate) fn from_output(codec: Codec, is_json: bool, output: Vec<u8>) -> Result<Payload, Error> {
    if codec != Codec::Cbor {
        return Ok(Payload::new(codec, output));
    }
    match String::from_utf8(output) {
        Ok(json) if is_json => Payload::json(&json),
        Ok(text) => Ok(Payload::text(
            text.strip_suffix('\n').unwrap_or(&text),
            None,
        )),
        Err(_) if is_json => Err(Error::usage("the output is not JSON")),
        Err(bytes) => {
            let bytes = ciborium::Value::Bytes(bytes.into_bytes());
            Ok(Payload::new(Codec::Cbor, cbor::encode(&bytes)))
        }
    }
}
