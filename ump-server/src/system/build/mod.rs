//! The definition of a system, in code and in configuration files.

pub(super) mod builder;
#[cfg(feature = "config")]
pub(super) mod config;
mod definition;
mod plan;
mod start;
