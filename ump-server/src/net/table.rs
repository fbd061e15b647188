//! The open sockets of a worker, by id.

use std::sync::Arc;

use super::{SocketId, socket::Socket};

/// The open sockets of a worker. A place that is free again gets the next generation.
#[derive(Debug, Default)]
pub(super) struct Table {
    places: Vec<Place>,
    free: Vec<u32>,
    /// The number of the handler: only its own handles register sockets.
    pub(super) era: u64,
}

#[derive(Debug, Default)]
struct Place {
    generation: u32,
    socket: Option<Arc<Socket>>,
}

impl Table {
    /// Inserts a socket that is made with its id.
    pub(super) fn insert(&mut self, make: impl FnOnce(SocketId) -> Arc<Socket>) -> Arc<Socket> {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place::default());
            u32::try_from(self.places.len() - 1).expect("there are fewer descriptors")
        });
        let place = &mut self.places[index as usize];
        let socket = make(SocketId {
            index,
            generation: place.generation,
        });
        place.socket = Some(Arc::clone(&socket));
        socket
    }

    /// Removes a socket, if it is there.
    pub(super) fn remove(&mut self, id: SocketId) -> Option<Arc<Socket>> {
        let place = self.places.get_mut(id.index())?;
        let removed = place.socket.take_if(|socket| socket.id == id)?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(id.index);
        Some(removed)
    }

    /// Returns the open socket of a token. The sockets of closed ones have other generations.
    #[inline]
    pub(super) fn get(&self, token: mio::Token) -> Option<&Arc<Socket>> {
        let place = self.places.get(token.0 & INDEX)?;
        let socket = place.socket.as_ref()?;
        (token_of(socket.id) == token).then_some(socket)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Socket>> {
        self.places.iter().filter_map(|place| place.socket.as_ref())
    }

    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }
}

/// The number of bits of a token for the index. The rest is for the generation, as much of it as
/// fits.
const INDEX_BITS: u32 = if usize::BITS >= 64 { 32 } else { 20 };
const INDEX: usize = (1 << INDEX_BITS) - 1;

/// Returns the token of a socket for the selector.
pub(super) fn token_of(id: SocketId) -> mio::Token {
    mio::Token((id.generation as usize) << INDEX_BITS | id.index())
}

/// The token of the waker. No socket has it: there are not so many descriptors.
pub(super) const WAKER: mio::Token = mio::Token(usize::MAX);

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::{
        net::{SocketKind, socket::NewSocket},
        observe::SocketMeter,
    };

    #[test]
    fn a_token_of_a_closed_socket_finds_nothing() {
        let mut table = Table::default();
        let new = |id| {
            let meter = SocketMeter::new(&"table".into(), 0);
            NewSocket::of(SocketKind::Udp).with_id(id, Instant::now(), meter)
        };
        let first = table.insert(new).id;
        assert_eq!(table.get(token_of(first)).unwrap().id, first);
        assert!(table.remove(first).is_some());
        assert!(table.remove(first).is_none());
        let second = table.insert(new).id;
        assert_eq!(first.index(), second.index());
        assert!(table.get(token_of(first)).is_none());
        assert!(table.remove(first).is_none());
        assert_eq!(table.get(token_of(second)).unwrap().id, second);
        assert_eq!(table.len(), 1);
    }
}
