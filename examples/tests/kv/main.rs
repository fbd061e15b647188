//! The key-value service as a process, with sockets, a file and signals.

#![cfg(unix)]

mod admin;
mod backup;
mod bus;
mod clients;
mod crash;
mod durability;
mod ends;
mod events;
mod faults;
mod import;
mod origin;
mod overload;
mod replay;
mod support;
mod topics;
mod ttl;
mod values;
