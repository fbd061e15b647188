//! Systems of components, seen from outside.

#![cfg(feature = "tokio")]

mod balancer;
mod batches;
mod groups;
mod lookup;
#[cfg(all(feature = "net", unix))]
mod sockets;
mod starting;
mod status;
mod stopping;
mod support;
