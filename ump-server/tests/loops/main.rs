//! The common behaviour of all loops: each test runs on a thread, on a task, and in pools of both.

mod ends;
mod factories;
mod panics;
mod requests;
mod support;
mod timers;
