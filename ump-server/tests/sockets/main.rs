//! Sockets in loops, with real sockets on the loopback interface. Most tests have their loops on
//! threads, and on tasks if `SOCKETS_ON_TASKS` is set.
#![cfg(unix)]

mod accepting;
mod batches;
mod connecting;
mod datagrams;
mod echo;
mod fairness;
mod life;
mod limits;
mod relay;
mod service;
mod sources;
mod spreading;
mod streams;
mod supervised;
mod support;
mod suspending;
mod taken_away;
#[cfg(feature = "tokio-net")]
mod tasks;
mod unix;
mod waiting;
