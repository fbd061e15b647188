#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

#[cfg(not(any(loom, shuttle)))]
mod buffer;
pub mod bus;
mod catch;
#[cfg_attr(any(loom, shuttle), path = "deadlock/none.rs")]
mod deadlock;
#[cfg(not(any(loom, shuttle)))]
mod hash;
#[cfg(all(feature = "net", unix, not(any(loom, shuttle))))]
pub mod net;
#[cfg(not(all(feature = "net", unix, not(any(loom, shuttle)))))]
#[path = "net/none.rs"]
mod net;
#[cfg(loom)]
#[doc(hidden)]
#[path = "net/readiness.rs"]
pub mod net_readiness;
#[cfg(loom)]
#[doc(hidden)]
#[path = "net/wake.rs"]
pub mod net_wake;
mod observe;
mod record;
#[cfg(not(any(loom, shuttle)))]
pub mod sans_io;
#[cfg(feature = "serde")]
mod serial;
pub mod service;
mod sync;
#[cfg(not(any(loom, shuttle)))]
pub mod system;
#[cfg(all(feature = "tokio", not(any(loom, shuttle))))]
pub mod task;
mod testing;
pub mod thread;
pub mod timer;
mod wait;
pub mod watchdog;
mod worker;

pub use ump::{self, Client, Clock, Error, PanicMessage, Refused, WeakClient, channel};

#[cfg(all(feature = "tokio", not(any(loom, shuttle))))]
pub use ump_macros::async_trait;
pub use ump_macros::service;

#[cfg(feature = "metrics")]
pub use crate::observe::refresh_metrics;
#[cfg(all(feature = "tokio", not(any(loom, shuttle))))]
pub use crate::task::{Handler as AsyncHandler, spawn as spawn_task};
pub use crate::{
    record::{InHand, WorkerState, WorkerStatus},
    testing::test_clock::TestClock,
    thread::{Handler as ThreadedHandler, spawn as spawn_thread},
    timer::{TimerId, Timers},
    worker::context::Context,
    worker::failure_event::{Decision, FailureEvent},
    worker::join::{JoinHandle, LoopStartError},
    worker::join_error::{JoinError, JoinErrorKind},
    worker::on_panic::{OnPanic, Restart},
    worker::reply_context::ReplyContext,
    worker::schedule::{AttributeRefused, OnRefusal},
    worker::spawn_error::SpawnError,
    worker::stop::{Stop, Stopper},
};
