//! The errors of systems, and the report of how one ended.

#[cfg(feature = "config")]
pub(super) mod config_error;
pub(super) mod error;
pub(super) mod stop_report;
