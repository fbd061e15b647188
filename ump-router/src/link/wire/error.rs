//! The error of bytes that are no frame.

use super::kind::Kind;
use crate::topic::TopicError;

/// The error of bytes that are not a frame of the protocol, or of a message that does not fit into
/// one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The body of a frame is longer than the receiver allows. Found in the header, before the body
    /// arrives; or in the length that a compressed payload declares, which is also longer than the
    /// cap if it is more than 255 times that of the payload.
    #[error("a body of {length} bytes in a frame of kind {number:#04x}: at most {cap} are allowed", number = .kind.0)]
    TooLong {
        /// The kind.
        kind: Kind,
        /// The length of the body.
        length: usize,
        /// The cap.
        cap: usize,
    },
    /// The fields of a frame end before their last one, or are longer than the frame.
    #[error("the fields of a frame of kind {number:#04x} have a wrong length", number = .kind.0)]
    Fields {
        /// The kind.
        kind: Kind,
    },
    /// A text is not UTF-8, or too long.
    #[error("a text in a frame of kind {number:#04x} is not valid", number = .kind.0)]
    Text {
        /// The kind.
        kind: Kind,
    },
    /// A topic or pattern is not valid.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// A kind or flag is unknown, and must not be ignored.
    #[error("a frame of kind {number:#04x} with flags {flags:#04x} is not known, and must not be ignored", number = .kind.0)]
    Critical {
        /// The kind.
        kind: Kind,
        /// The flags.
        flags: u8,
    },
    /// A compressed payload cannot be decompressed into the length that it declares.
    #[error("the compressed payload of a frame of kind {number:#04x} is not valid", number = .kind.0)]
    Compression {
        /// The kind.
        kind: Kind,
    },
    /// The first bytes are not those of a hello.
    #[error("the peer does not speak this protocol: its first bytes are no hello")]
    NoHello,
}
