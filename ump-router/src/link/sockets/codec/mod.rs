//! How the payloads of a type are encoded: as [CBOR](Cbor), which is the default, as postcard
//! (feature `postcard`), or as the [bytes](Raw) that they are.
//!
//! The program chooses for each type, with [`Router::carry_as`](crate::Router::carry_as) and
//! [`Router::carry_requests_as`](crate::Router::carry_requests_as):
//!
//! ```
//! use ump_router::{Message, Router, link::sockets::codec::Raw};
//!
//! /// A picture, as its file is.
//! struct Picture(Vec<u8>);
//! impl Message for Picture {
//!     const PREFIX: &str = "picture";
//! }
//! impl AsRef<[u8]> for Picture {
//!     fn as_ref(&self) -> &[u8] {
//!         &self.0
//!     }
//! }
//! impl From<Vec<u8>> for Picture {
//!     fn from(bytes: Vec<u8>) -> Self {
//!         Self(bytes)
//!     }
//! }
//!
//! let router = Router::new();
//! router.carry_as::<Picture>(Raw)?;
//! # Ok::<_, ump_router::Error>(())
//! ```
//!
//! # Which one to choose
//!
//! | | CBOR | postcard | raw |
//! |---|---|---|---|
//! | for | programs that are not updated together | programs that are built together, and many small messages | types that are bytes, or that have an encoding of their own |
//! | needs | serde | serde | `AsRef<[u8]>` and `TryFrom<Vec<u8>>` |
//! | a payload has | the names of fields and variants, and all values with their types | the values alone | the bytes alone |
//! | a field or a variant that the reader does not know | a field is skipped, a variant cannot be decoded | cannot be decoded, or is taken for another one | up to the type |
//! | an optional field that the writer does not know | is `None` | cannot be decoded, or another one is taken for it | up to the type |
//! | readable without the type, as by the command `ump` | yes, as JSON | no | if it is text |
//!
//! **The schema of postcard is the order** of the fields and of the variants, and their types. If
//! two programs have another order or another type for one field, the reader may get a wrong value
//! without an error. So a type that travels as postcard is changed by a new type with another
//! prefix. It has no `#[serde(flatten)]`, `untagged`, `tag` or `skip_serializing_if`, which need a
//! payload that describes itself.
//!
//! # What a reader decodes
//!
//! Each payload travels with the name of its codec, and is decoded by that one, whatever the reader
//! has chosen for what it sends: a type that travels as CBOR here is also received as postcard, if
//! the feature is there, and the other way round. So two programs can go from one codec to the
//! other one after the other. Raw bytes are only decoded by a type that is carried as raw bytes,
//! which decodes nothing else. A reply, and the server's own error, is in the codec of its request.
//!
//! What cannot be decoded is told: a message is [`Missed`](crate::RecvError::Missed), and a request
//! ends with [`Failure::Malformed`](crate::link::wire::Failure::Malformed) and a text that says
//! whether the codec or the payload was the reason. A payload must be a value and nothing more.
//!
//! # Limits
//!
//! A payload has nested values to a depth of 128 in postcard and 256 in CBOR. A length that it
//! declares allocates nothing before the bytes are there. In postcard the elements without any
//! bytes, as of a `Vec<()>`, are at most 65,536 in a payload.

mod cbor;
#[cfg(feature = "postcard")]
mod limited;
#[cfg(feature = "postcard")]
mod postcard;

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use serde::{Serialize, de::DeserializeOwned};

pub(super) use self::sealed::Undecodable;
use crate::{link::wire::Codec, protocol::Bytes};

/// A codec for the payloads of `T`: [`Cbor`], [`Raw`], or `Postcard` with the feature `postcard`.
///
/// It is implemented for no other types.
pub trait PayloadCodec<T>: sealed::Codes<T> {}

impl<T, C: sealed::Codes<T>> PayloadCodec<T> for C {}

/// CBOR of RFC 8949, which describes itself: for types with serde. The default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cbor;

/// postcard, which is smaller and quicker, and does not describe itself: for types with serde. With
/// the feature `postcard`.
#[cfg(feature = "postcard")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Postcard;

/// Bytes as they are, without serde: for types with `AsRef<[u8]>` and `TryFrom<Vec<u8>>`, such as
/// your own type with these, and for replies `Vec<u8>` or `Arc<[u8]>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Raw;

