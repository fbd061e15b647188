//! The sockets of a loop, for the tasks of its handler.

mod tcp;
#[cfg(all(feature = "tun", target_os = "linux"))]
mod tun;
mod udp;

#[cfg(all(feature = "tun", target_os = "linux"))]
pub use self::tun::{LoopTun, TunOptions};
pub use self::{tcp::LoopTcp, udp::LoopUdp};
