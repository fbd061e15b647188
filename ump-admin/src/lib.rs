//! The admin surface of a running program: REST, dashboard, metrics, logs.
#![forbid(unsafe_code)]

#[cfg(feature = "log")]
pub mod log;
