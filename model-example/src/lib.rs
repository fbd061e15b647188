//! Two servers that ask each other, small enough to be model-checked: an account, and an audit of its books.
//!
//! Each owns its state. A deposit is answered once the audit has it on record; a check asks the account for its statement, and compares.
//! So each needs the other, and who gets that wrong has a program that hangs, seldom. There are three of them:
//!
//! | module | how they need each other | |
//! |---|---|---|
//! | [`waiting`] | each waits for the other's answer, within its loop | wrong: a deposit and a check at the same time hang |
//! | [`passing`] | the account passes the duty to answer on to the audit, and never waits | threads |
//! | [`tasks`] | the account keeps what it owes until the audit has answered, and goes on | tasks |
//!
//! `tests/books.rs` runs them: with threads as they are, and, built with `--cfg loom`, in every order in which they could run. To make it
//! a model of your own servers, take along that file's `explore`, [`sync`], and `Cargo.toml`.

#![forbid(unsafe_code)]

mod journal;
pub mod messages;
pub mod passing;
pub mod sync;
pub mod tasks;
pub mod waiting;
