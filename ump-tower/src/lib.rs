#![cfg_attr(
    all(feature = "axum", feature = "server", feature = "sink"),
    doc = include_str!("../README.md")
)]
#![cfg_attr(
    not(all(feature = "axum", feature = "server", feature = "sink")),
    doc = "Adapters between `ump` and the ecosystem: tower services both ways, responses for axum, sinks."
)]
#![forbid(unsafe_code)]

mod admission;
#[cfg(feature = "axum")]
pub mod axum;
mod client;
#[cfg(feature = "server")]
mod handler;
mod post;
#[cfg(feature = "sink")]
mod sink;

pub use crate::{
    client::{ClientService, ResponseFuture},
    post::{PostFuture, PostService},
};

#[cfg(feature = "server")]
pub use crate::handler::TowerHandler;
#[cfg(feature = "sink")]
pub use crate::sink::PostSink;
