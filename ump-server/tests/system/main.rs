//! Systems of components, seen from outside.

#![cfg(feature = "tokio")]

mod groups;
mod lookup;
mod spread;
mod starting;
mod status;
mod stopping;
mod support;
