//! What goes over a router: types of messages and of requests, each with a prefix of its own.

use std::{fmt, ops::Deref, sync::Arc};

/// What is published, to be received by everybody who subscribed to it.
///
/// It is shared by its subscribers, not copied and not serialised. The [prefix](Self::PREFIX) stands before each of its topics, and keeps it apart
/// from all other types of messages: to subscribe to `**` is to subscribe to all of *this* type.
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
    /// One or more fragments of a [topic](crate::topic), of this type alone: a second type of messages with the same prefix, or with one that
    /// begins with it, is [refused](crate::ProtocolError).
    const PREFIX: &'static str;
}

/// What is asked of the server of a topic.
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
    /// What comes back.
    type Reply: Send + 'static;
    /// With what the server refuses a request.
    type Error: Send + 'static;
    /// As that of a [message](Message::PREFIX). A type of messages and one of requests may have the same: they do not meet.
    const PREFIX: &'static str;
}

/// Bytes of which this process does not know what they mean: for tools, and for what is relayed. They are messages, and requests too.
///
/// Their topics have no prefix but their own first fragments. They are not those of typed messages: within a process a typed message has no bytes.
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
