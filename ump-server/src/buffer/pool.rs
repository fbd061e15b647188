//! A bounded pool of buffers.

use std::{
    fmt, mem,
    ops::{Deref, DerefMut, Range},
};

use crate::sync::{Arc, Mutex};

/// No datagram is longer.
pub(crate) const LONGEST: usize = 65_535;

/// The largest headroom, and the largest length of a packet: 1 GiB. So the places in a buffer fit
/// into `u32`.
const LARGEST: usize = 1 << 30;

/// A bounded pool of [buffers](PacketBuffer) for packets.
///
/// A buffer that is dropped returns to its pool. The pool allocates buffers when they are asked
/// for, up to its limit, and keeps them until it is dropped itself. Clones are the same pool.
///
/// ```
/// use ump_server::sans_io::BufferPool;
///
/// let pool = BufferPool::new(2).length(1_500).headroom(16);
/// let (first, second) = (pool.take().unwrap(), pool.take().unwrap());
/// assert!(pool.take().is_none(), "the limit");
/// drop(first);
/// let mut packet = pool.take().unwrap();
/// assert!(packet.append(b"content") && packet.prepend(b"header: "));
/// assert_eq!(*packet, *b"header: content");
/// ```
#[derive(Clone)]
pub struct BufferPool {
    shared: Arc<Shared>,
    form: Form,
    limit: usize,
}

/// The form of the buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Form {
    headroom: usize,
    length: usize,
}

struct Shared(Mutex<State>);

#[derive(Default)]
struct State {
    free: Vec<Vec<u8>>,
    /// The number of buffers in use.
    taken: usize,
}

impl BufferPool {
    /// Creates a pool of at most `limit` buffers, for datagrams of any length, with a headroom of
    /// 64 bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            shared: Arc::new(Shared(Mutex::new(State::default()))),
            form: Form {
                headroom: 64,
                length: LONGEST,
            },
            limit,
        }
    }

    /// Sets the length of the longest packet. A longer datagram is truncated when it is received.
    /// The default is 65,535, the maximum is 1 GiB. The result is a pool of its own.
    #[must_use]
    pub fn length(self, bytes: usize) -> Self {
        let headroom = self.form.headroom;
        Self::with_form(
            self.limit,
            Form {
                headroom,
                length: bytes.min(LARGEST),
            },
        )
    }

    /// Sets the number of bytes that are free in front of a received packet, so that a header can
    /// be put there without a copy: at most 1 GiB. The result is a pool of its own.
    #[must_use]
    pub fn headroom(self, bytes: usize) -> Self {
        let length = self.form.length;
        Self::with_form(
            self.limit,
            Form {
                headroom: bytes.min(LARGEST),
                length,
            },
        )
    }

    fn with_form(limit: usize, form: Form) -> Self {
        Self {
            form,
            ..Self::new(limit)
        }
    }

    /// Takes an empty buffer: `None` if as many are in use as the limit.
    #[must_use]
    pub fn take(&self) -> Option<PacketBuffer> {
        let bytes = self.take_bytes()?;
        let start = self.form.headroom;
        Some(self.buffer(bytes, start, start))
    }

    /// Returns the largest number of buffers in use at a time.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Returns the number of buffers in use.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.shared.0.lock().taken
    }

    /// Returns the length of the longest packet.
    #[must_use]
    pub fn longest(&self) -> usize {
        self.form.length
    }

    /// Returns the number of free bytes in front of a packet.
    pub(crate) fn start(&self) -> usize {
        self.form.headroom
    }

    /// Creates the bytes of a buffer, which do not count.
    pub(crate) fn new_bytes(&self) -> Vec<u8> {
        // One byte more, so that a datagram that is too long is noticed everywhere.
        vec![0; self.form.headroom + self.form.length + 1]
    }

    /// Takes the bytes of a buffer: [`buffer`](Self::buffer) or [`give_back`](Self::give_back)
    /// follows.
    pub(crate) fn take_bytes(&self) -> Option<Vec<u8>> {
        let mut state = self.shared.0.lock();
        if state.taken >= self.limit {
            return None;
        }
        state.taken += 1;
        let free = state.free.pop();
        drop(state);
        Some(free.unwrap_or_else(|| self.new_bytes()))
    }

    /// Moves free buffers to `to`, until it has `count`, without an allocation.
    pub(crate) fn take_free(&self, to: &mut Vec<Vec<u8>>, count: usize) {
        if to.len() >= count {
            return;
        }
        let mut state = self.shared.0.lock();
        let room = self.limit.saturating_sub(state.taken);
        let more = (count - to.len()).min(state.free.len()).min(room);
        let rest = state.free.len() - more;
        to.extend(state.free.drain(rest..));
        state.taken += more;
    }

    /// Returns bytes that were taken.
    pub(crate) fn give_back(&self, bytes: impl IntoIterator<Item = Vec<u8>>) {
        let mut state = self.shared.0.lock();
        for bytes in bytes {
            state.taken -= 1;
            state.free.push(bytes);
        }
    }

    /// Makes a buffer of bytes that were taken, with the packet at `start..end`.
    pub(crate) fn buffer(&self, bytes: Vec<u8>, start: usize, end: usize) -> PacketBuffer {
        debug_assert!(start <= end && end <= bytes.len());
        PacketBuffer {
            bytes,
            start: place(start),
            end: place(end),
            pool: Arc::clone(&self.shared),
        }
    }
}

