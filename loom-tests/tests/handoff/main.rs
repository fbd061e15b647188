//! Models of the direct handoff: a client that was just served leaves its next request in its slot,
//! where the receiver looks.
//!
//! Most models begin with a slot that is already armed (`warm`), so that few steps are left to
//! explore. The guards in brackets are the invariants at the top of `ump/src/channel/handoff.rs`
//! and the bits in the table of `ump/src/slot/mod.rs`.
#![cfg(loom)]

mod delivery;
mod ends;
mod receivers;
mod withdrawal;
