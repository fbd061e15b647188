//! The public interface: both ends of a channel, and the types that their methods return.

pub(crate) mod ask;
pub(crate) mod builder;
mod channel_event;
pub(crate) mod client;
pub(crate) mod closed;
pub(crate) mod deserted;
pub(crate) mod drained;
pub(crate) mod dyn_client;
pub(crate) mod gather;
pub(crate) mod loop_requests;
pub(crate) mod permit;
pub(crate) mod receive;
pub(crate) mod reply_context;
pub(crate) mod request;
pub(crate) mod request_future;
pub(crate) mod server;
pub(crate) mod typed;
pub(crate) mod wait_reply;
