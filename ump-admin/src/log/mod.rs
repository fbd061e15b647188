//! Log records, written off the hot path: all of [`ump_log`].

pub use ump_log::*;
