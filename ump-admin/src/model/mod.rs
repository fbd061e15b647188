//! What is shown: snapshots of the program, as plain data.
//!
//! A snapshot is read at most five times per second, however many clients ask, so that they cannot
//! slow the program by asking.

mod cache;
mod component;
mod link;
mod log;
#[cfg(feature = "log")]
mod log_handle;
mod sources;
mod topic;

pub(crate) use self::{
    cache::Cache,
    component::{Component, Condition, Instance, Socket},
    link::Link,
    log::{Bounds, Level, Log, LogSink, LogState, Records, SetFilterError, Wanted},
    sources::Sources,
    topic::{Retained, RouterState, Subscription, Topic, TopicServer},
};
