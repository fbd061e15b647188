//! The messages of the protocol, and their encoding.
//!
//! ```
//! use ump_router::link::wire::{Caps, Decoded, Message, decode, encode};
//!
//! let mut bytes = Vec::new();
//! encode(&Message::Ping { token: 7 }, &mut bytes)?;
//! assert_eq!(bytes[..8], [0, 0, 0, 8, 0x03, 0, 0, 8]);
//!
//! // Half a frame needs more.
//! let caps = Caps::default();
//! assert_eq!(decode(&bytes[..10], &caps)?, Decoded::Incomplete { needed: 16 });
//! let Decoded::Frame { length: 16, message: Some(message), .. } = decode(&bytes, &caps)? else { panic!() };
//! assert_eq!(message, Message::Ping { token: 7 });
//! # Ok::<_, ump_router::link::wire::WireError>(())
//! ```

mod compression;
mod decode;
mod encode;
mod error;
mod kind;
mod message;
mod values;

pub use self::{
    compression::encode_compressed,
    decode::{Caps, Decoded, decode},
    encode::encode,
    error::WireError,
    kind::Kind,
    message::{Hello, Limits, Message, RetainedChange},
    values::{Codec, Failure, GoodbyeReason, Status},
};

pub use crate::stamp::Stamp;

/// The feature of compressed payloads, a bit of [`Hello::features`].
pub const COMPRESSION: u64 = 1;

/// The feature of the hello that both ends exchange changes of retained messages:
/// [`Message::Replicate`].
pub const FEATURE_REPLICATE: u64 = 1 << 1;

/// The length of the header of a frame.
pub const HEADER: usize = 8;

/// The first field of a hello, in the place of a version of the format: `ump` and a zero.
pub(crate) const MAGIC: u32 = 0x756d_7000;

/// The maximum length of the body of a control frame, which is not negotiated.
pub const MAX_CONTROL: usize = 4096;

/// The maximum length of the body of a hello, and of any frame before it.
pub const MAX_HELLO: usize = 1024;

/// The maximum length of an explaining text. The encoder cuts a longer one.
pub const MAX_TEXT: usize = 256;
