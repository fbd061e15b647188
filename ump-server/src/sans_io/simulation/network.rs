//! The networks that a simulation knows.

use std::{cmp::Ordering, net::SocketAddr, time::Instant};

use crate::sans_io::{Datagrams, Network, SocketNumber, Sockets, Streams};

/// A network that a [`Simulation`](super::Simulation) can simulate: [`Datagrams`] and [`Streams`].
///
/// It cannot be implemented outside of this crate.
pub trait SimulatedNetwork: Network + Sized + Sealed {
    /// The sockets of a host.
    #[doc(hidden)]
    type Sockets: Sockets<Self>;

    /// An item on its way from host to host.
    #[doc(hidden)]
    type Item;

    /// Creates the sockets of a host.
    #[doc(hidden)]
    fn sockets(address: SocketAddr, now: Instant) -> Self::Sockets;

    /// Returns the next item that a host has sent, with its destination and its source.
    #[doc(hidden)]
    fn next_sent(sockets: &mut Self::Sockets) -> Option<(SocketAddr, SocketAddr, Self::Item)>;

    /// Gives an item to a socket of its destination. Returns whether there is such a socket.
    #[doc(hidden)]
    fn arrive(
        sockets: &mut Self::Sockets,
        socket: SocketNumber,
        from: SocketAddr,
        item: Self::Item,
    ) -> bool;

    /// Returns the number of the flow, in which all items arrive, and in order. `None` if the item
    /// can be lost.
    #[doc(hidden)]
    fn flow(item: &Self::Item) -> Option<u64>;

    /// Returns a copy of an item that can arrive twice.
    #[doc(hidden)]
    fn copy(item: &Self::Item) -> Option<Self::Item>;
}

/// Keeps [`SimulatedNetwork`] to this crate.
#[expect(unnameable_types, reason = "that is its purpose")]
pub trait Sealed {}

impl Sealed for Datagrams {}
impl Sealed for Streams {}

/// Something on its way, in the order of arrival.
pub(super) struct InFlight<I> {
    pub(super) arrival: Instant,
    pub(super) order: u64,
    pub(super) to: (usize, SocketNumber),
    pub(super) from: SocketAddr,
    pub(super) item: I,
}

impl<I> InFlight<I> {
    fn key(&self) -> (Instant, u64) {
        (self.arrival, self.order)
    }
}

impl<I> PartialEq for InFlight<I> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<I> Eq for InFlight<I> {}

impl<I> PartialOrd for InFlight<I> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<I> Ord for InFlight<I> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}
