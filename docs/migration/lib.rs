//! The pages about migration from other libraries. `cargo test -p migration` compiles and runs the
//! programs on them, before and after.
#![cfg(doctest)]

#[doc = include_str!("tokio.md")]
struct Tokio;

#[doc = include_str!("actix.md")]
struct Actix;

#[doc = include_str!("kameo.md")]
struct Kameo;

#[doc = include_str!("ractor.md")]
struct Ractor;

#[doc = include_str!("gen-server.md")]
struct GenServer;
