#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod blocking;
mod context;
#[cfg_attr(any(loom, shuttle), path = "deadlock/none.rs")]
mod deadlock;
mod desk;
mod end;
mod failure_event;
mod fate;
mod observe;
mod options;
mod panics;
mod reply_context;
mod schedule;
#[cfg(feature = "serde")]
mod serial;
mod spawn_error;
mod stop;
mod sync;
#[cfg(not(any(loom, shuttle)))]
pub mod system;
#[cfg(all(feature = "tokio", not(any(loom, shuttle))))]
pub mod task;
mod test_clock;
pub mod thread;
pub mod timer;
mod wakers;
pub mod watchdog;
mod worker;

pub use ump::{self, Client, Clock, Error, PanicMessage, Refused, WeakClient, channel};

#[cfg(all(feature = "tokio", not(any(loom, shuttle))))]
pub use ump_macros::async_trait;

#[cfg(feature = "metrics")]
pub use crate::observe::refresh_metrics;
#[cfg(all(feature = "tokio", not(any(loom, shuttle))))]
pub use crate::task::{Handler as AsyncHandler, spawn as spawn_task};
pub use crate::{
    context::Context,
    desk::{InHand, WorkerState, WorkerStatus},
    end::{JoinError, JoinErrorKind, JoinHandle, StartError},
    failure_event::{Decision, FailureEvent},
    panics::{OnPanic, Restart},
    reply_context::ReplyContext,
    schedule::{AttributeRefused, OnRefusal},
    spawn_error::SpawnError,
    stop::{Stop, Stopper},
    test_clock::TestClock,
    thread::{Handler as ThreadedHandler, spawn as spawn_thread},
    timer::{TimerId, Timers},
};
