//! The content of a packet.

use std::{
    fmt,
    ops::{Deref, DerefMut},
};

use super::PacketBuffer;

/// The content of a packet: borrowed from the driver's buffer, owned, or in a buffer of a
/// [pool](super::BufferPool).
///
/// It dereferences to its bytes, which can be changed in place (to decrypt them, for instance). A
/// task may keep it: [`into_owned`](Self::into_owned) moves owned and pooled bytes, and copies
/// borrowed ones. It may send what it has received, with a header in front of it, without a copy:
///
/// ```
/// use std::net::SocketAddr;
/// use ump_server::sans_io::{BufferPool, Payload, Transmit};
///
/// fn forward(received: Payload<'_>, to: SocketAddr) -> Transmit {
///     let mut payload = received.into_owned();
///     payload.prepend(&[0x40, 0x00]); // into the headroom
///     Transmit::new(to, payload)
/// }
/// # let mut buffer = BufferPool::new(1).take().unwrap();
/// # assert!(buffer.append(b"content"));
/// # let at = buffer.as_ptr();
/// # let packet = forward(buffer.into(), "127.0.0.1:1".parse().unwrap());
/// # assert_eq!((&packet.payload[2..], packet.payload[2..].as_ptr()), (&b"content"[..], at));
/// ```
pub struct Payload<'a>(Repr<'a>);

enum Repr<'a> {
    Borrowed(&'a mut [u8]),
    Owned(Vec<u8>),
    Pooled(PacketBuffer),
}

impl<'a> Payload<'a> {
    /// Creates a payload that borrows the driver's buffer.
    pub fn borrowed(bytes: &'a mut [u8]) -> Self {
        Self(Repr::Borrowed(bytes))
    }

    /// Returns whether the bytes are borrowed, so that keeping them costs a copy.
    #[must_use]
    pub fn is_borrowed(&self) -> bool {
        matches!(self.0, Repr::Borrowed(_))
    }

    /// Returns whether the bytes are in a buffer of a pool. The pool lacks it as long as the
    /// payload is kept.
    #[must_use]
    pub fn is_pooled(&self) -> bool {
        matches!(self.0, Repr::Pooled(_))
    }

    /// Takes the bytes out. It moves owned bytes, and copies any others.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        match self.0 {
            Repr::Borrowed(bytes) => bytes.to_vec(),
            Repr::Owned(bytes) => bytes,
            Repr::Pooled(buffer) => buffer.to_vec(),
        }
    }

    /// Makes the payload independent of the driver's buffer. It moves owned and pooled bytes, and
    /// copies borrowed ones.
    #[must_use]
    pub fn into_owned(self) -> Payload<'static> {
        Payload(match self.0 {
            Repr::Borrowed(bytes) => Repr::Owned(bytes.to_vec()),
            Repr::Owned(bytes) => Repr::Owned(bytes),
            Repr::Pooled(buffer) => Repr::Pooled(buffer),
        })
    }

    /// Puts bytes in front. It moves nothing if the payload is pooled and has
    /// [headroom](PacketBuffer::headroom); otherwise it copies the content.
    pub fn prepend(&mut self, header: &[u8]) {
        if let Repr::Pooled(buffer) = &mut self.0 {
            if buffer.prepend(header) {
                return;
            }
        }
        self.0 = Repr::Owned([header, &**self].concat());
    }
}

impl Deref for Payload<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Repr::Borrowed(bytes) => bytes,
            Repr::Owned(bytes) => bytes,
            Repr::Pooled(buffer) => buffer,
        }
    }
}

impl DerefMut for Payload<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Repr::Borrowed(bytes) => bytes,
            Repr::Owned(bytes) => bytes,
            Repr::Pooled(buffer) => buffer,
        }
    }
}

impl AsRef<[u8]> for Payload<'_> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Vec<u8>> for Payload<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Repr::Owned(bytes))
    }
}

impl From<&[u8]> for Payload<'_> {
    /// Copies the bytes.
    fn from(bytes: &[u8]) -> Self {
        Self(Repr::Owned(bytes.to_vec()))
    }
}

impl<const N: usize> From<[u8; N]> for Payload<'_> {
    fn from(bytes: [u8; N]) -> Self {
        Self(Repr::Owned(bytes.to_vec()))
    }
}

impl<'a> From<&'a mut [u8]> for Payload<'a> {
    fn from(bytes: &'a mut [u8]) -> Self {
        Self::borrowed(bytes)
    }
}

impl From<PacketBuffer> for Payload<'_> {
    fn from(buffer: PacketBuffer) -> Self {
        Self(Repr::Pooled(buffer))
    }
}

impl Default for Payload<'_> {
    fn default() -> Self {
        Self(Repr::Owned(Vec::new()))
    }
}

impl Clone for Payload<'_> {
    /// Copies the bytes.
    fn clone(&self) -> Self {
        Self(Repr::Owned(self.to_vec()))
    }
}

impl PartialEq for Payload<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Payload<'_> {}

impl fmt::Debug for Payload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::BufferPool;

    #[test]
    fn an_owned_payload_is_moved() {
        let bytes = vec![1, 2, 3];
        let at = bytes.as_ptr();
        let payload = Payload::from(bytes).into_owned();
        assert!(!payload.is_borrowed());
        let moved = payload.into_vec();
        assert_eq!(moved.as_ptr(), at);
    }

    #[test]
    fn a_borrowed_payload_is_changed_in_place() {
        let mut buffer = [1, 2, 3];
        let mut payload = Payload::borrowed(&mut buffer);
        payload[0] = 9;
        assert!(payload.is_borrowed());
        assert_eq!(payload.into_vec(), [9, 2, 3]);
        assert_eq!(buffer, [9, 2, 3]);
    }

    #[test]
    fn a_pooled_payload_is_moved_and_takes_a_header_without_a_copy() {
        let pool = BufferPool::new(1).headroom(2);
        let mut buffer = pool.take().unwrap();
        assert!(buffer.append(b"content"));
        let at = buffer.as_ptr();
        let mut payload = Payload::from(buffer).into_owned();
        payload.prepend(b"h:");
        assert!(payload.is_pooled() && !payload.is_borrowed());
        assert_eq!(
            (&payload[..], payload[2..].as_ptr()),
            (&b"h:content"[..], at)
        );
        payload.prepend(b"no room for ");
        assert_eq!(&payload[..], b"no room for h:content");
        assert_eq!((payload.is_pooled(), pool.in_use()), (false, 0));
    }
}
