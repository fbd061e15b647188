//! Systems of components, seen from outside.

#![cfg(feature = "tokio")]

mod balancer;
mod batches;
mod groups;
mod lookup;
mod starting;
mod status;
mod stopping;
mod support;
