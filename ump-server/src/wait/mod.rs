//! Helpers that several kinds of waiting share.

pub(crate) mod executor;
pub(crate) mod wakers;
