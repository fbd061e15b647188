//! Links between routers in different processes.
//!
//! - [`wire`] encodes and decodes the messages of the protocol. `PROTOCOL.md`, in the folder of
//!   this crate, describes it.
//! - [`session`] has the state of one end of a link: bytes in, bytes out, the time as an argument.
#![cfg_attr(
    all(feature = "link", unix, not(any(loom, shuttle))),
    doc = "- [`sockets`] connects the router of a process to others."
)]

#[cfg(not(all(feature = "link", unix, not(any(loom, shuttle)))))]
mod none;
pub mod session;
#[cfg(all(feature = "link", unix, not(any(loom, shuttle))))]
pub mod sockets;
pub mod wire;

#[cfg(not(all(feature = "link", unix, not(any(loom, shuttle)))))]
pub(crate) use self::none::{Links, wait_for_request, while_blocking};
#[cfg(all(feature = "link", unix, not(any(loom, shuttle))))]
pub(crate) use self::sockets::{Links, wait_for_request, while_blocking};
