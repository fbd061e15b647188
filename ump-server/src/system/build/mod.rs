//! The definition of a system, in code and in configuration files.

pub(super) mod builder;
#[cfg(feature = "config")]
pub(super) mod config;
pub(super) mod plan;
