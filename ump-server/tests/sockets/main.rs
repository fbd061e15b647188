//! Sockets in loops on threads, with real sockets on the loopback interface.
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
mod unix;
mod waiting;
