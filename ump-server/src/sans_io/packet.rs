//! The network as a task sees it: received and transmitted packets.

use std::{mem, net::SocketAddr};

use super::{Payload, Unused};

/// A kind of network: the types of a task's network inputs and outputs.
///
/// [`Datagrams`] is the usual one, and [`NoNetwork`] is for tasks without a network. Another kind,
/// say streams, implements this trait for a type of its own.
pub trait Network {
    /// The input of a task. It may borrow from the driver's buffers.
    type Input<'a>: Send;
    /// The output of a task.
    type Output: Send;

    /// Makes an input independent of the driver's buffers. It copies borrowed bytes only.
    fn into_owned(input: Self::Input<'_>) -> Self::Input<'static>;
}

/// The network of tasks that exchange datagrams: [`Receive`] and [`Transmit`].
#[derive(Clone, Copy, Debug)]
pub enum Datagrams {}

impl Network for Datagrams {
    type Input<'a> = Receive<'a>;
    type Output = Transmit;

    fn into_owned(input: Receive<'_>) -> Receive<'static> {
        input.into_owned()
    }
}

/// The network of tasks that have none.
#[derive(Clone, Copy, Debug)]
pub enum NoNetwork {}

impl Network for NoNetwork {
    type Input<'a> = Unused;
    type Output = Unused;

    fn into_owned(input: Unused) -> Unused {
        input
    }
}

/// The number of a socket, by which a driver and its tasks refer to it.
///
/// The driver assigns the numbers. A driver with one socket calls it zero, which is the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketNumber(pub u32);

impl SocketNumber {
    /// Returns the number of the socket with this index.
    pub(super) fn of(index: usize) -> Self {
        Self(u32::try_from(index).unwrap_or(u32::MAX))
    }
}

/// A packet that a task receives.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receive<'a> {
    /// The socket that received the packet.
    pub socket: SocketNumber,
    /// The address of the sender.
    pub source: SocketAddr,
    /// The address to which the packet was sent, if the driver knows it.
    pub destination: Option<SocketAddr>,
    /// Whether the packet was longer than the buffer of the driver, so that its end is lost.
    pub is_truncated: bool,
    /// The content.
    pub payload: Payload<'a>,
}

impl<'a> Receive<'a> {
    /// Creates a packet from `source`, received by the socket with the number zero.
    pub fn new(source: SocketAddr, payload: impl Into<Payload<'a>>) -> Self {
        Self {
            socket: SocketNumber::default(),
            source,
            destination: None,
            is_truncated: false,
            payload: payload.into(),
        }
    }

    /// Sets the socket.
    #[must_use]
    pub fn socket(self, socket: SocketNumber) -> Self {
        Self { socket, ..self }
    }

    /// Sets the destination.
    #[must_use]
    pub fn destination(self, destination: SocketAddr) -> Self {
        Self {
            destination: Some(destination),
            ..self
        }
    }

    /// Sets whether the end of the packet is lost.
    #[must_use]
    pub fn truncated(self, is_truncated: bool) -> Self {
        Self {
            is_truncated,
            ..self
        }
    }

    /// Makes the packet independent of the driver's buffer. It copies a borrowed payload, and moves
    /// any other.
    #[must_use]
    pub fn into_owned(self) -> Receive<'static> {
        Receive {
            socket: self.socket,
            source: self.source,
            destination: self.destination,
            is_truncated: self.is_truncated,
            payload: self.payload.into_owned(),
        }
    }
}

/// A packet that a task sends.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transmit {
    /// The socket that is to send the packet.
    pub socket: SocketNumber,
    /// The address to send from, if the socket has several.
    pub source: Option<SocketAddr>,
    /// The address to send to.
    pub destination: SocketAddr,
    /// The content.
    pub payload: Payload<'static>,
}

impl Transmit {
    /// Creates a packet to `destination`, to be sent by the socket with the number zero.
    pub fn new(destination: SocketAddr, payload: impl Into<Payload<'static>>) -> Self {
        Self {
            socket: SocketNumber::default(),
            source: None,
            destination,
            payload: payload.into(),
        }
    }

    /// Sets the socket.
    #[must_use]
    pub fn socket(self, socket: SocketNumber) -> Self {
        Self { socket, ..self }
    }

    /// Sets the source.
    #[must_use]
    pub fn source(self, source: SocketAddr) -> Self {
        Self {
            source: Some(source),
            ..self
        }
    }
}

// A packet is moved through several queues.
const _: () = assert!(mem::size_of::<Receive<'static>>() <= 128);
