//! A request between the public interface and the channel: its slot, and the way into the queue.

pub(crate) mod pending;
pub(crate) mod pool;
pub(crate) mod room;
pub(crate) mod send;
