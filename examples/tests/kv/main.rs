//! The key-value service as its users meet it: a process, sockets, a file, and signals.

#![cfg(unix)]

mod crash;
mod durability;
mod ends;
mod events;
mod import;
mod overload;
mod support;
mod topics;
mod ttl;
mod values;
