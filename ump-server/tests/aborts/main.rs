//! Handler calls on tasks that never end by themselves: a stop aborts them, or they time out.

mod stop;
mod support;
mod system;
mod timeouts;
