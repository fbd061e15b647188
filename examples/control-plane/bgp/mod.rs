//! Sessions with real neighbours: BGP-4 (RFC 4271), without sockets and without a clock.
//!
//! | module | what it is |
//! |---|---|
//! | [`codec`] | messages as values and as bytes |
//! | [`session`] | the state machine of one neighbour: a sans-IO task |
//!
//! Nothing here knows the rest of the control plane.

pub(crate) mod codec;
pub(crate) mod session;
