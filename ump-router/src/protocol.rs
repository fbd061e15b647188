//! The types that go over a router: messages and requests, each with a prefix of its own.

use std::{fmt, ops::Deref, sync::Arc};

/// A type of messages, which are published to all their subscribers.
///
/// Subscribers share a message; it is never copied or serialised. The [prefix](Self::PREFIX) stands
/// before each topic, and keeps the type apart from all other types of messages: a subscription to
/// `**` is to all messages of *this* type.
///
/// ```
/// # use ump_router::Message;
/// struct Price(f64);
///
/// impl Message for Price {
///     const PREFIX: &str = "price";
/// }
/// ```
pub trait Message: Send + Sync + 'static {
    /// The first fragments of each [topic](crate::topic) of this type.
    ///
    /// It must be a topic of one fragment at least, 16 at most, and of 256 bytes at most. No other
    /// type of messages on the router may have the same prefix, or one that begins with it; the
    /// second type is [refused](crate::ProtocolError).
    const PREFIX: &'static str;
}

/// A type of messages that are sent to the server of a topic and answered: the messages of
/// requests.
///
/// ```
/// # use ump_router::RequestMessage;
/// struct Balance { account: u32 }
///
/// impl RequestMessage for Balance {
///     type Reply = i64;
///     type Error = String;
///     const PREFIX: &str = "balance";
/// }
/// ```
pub trait RequestMessage: Send + 'static {
    /// The reply of the server.
    type Reply: Send + 'static;
    /// The server's own error, with which it refuses a request.
    type Error: Send + 'static;
    /// As [`Message::PREFIX`]. A type of messages and a type of requests may have the same prefix.
    const PREFIX: &'static str;
}

/// Bytes with a meaning that this process does not know, for tools and relays. They can be
/// published and requested.
///
/// Their topics have no prefix: the topic's own first fragments take its place. Within a process
/// bytes are apart from typed messages, which have no bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Bytes(Arc<[u8]>);

impl Message for Bytes {
    const PREFIX: &'static str = "";
}

impl RequestMessage for Bytes {
    type Reply = Bytes;
    type Error = Bytes;
    const PREFIX: &'static str = "";
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<B: Into<Arc<[u8]>>> From<B> for Bytes {
    fn from(bytes: B) -> Self {
        Self(bytes.into())
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}
