//! What is shown: snapshots of the program, as plain data.
//!
//! A snapshot is read at most five times per second, however many clients ask, so that they cannot
//! slow the program by asking.

mod cache;
mod component;
mod link;
mod sources;
mod topic;

pub(crate) use self::{
    cache::Cache,
    component::{Component, Condition, Instance, Socket},
    link::Link,
    sources::Sources,
    topic::{Retained, RouterState, Subscription, Topic, TopicServer},
};
