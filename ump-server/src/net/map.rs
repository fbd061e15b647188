//! The user's state of each socket, by its id.

use std::fmt;

use super::SocketId;

/// A dense map from the ids of open sockets to values, such as the state of a connection.
///
/// Access is by index, without hashing. The id of a closed socket finds nothing, even if another
/// socket has its place. It takes memory for the largest number of sockets that were open at once.
///
/// ```
/// # use ump_server::net::{SocketId, SocketMap};
/// # fn with(id: SocketId) {
/// let mut names = SocketMap::new();
/// names.insert(id, "a connection");
/// assert_eq!(names.get(id), Some(&"a connection"));
/// assert_eq!(names.remove(id), Some("a connection"));
/// assert!(names.is_empty());
/// # }
/// ```
#[derive(Clone)]
pub struct SocketMap<V> {
    entries: Vec<Option<(SocketId, V)>>,
    len: usize,
}

impl<V> SocketMap<V> {
    /// Creates an empty map.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            entries: Vec::new(),
            len: 0,
        }
    }

    /// Inserts a value. Returns the value that it replaces: that of the same id, or of a closed
    /// socket with the same place.
    pub fn insert(&mut self, id: SocketId, value: V) -> Option<V> {
        if self.entries.len() <= id.index() {
            self.entries.resize_with(id.index() + 1, || None);
        }
        let replaced = self.entries[id.index()].replace((id, value));
        self.len += usize::from(replaced.is_none());
        replaced.map(|(_, value)| value)
    }

    /// Returns the value of this id.
    #[must_use]
    pub fn get(&self, id: SocketId) -> Option<&V> {
        match self.entries.get(id.index()) {
            Some(Some((key, value))) if *key == id => Some(value),
            _ => None,
        }
    }

    /// Returns the value of this id, to be changed.
    #[must_use]
    pub fn get_mut(&mut self, id: SocketId) -> Option<&mut V> {
        match self.entries.get_mut(id.index()) {
            Some(Some((key, value))) if *key == id => Some(value),
            _ => None,
        }
    }

    /// Removes and returns the value of this id.
    pub fn remove(&mut self, id: SocketId) -> Option<V> {
        self.get(id)?;
        let removed = self.entries[id.index()].take();
        self.len -= 1;
        removed.map(|(_, value)| value)
    }

    /// Returns the number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there is no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Iterates over the ids and their values.
    pub fn iter(&self) -> impl Iterator<Item = (SocketId, &V)> {
        self.entries
            .iter()
            .flatten()
            .map(|(id, value)| (*id, value))
    }

    /// Iterates over the ids and their values, which can be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (SocketId, &mut V)> {
        let entries = self.entries.iter_mut().flatten();
        entries.map(|(id, value)| (*id, value))
    }
}

impl<V> Default for SocketMap<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V: fmt::Debug> fmt::Debug for SocketMap<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
