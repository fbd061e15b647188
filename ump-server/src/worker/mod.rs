//! A worker of a loop, the same on a thread and on a task.

pub(crate) mod context;
pub(crate) mod failure_event;
pub(crate) mod failure_policy;
pub(crate) mod handler_shape;
pub(crate) mod join;
pub(crate) mod join_error;
pub(crate) mod lifecycle;
pub(crate) mod loop_state;
pub(crate) mod on_panic;
pub(crate) mod options;
pub(crate) mod question;
pub(crate) mod recorder;
pub(crate) mod reply_context;
pub(crate) mod schedule;
pub(crate) mod spawn_error;
pub(crate) mod stop;
