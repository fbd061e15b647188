//! What loops on threads, on tasks and in pools have in common: each test runs on each of them.

mod ends;
mod factories;
mod panics;
mod requests;
mod support;
