//! A key-value service for Redis clients: loops that own the connections, one blocking thread that
//! owns a SQLite database (the store of `kv`), and `ump` between them.
//!
//! ```text
//!  loops of sockets, on threads                       a component, on a thread (rusqlite)
//!  gateway.rs     accepts, reads, writes              ../kv/store/mod.rs
//!  connection.rs  commands in, replies out   ──▶      handle: one transaction for each batch,
//!  resp.rs        the protocol, sans I/O              committed before the replies
//!  command.rs     what a command asks        ◀──
//!  wakes.rs       brings replies back        a reply, or an error
//! ```
//!
//! run.rs starts both sides, and stops them in the right order.

#[cfg(unix)]
mod args;
#[cfg(unix)]
mod command;
#[cfg(unix)]
mod connection;
#[cfg(unix)]
mod gateway;
#[cfg(unix)]
mod glob;
#[cfg(unix)]
mod reply;
#[cfg(unix)]
mod resp;
#[cfg(unix)]
mod run;
#[cfg(unix)]
mod scan;
#[cfg(unix)]
#[path = "../kv/store/mod.rs"]
#[allow(dead_code, reason = "kv uses all of it")]
mod store;
#[cfg(unix)]
mod totals;
#[cfg(unix)]
mod wakes;

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    cli::run_with_args(run::run)
}

#[cfg(not(unix))]
fn main() -> std::process::ExitCode {
    cli::needs_unix("tcp-gateway")
}
