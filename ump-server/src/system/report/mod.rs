//! The errors of systems, and the report of how a system stopped.

#[cfg(feature = "config")]
pub(super) mod config_error;
pub(super) mod error;
pub(super) mod failure;
pub(super) mod past_failure;
pub(super) mod past_stall;
pub(super) mod stop_report;
