//! Models of the channel. Each asserts that every request ends exactly once. Loom itself finds a
//! thread that sleeps for ever.
//!
//! The guards in brackets are the invariants at the top of `ump/src/slot/mod.rs` and the rules of
//! waking in `ump/src/channel/mod.rs`.
#![cfg(loom)]

mod delivery;
mod ends;
mod wake_ups;
mod withdrawal;
