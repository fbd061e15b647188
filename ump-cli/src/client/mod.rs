//! A client of a hub that knows no types: whole topics and encoded payloads.
//!
//! ```text
//! command ── Link::next ──▶ events of the session, inputs of other threads, or the deadline
//!              │ the thread of the command reads and writes the socket
//!              ▼
//!           Session (ump-router) ◀──▶ Stream (unix, TCP, TLS over it)
//! ```
//!
//! The thread of the command owns the socket. Other threads (standard input, output, child
//! processes, signals) send inputs, which wake it.

mod connect;
mod known;
mod link;
mod outcome;
mod security;
mod stream;
#[cfg(feature = "tls")]
mod tls;

pub(crate) use ump_router::link::sockets::Address;

pub(crate) use self::{
    connect::{connect, connect_in_steps, resolve},
    known::Known,
    link::{Link, Sender, Step},
    outcome::{failure_exit, refusal_text, status_error},
    security::Security,
    stream::Stream,
};