#[expect(unnameable_types, reason = "a sealed trait, and its error")]
mod sealed {
    use super::{Bytes, Codec};

    pub trait Codes<T>: Copy {
        /// What values are encoded with, unless another one is asked for.
        const CODEC: Codec;

        /// Encodes a value. The codec is one that `decode` knows.
        fn encode(codec: Codec, value: &T) -> Option<Bytes>;

        fn decode(codec: Codec, payload: &[u8]) -> Result<T, Undecodable>;
    }

    /// Why a payload is not a value of a type.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Undecodable {
        /// The type is not decoded from this codec here.
        Codec(Codec),
        /// The payload is not one of the type.
        Payload(Codec),
    }
}

impl<T: Serialize + DeserializeOwned> sealed::Codes<T> for Cbor {
    const CODEC: Codec = Codec::Cbor;

    fn encode(codec: Codec, value: &T) -> Option<Bytes> {
        encode_serde(codec, value)
    }

    fn decode(codec: Codec, payload: &[u8]) -> Result<T, Undecodable> {
        decode_serde(codec, payload)
    }
}

#[cfg(feature = "postcard")]
impl<T: Serialize + DeserializeOwned> sealed::Codes<T> for Postcard {
    const CODEC: Codec = Codec::Postcard;

    fn encode(codec: Codec, value: &T) -> Option<Bytes> {
        encode_serde(codec, value)
    }

    fn decode(codec: Codec, payload: &[u8]) -> Result<T, Undecodable> {
        decode_serde(codec, payload)
    }
}

impl<T: AsRef<[u8]> + TryFrom<Vec<u8>>> sealed::Codes<T> for Raw {
    const CODEC: Codec = Codec::Raw;

    fn encode(codec: Codec, value: &T) -> Option<Bytes> {
        (codec == Codec::Raw).then(|| value.as_ref().into())
    }

    fn decode(codec: Codec, payload: &[u8]) -> Result<T, Undecodable> {
        if codec != Codec::Raw {
            return Err(Undecodable::Codec(codec));
        }
        payload
            .to_vec()
            .try_into()
            .map_err(|_| Undecodable::Payload(codec))
    }
}

fn encode_serde<T: Serialize>(codec: Codec, value: &T) -> Option<Bytes> {
    match codec {
        Codec::Cbor => cbor::encode(value),
        #[cfg(feature = "postcard")]
        Codec::Postcard => postcard::encode(value),
        _ => None,
    }
}

fn decode_serde<T: DeserializeOwned>(codec: Codec, payload: &[u8]) -> Result<T, Undecodable> {
    let decoded = match codec {
        Codec::Cbor => cbor::decode(payload),
        #[cfg(feature = "postcard")]
        Codec::Postcard => postcard::decode(payload),
        _ => return Err(Undecodable::Codec(codec)),
    };
    decoded.ok_or(Undecodable::Payload(codec))
}

/// For the explanation of a failure.
impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Codec(codec) => write!(f, "this type is not decoded from {codec} here"),
            Self::Payload(codec) => write!(f, "the payload is not {codec} of this type"),
        }
    }
}

/// The functions that encode and decode a type, without the type of the codec. A panic of the type
/// is an error: it must not end the links of others.
pub(super) struct Coder<T> {
    /// What values are encoded with, unless they answer something.
    pub(super) codec: Codec,
    encode: fn(Codec, &T) -> Option<Bytes>,
    decode: fn(Codec, &[u8]) -> Result<T, Undecodable>,
}

impl<T> Coder<T> {
    pub(super) fn of<C: PayloadCodec<T>>(_: &C) -> Self {
        Self {
            codec: C::CODEC,
            encode: C::encode,
            decode: C::decode,
        }
    }

    /// Encodes a value. `None` if its type fails to.
    pub(super) fn encode(&self, codec: Codec, value: &T) -> Option<Bytes> {
        let encoded = catch_unwind(AssertUnwindSafe(|| (self.encode)(codec, value)));
        encoded.ok().flatten()
    }

    /// Decodes a value, which must be all of the payload.
    pub(super) fn decode(&self, codec: Codec, payload: &[u8]) -> Result<T, Undecodable> {
        let decoded = catch_unwind(AssertUnwindSafe(|| (self.decode)(codec, payload)));
        decoded.unwrap_or(Err(Undecodable::Payload(codec)))
    }
}

impl<T> Clone for Coder<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Coder<T> {}

#[cfg(test)]
mod tests;
