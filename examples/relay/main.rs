//! A STUN and TURN server over UDP.
//!
//! ```text
//!  turn/      the protocol, as sans-IO tasks       allocation.rs, listener.rs: no socket, no clock
//!  stun/      the format of its messages
//!  worker.rs  a component, an instance for each worker: runs the tasks in its loop
//!  sockets.rs its sockets: opened when an allocation wants one, closed when it ends
//!  admin.rs   a component: commands of the operator, by requests to the workers
//! ```
//!
//! This file starts the [`server`], reads commands, and stops it when a signal arrives.

#[cfg(unix)]
mod admin;
#[cfg(unix)]
mod args;
#[cfg(unix)]
mod run;
#[cfg(unix)]
mod server;
#[cfg(unix)]
mod sockets;
#[cfg(unix)]
mod stun;
#[cfg(unix)]
mod turn;
#[cfg(unix)]
mod worker;

use std::process::ExitCode;

#[cfg(unix)]
fn main() -> ExitCode {
    cli::run_with_args(run::run)
}

#[cfg(not(unix))]
fn main() -> ExitCode {
    cli::needs_unix("relay")
}
