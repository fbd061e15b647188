//! Two routers with a bridge between them, in memory: the transport is a loop of this test.

#![cfg(all(unix, not(any(loom, shuttle))))]

mod announcements;
mod messages;
mod requests;
mod wire;
