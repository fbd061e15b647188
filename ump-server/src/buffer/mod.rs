//! Buffers of packets: pooled, with headroom; and the content of a packet, wherever it lies.

mod payload;
#[cfg_attr(not(all(feature = "net", unix)), allow(dead_code))]
mod pool;

#[cfg(all(feature = "net", unix))]
pub(crate) use self::pool::LONGEST;
pub use self::{
    payload::Payload,
    pool::{BufferPool, PacketBuffer},
};
