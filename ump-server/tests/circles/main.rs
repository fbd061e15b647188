//! Waits that are not for a reply: room in a queue, the end of a loop, many replies at once, a handler that is being made. Whoever would wait for
//! itself is told so, if it is certain; all others wait.
#![cfg(feature = "tokio")]

mod driving;
mod ends;
mod making;
mod many;
mod room;
mod scene;
