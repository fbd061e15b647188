//! The network of whole packets.

use super::{Network, Payload, SocketNumber};

/// The network of tasks that exchange whole packets with an interface of the system: IP packets
/// with a TUN interface, Ethernet frames with a TAP interface. Its inputs and its outputs are
/// [`RawPacket`]s. A packet that cannot be sent is dropped and counted.
#[derive(Clone, Copy, Debug)]
pub enum RawPackets {}

impl Network for RawPackets {
    type Input<'a> = RawPacket<'a>;
    type Output = RawPacket<'static>;

    fn into_owned(input: RawPacket<'_>) -> RawPacket<'static> {
        input.into_owned()
    }
}

/// A packet with all its headers, which an interface has received or is to send.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RawPacket<'a> {
    /// The interface.
    pub interface: SocketNumber,
    /// The headers and the content.
    pub payload: Payload<'a>,
}

impl<'a> RawPacket<'a> {
    /// Creates a packet of an interface.
    pub fn new(interface: SocketNumber, payload: impl Into<Payload<'a>>) -> Self {
        Self {
            interface,
            payload: payload.into(),
        }
    }

    /// Makes the packet independent of the driver's buffer. It copies a borrowed payload, and moves
    /// an owned one.
    #[must_use]
    pub fn into_owned(self) -> RawPacket<'static> {
        RawPacket {
            interface: self.interface,
            payload: self.payload.into_owned(),
        }
    }
}
