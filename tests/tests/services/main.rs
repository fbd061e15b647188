//! Services with typed methods, from outside: on every kind of loop, and behind a topic.
#![allow(clippy::unused_self, reason = "a method of a service has a receiver")]

mod calls;
mod generics;
mod loops;
mod names;
mod outcomes;
mod timers;
