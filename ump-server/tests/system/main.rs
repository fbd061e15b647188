//! Systems of components, seen from outside.

#![cfg(feature = "tokio")]

mod batches;
mod groups;
mod lookup;
mod spread;
mod starting;
mod status;
mod stopping;
mod support;
