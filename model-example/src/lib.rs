//! Two servers that send requests to each other, small enough to be model-checked: an account, and
//! an audit of it.
//!
//! Each owns its state. A deposit is answered when the audit has recorded it. A check requests the
//! account's statement and compares. So each depends on the other, and a mistake in that makes the
//! program hang, rarely. There are three versions:
//!
//! | module | how they depend on each other | |
//! |---|---|---|
//! | [`waiting`] | each waits for the other's reply within its loop | wrong: a concurrent deposit and check hang |
//! | [`passing`] | the account hands the reply context on to the audit, and never waits | right, on threads |
//! | [`tasks`] | the account keeps the reply context until the audit has replied, and goes on | right, as tasks |
//!
//! `tests/books.rs` runs them: on native threads and, built with `--cfg loom`, in every order in
//! which they could run. To model your own servers, copy `explore` from that file, [`sync`] and
//! `Cargo.toml`.

#![forbid(unsafe_code)]

mod journal;
pub mod messages;
pub mod passing;
pub mod sync;
pub mod tasks;
pub mod waiting;
