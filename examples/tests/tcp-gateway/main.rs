//! `tcp-gateway` as a process, with real clients, real sockets and a real file.

#![cfg(unix)]

mod admin;
mod clients;
mod commands;
mod durability;
mod limits;
mod pipeline;
#[path = "../process/mod.rs"]
mod process;
mod protocol;
mod support;
