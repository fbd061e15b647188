//! Participants on one host, over its loopback interface, and in network namespaces.

#![cfg(target_os = "linux")]

mod delivery;
mod domains;
mod epochs;
mod frozen;
mod hosts;
mod joining;
mod kill;
mod plain;
mod python;
mod scouting;
mod servers;
mod settled;
mod support;
mod transports;