impl fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferPool")
            .field("limit", &self.limit)
            .field("in_use", &self.in_use())
            .finish_non_exhaustive()
    }
}

/// A packet in a buffer of a [pool](BufferPool), with room in front of it and behind it.
///
/// It dereferences to the bytes of the packet. When it is dropped, the buffer returns to its pool.
pub struct PacketBuffer {
    /// All bytes of the buffer. The packet is at `start..end`.
    bytes: Vec<u8>,
    start: u32,
    end: u32,
    pool: Arc<Shared>,
}

/// Converts a place in a buffer.
fn place(at: usize) -> u32 {
    u32::try_from(at).expect("a buffer has at most 2 GiB and a byte")
}

impl PacketBuffer {
    /// Returns the number of free bytes in front of the packet.
    #[must_use]
    pub fn headroom(&self) -> usize {
        self.start as usize
    }

    /// Returns the number of free bytes behind the packet.
    #[must_use]
    pub fn tailroom(&self) -> usize {
        self.bytes.len() - self.end as usize
    }

    /// Puts bytes in front of the packet. Returns whether there was room; if not, the packet is as
    /// before.
    #[must_use = "there may be no room"]
    pub fn prepend(&mut self, header: &[u8]) -> bool {
        let before = self.headroom();
        let Some(start) = before.checked_sub(header.len()) else {
            return false;
        };
        self.bytes[start..before].copy_from_slice(header);
        self.start = place(start);
        true
    }

    /// Puts bytes behind the packet. Returns whether there was room; if not, the packet is as
    /// before.
    #[must_use = "there may be no room"]
    pub fn append(&mut self, bytes: &[u8]) -> bool {
        if bytes.len() > self.tailroom() {
            return false;
        }
        let before = self.end as usize;
        let end = before + bytes.len();
        self.bytes[before..end].copy_from_slice(bytes);
        self.end = place(end);
        true
    }

    /// Removes bytes from the front of the packet: at most as many as it has. They become headroom.
    pub fn remove_front(&mut self, bytes: usize) {
        self.start += place(bytes.min(self.len()));
    }

    /// Shortens the packet, if it is longer.
    pub fn truncate(&mut self, length: usize) {
        self.end = self.start + place(length.min(self.len()));
    }

    fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl Deref for PacketBuffer {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes[self.range()]
    }
}

impl DerefMut for PacketBuffer {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        let range = self.range();
        &mut self.bytes[range]
    }
}

impl Drop for PacketBuffer {
    fn drop(&mut self) {
        let bytes = mem::take(&mut self.bytes);
        let mut state = self.pool.0.lock();
        state.taken -= 1;
        state.free.push(bytes);
    }
}

impl fmt::Debug for PacketBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_buffer_is_used_again() {
        let pool = BufferPool::new(1).length(100);
        let at = pool.take().unwrap().as_ptr();
        let again = pool.take().unwrap();
        assert_eq!((again.as_ptr(), pool.in_use()), (at, 1));
        assert!(again.is_empty(), "{again:?}");
        drop(again);
        assert_eq!(pool.in_use(), 0);
    }

    #[test]
    fn a_packet_grows_into_its_room_only() {
        let mut packet = BufferPool::new(1).length(5).headroom(4).take().unwrap();
        assert!(packet.append(b"12345"));
        assert!(packet.prepend(b"abc") && !packet.prepend(b"de"));
        assert_eq!((packet.headroom(), packet.tailroom()), (1, 1));
        assert!(!packet.append(b"xy"));
        packet.remove_front(2);
        packet.truncate(3);
        assert_eq!(*packet, *b"c12");
        packet.remove_front(9);
        assert_eq!((packet.len(), packet.headroom()), (0, 6));
    }

    #[test]
    fn free_buffers_are_taken_up_to_the_limit() {
        let pool = BufferPool::new(3).length(1);
        let taken: Vec<_> = (0..3).map(|_| pool.take_bytes().unwrap()).collect();
        assert!(pool.take_bytes().is_none());
        let mut some = Vec::new();
        pool.take_free(&mut some, 2);
        assert_eq!(some.len(), 0, "none is free");
        pool.give_back(taken);
        pool.take_free(&mut some, 2);
        assert_eq!((some.len(), pool.in_use()), (2, 2));
        pool.take_free(&mut some, 9);
        assert_eq!((some.len(), pool.in_use()), (3, 3));
    }
}
