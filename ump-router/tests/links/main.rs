//! Routers in different processes, or in one, with real sockets between them. Their links are
//! driven by threads; by tasks if `LINKS_ON_TOKIO` is set.
#![cfg(unix)]

mod access;
#[cfg(target_os = "linux")]
mod cable;
mod codecs;
#[cfg(feature = "compression")]
mod compression;
#[cfg(target_os = "linux")]
mod crowd;
#[cfg(target_os = "linux")]
mod descriptors;
mod hostile;
mod hosts;
mod hub;
mod kill;
mod leading;
mod loss;
mod messages;
mod order;
mod peers;
mod programs;
mod python;
mod raw;
mod readme;
mod reentry;
mod refusals;
mod requests;
mod retained;
mod retained_plain;
mod retained_stamps;
mod silence;
mod soak;
mod status;
mod stopped;
mod support;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tokio")]
mod tokio_driver;
mod unix_socket;
mod waiting;
