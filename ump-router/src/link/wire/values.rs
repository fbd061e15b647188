//! The values of fields. A value that a receiver does not know stays as it is.

use std::fmt;

macro_rules! codes {
    ($(#[$doc:meta])* $type:ident; $($(#[$variant_doc:meta])* $name:ident = $code:literal,)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize))]
        #[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
        #[non_exhaustive]
        pub enum $type {
            $($(#[$variant_doc])* $name,)*
            /// A code that this version does not know.
            Other(u8),
        }

        impl $type {
            /// Returns the code of the protocol.
            #[must_use]
            pub fn code(self) -> u8 {
                match self {
                    $(Self::$name => $code,)*
                    Self::Other(code) => code,
                }
            }
        }

        impl From<u8> for $type {
            fn from(code: u8) -> Self {
                match code {
                    $($code => Self::$name,)*
                    other => Self::Other(other),
                }
            }
        }
    };
}

codes! {
    /// How a payload is encoded. Links and hubs carry payloads without looking into them.
    Codec;
    /// CBOR, which describes itself.
    Cbor = 0,
    /// postcard.
    Postcard = 1,
    /// Bytes without a structure.
    Raw = 2,
}

codes! {
    /// The answer to a subscribe or a serve.
    Status;
    /// The subscription exists, or the topic is served.
    Accepted = 0,
    /// The claim stands by until the topic has no server.
    StandingBy = 1,
    /// Another server has the topic.
    Taken = 2,
    /// The rules do not allow it.
    Denied = 3,
    /// A quota is used up.
    Quota = 4,
    /// The claim was lost.
    Lost = 5,
}

codes! {
    /// Why a request has no reply.
    Failure;
    /// A handler took the request and did not answer it.
    NoReply = 1,
    /// The topic has no server.
    NoServer = 2,
    /// The server is gone.
    ServerLost = 3,
    /// The deadline passed.
    TimedOut = 4,
    /// The caller cancelled it.
    Cancelled = 5,
    /// A queue or a quota is full.
    Full = 6,
    /// The rules do not allow it.
    Denied = 7,
    /// The payload could not be decoded.
    Malformed = 8,
    /// The reply is too large for the link.
    TooLarge = 9,
    /// The caller is, directly or in a circle, the one who would have to answer.
    WouldDeadlock = 10,
    /// A link behind this one is lost.
    LinkLost = 11,
}

codes! {
    /// Why a session ends.
    GoodbyeReason;
    /// The sender has no more use for the link.
    Done = 0,
    /// The sender's process ends.
    ShuttingDown = 1,
    /// The two have no version in common.
    Version = 2,
    /// A feature that the receiver requires is missing.
    Feature = 3,
    /// The peer broke the protocol.
    Violation = 4,
    /// The peer exceeded a limit.
    Limit = 5,
    /// The peer was silent, or a deadline passed.
    TimedOut = 6,
    /// The rules do not allow the peer.
    Denied = 7,
    /// Both ends are the same router.
    OwnRouter = 8,
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cbor => "CBOR",
            Self::Postcard => "postcard",
            Self::Raw => "raw bytes",
            Self::Other(code) => return write!(f, "codec {code}"),
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoReply => "a handler took the request and did not answer it",
            Self::NoServer => "the topic has no server",
            Self::ServerLost => "the server is gone",
            Self::TimedOut => "the deadline passed",
            Self::Cancelled => "the request was cancelled",
            Self::Full => "a queue or a quota is full",
            Self::Denied => "the rules do not allow it",
            Self::Malformed => "a payload could not be encoded or decoded",
            Self::TooLarge => "a message is too large for the link",
            Self::WouldDeadlock => "the caller would have waited for itself",
            Self::LinkLost => "the link was lost",
            Self::Other(code) => return write!(f, "failure {code}"),
        })
    }
}
