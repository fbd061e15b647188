//! Waits for something other than a reply: room in a queue, the end of a loop, many replies at
//! once, a handler that is being made. A wait that would certainly wait for itself ends in an
//! error; all others wait.
#![cfg(feature = "tokio")]

mod driving;
mod ends;
mod making;
mod many;
mod room;
mod support;
