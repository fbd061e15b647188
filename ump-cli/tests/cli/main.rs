//! The command as a process, with real sockets.

#![cfg(unix)]

#[cfg(feature = "tls")]
mod authority;
mod compression;
mod gaps;
mod hub;
mod mesh;
mod messages;
mod outcomes;
mod reconnect;
mod replies;
mod retained;
#[cfg(feature = "tls")]
mod security;
mod serving;
mod support;
mod tools;
