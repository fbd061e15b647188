#![cfg_attr(all(feature = "http", unix), doc = include_str!("../README.md"))]
#![cfg_attr(
    not(all(feature = "http", unix)),
    doc = "The admin surface of a running program: REST, dashboard, metrics, logs."
)]
#![forbid(unsafe_code)]

#[cfg(all(feature = "http", unix))]
mod admin;
#[cfg(all(feature = "http", unix))]
mod api;
#[cfg(all(feature = "http", unix))]
mod dashboard;
#[cfg(feature = "log")]
pub mod log;
#[cfg(all(feature = "http", unix))]
mod model;
#[cfg(all(feature = "http", unix))]
pub mod module;
#[cfg(all(feature = "http", unix))]
mod serve;

#[cfg(all(feature = "http", unix))]
pub use crate::{
    admin::{Admin, AdminHandle, ListenError},
    serve::{Address, AddressError},
};
#[cfg(all(feature = "http", unix))]
pub use serde_json;
