//! The admin surface over real sockets, asked by a client that sends whatever it likes.

#![cfg(unix)]

mod actions;
mod client;
mod document;
mod events;
mod limits;
mod listening;
#[cfg(feature = "log")]
mod log;
mod metrics;
mod modules;
mod peers;
mod program;
mod rest;
mod sites;
mod systemd;
mod tokens;
