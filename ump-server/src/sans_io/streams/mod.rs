//! The network of tasks that exchange streams of bytes.

mod connection;
mod deadlines;
mod limits;
mod table;
mod values;

#[cfg(any(all(feature = "net", unix), feature = "tokio-net"))]
pub(super) use self::limits::limit_methods;
pub use self::values::{
    CloseReason, ConnectionId, Origin, StreamConnect, StreamInput, StreamOutput, Streams,
};
pub(super) use self::{connection::ByteStream, limits::StreamLimits, table::Connections};
