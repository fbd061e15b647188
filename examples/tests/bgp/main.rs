//! The BGP of the control plane without the rest: its codec, and its sessions in virtual time.

#[path = "../../control-plane/bgp/mod.rs"]
#[allow(dead_code, reason = "the control plane uses the rest")]
mod bgp;

mod by_hand;
mod codec;
mod faults;
mod network;
mod session;
mod updates;
