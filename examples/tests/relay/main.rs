//! The relay: the format of its messages, its state machine in virtual time, and the program with
//! a client of another project.

#![cfg(unix)]

#[path = "../../relay/stun/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the program uses the rest")]
mod stun;
#[path = "../../relay/turn/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the program uses the rest")]
mod turn;

#[path = "../process/mod.rs"]
mod process;

mod client;
mod codec;
mod program;
mod refusals;
mod sessions;
mod world;
