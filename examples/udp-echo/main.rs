//! Measures a path by UDP: a server that sends datagrams back, and a client that counts them.
//!
//! ```sh
//! cargo run --release --example udp-echo -- server
//! cargo run --release --example udp-echo -- client --size 1400 --window 64
//! ```
//!
//! Each is one loop on one thread, which owns its socket. A datagram, a timer and a request (to
//! stop) end the same wait, and are three methods of one handler: see server.rs, the simpler one.
//!
//! ```text
//!              on_socket: sends back, or counts        server.rs, client.rs (flights.rs: the window)
//!   socket ──▶ ┌──────┐
//!   timers ──▶ │ loop │ on_timer: prints the rates     rates.rs
//!   client ──▶ └──────┘ handle: stops
//! ```

#[cfg(unix)]
mod args;
#[cfg(unix)]
mod client;
#[cfg(unix)]
mod flights;
#[cfg(unix)]
mod rates;
#[cfg(unix)]
mod run;
#[cfg(unix)]
mod server;

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    cli::run_with_args(run::run)
}

#[cfg(not(unix))]
fn main() -> std::process::ExitCode {
    cli::needs_unix("udp-echo")
}
