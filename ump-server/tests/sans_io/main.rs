//! Sans-IO tasks: one protocol by all drivers, and the contract between tasks and drivers.

#![cfg(not(any(loom, shuttle)))]

mod arq;
mod bus;
mod contract;
mod controller;
mod drivers;
mod fairness;
mod group_model;
mod handover;
#[cfg(all(feature = "net", unix))]
mod loop_tcp;
#[cfg(all(feature = "net", unix))]
mod loop_tcp_limits;
#[cfg(all(feature = "tun", target_os = "linux"))]
mod loop_tun;
#[cfg(all(feature = "net", unix))]
mod loop_udp;
mod owner_by;
#[cfg(feature = "tokio-net")]
mod runner_tcp;
mod simulation;
mod stream_tasks;
mod streams;
mod support;
mod worker_limits;
