//! What all loops have in common: each test runs on a thread, on a task, and in pools of both.

mod ends;
mod factories;
mod panics;
mod requests;
mod support;
