//! Batches of datagrams: several by one system call.
//
// `gather` decides, without any system call; `linux` (`recvmmsg`, `sendmmsg`, offloads) and `plain`
// (one datagram by one call) do.

#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
mod gather;
mod mode;
#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "plain.rs")]
mod system;

use std::{
    collections::VecDeque,
    fmt, io, mem,
    net::{IpAddr, SocketAddr, UdpSocket as StdUdpSocket},
};

use rustix::io::Errno;

use self::gather::first_segment;
pub(super) use self::{
    mode::Mode,
    system::{ask_for_info, send},
};
use crate::buffer::{BufferPool, LONGEST, Payload};

/// The largest number of messages that one system call receives.
pub(super) const MESSAGES: usize = 32;

/// A datagram to send, for [`UdpSocket::send_batch`](super::UdpSocket::send_batch).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct SendTo<'a> {
    /// The destination.
    pub to: SocketAddr,
    /// The address to send from, if the machine has several. Linux only: others choose it
    /// themselves.
    pub from: Option<IpAddr>,
    /// The content.
    pub bytes: &'a [u8],
}

impl<'a> SendTo<'a> {
    /// Creates a datagram, whose source the system chooses.
    #[must_use]
    pub fn new(bytes: &'a [u8], to: SocketAddr) -> Self {
        Self {
            to,
            from: None,
            bytes,
        }
    }

    /// Sets the address to send from.
    #[must_use]
    pub fn from(self, from: impl Into<IpAddr>) -> Self {
        Self {
            from: Some(from.into()),
            ..self
        }
    }
}

/// A datagram of a [`ReceiveBatch`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received<'a> {
    /// The sender.
    pub from: SocketAddr,
    /// The address to which it was sent, if the socket [asks for it](super::Udp::packet_info).
    pub to: Option<IpAddr>,
    /// Whether it was longer than the buffer, so that its end is lost.
    pub is_truncated: bool,
    /// The content.
    pub payload: Payload<'a>,
}

/// Datagrams that were received by one system call.
///
/// They are received into buffers of the batch. [`next`](Self::next) takes one out, without a copy:
/// it moves its buffer out, and replaces it by one of the pool. If there is none, because as many
/// as the pool's limit are kept elsewhere, it lends the buffer instead, and so does it with
/// datagrams that the system has [coalesced](super::Udp::coalesce). Keeping a lent datagram costs a
/// copy ([`Payload::into_owned`]). So who keeps buffers never stops others from receiving.
///
/// In addition to those of the pool, a batch has 33 buffers from its first use on.
///
/// ```
/// use std::net::Ipv4Addr;
/// use ump_server::net::{BufferPool, Event, ReceiveBatch, SendTo, UdpSocket};
///
/// /// Sends back what comes: to be called for each `Readable` of the socket.
/// fn echo(socket: &UdpSocket, batch: &mut ReceiveBatch) -> std::io::Result<()> {
///     socket.recv_batch(batch)?;
///     let mut packets = Vec::new();
///     while let Some(packet) = batch.next() {
///         packets.push((packet.from, packet.payload.into_owned()));
///     }
///     let answers: Vec<_> = packets.iter().map(|(to, it)| SendTo::new(it, *to)).collect();
///     let mut unsent = &answers[..];
///     while !unsent.is_empty() {
///         match socket.send_batch(unsent) {
///             Ok(sent) => unsent = &unsent[sent..],
///             Err(_) => unsent = &unsent[1..], // the first one is lost
///         }
///     }
///     Ok(())
/// }
/// # let _ = echo;
/// # let batch = ReceiveBatch::new(BufferPool::new(64));
/// # assert!(batch.is_empty());
/// ```
pub struct ReceiveBatch {
    batch: Batch,
    /// The bytes of the last datagram, if it was lent.
    lent: Vec<u8>,
}

struct Batch {
    pool: BufferPool,
    /// A buffer for each message.
    slots: Vec<Vec<u8>>,
    /// Buffers that were taken from the pool, to replace those of slots.
    spare: Vec<Vec<u8>>,
    /// The messages in slots that are not taken yet.
    messages: VecDeque<Message>,
    datagrams: usize,
}

/// A received message: one datagram, or several that the system has coalesced.
#[derive(Debug)]
struct Message {
    slot: usize,
    /// Where its bytes that are not taken yet begin.
    start: usize,
    length: usize,
    /// The length of all datagrams but the last one; zero if there is one.
    segment: usize,
    /// Whether the bytes are not in the slot any more, but lent.
    is_lent: bool,
    is_truncated: bool,
    from: SocketAddr,
    to: Option<IpAddr>,
}

impl Message {
    fn datagrams(&self) -> usize {
        match self.segment {
            0 => 1,
            segment => self.length.div_ceil(segment).max(1),
        }
    }
}

impl ReceiveBatch {
    /// Creates an empty batch, with buffers of the form that the pool has.
    #[must_use]
    pub fn new(pool: BufferPool) -> Self {
        Self {
            batch: Batch {
                pool,
                slots: Vec::new(),
                spare: Vec::new(),
                messages: VecDeque::new(),
                datagrams: 0,
            },
            lent: Vec::new(),
        }
    }

    /// Returns the number of datagrams that are not taken yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batch.datagrams
    }

    /// Returns whether all datagrams are taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batch.datagrams == 0
    }

    /// Returns the pool.
    #[must_use]
    pub fn pool(&self) -> &BufferPool {
        &self.batch.pool
    }

    /// Takes the next datagram out.
    #[allow(
        clippy::should_implement_trait,
        reason = "it lends, which an iterator cannot"
    )]
    pub fn next(&mut self) -> Option<Received<'_>> {
        self.batch.next(&mut self.lent)
    }

    /// Takes the next datagram out, which may borrow `lent`. The same `lent` has to be given until
    /// the batch is empty.
    pub(crate) fn next_in<'a>(&mut self, lent: &'a mut Vec<u8>) -> Option<Received<'a>> {
        self.batch.next(lent)
    }

    pub(super) fn prepare(&mut self, mode: &Mode) -> io::Result<()> {
        let batch = &mut self.batch;
        let invalid = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        if !batch.messages.is_empty() {
            return invalid("the batch has datagrams that are not taken");
        }
        if mode.coalesces() && batch.pool.longest() < LONGEST {
            return invalid("the buffers are too short for coalesced datagrams");
        }
        Ok(())
    }

    /// Receives at most `limit` messages. Returns the number of bytes.
    pub(super) fn receive(
        &mut self,
        socket: &StdUdpSocket,
        mode: &Mode,
        limit: usize,
    ) -> Result<(usize, ()), Errno> {
        let batch = &mut self.batch;
        let limit = limit.clamp(1, MESSAGES);
        let length = batch.pool.start() + batch.pool.longest() + 1;
        if batch.slots.len() < limit {
            batch.slots.resize_with(limit, Vec::new);
        }
        for slot in &mut batch.slots[..limit] {
            if slot.len() != length {
                *slot = batch.pool.new_bytes();
            }
        }
        let room = batch.pool.start()..length;
        let slots = &mut batch.slots[..limit];
        let bytes = system::receive(socket, mode, slots, room, &mut batch.messages)?;
        batch.datagrams = batch.messages.iter().map(Message::datagrams).sum();
        batch.pool.take_free(&mut batch.spare, batch.messages.len());
        Ok((bytes, ()))
    }
}

impl Batch {
    fn next<'a>(&mut self, lent: &'a mut Vec<u8>) -> Option<Received<'a>> {
        let message = self.messages.front_mut()?;
        let (from, to, start) = (message.from, message.to, message.start);
        let length = first_segment(message.length, message.segment);
        let is_last = length == message.length;
        let is_whole = is_last && !message.is_lent;
        let mut is_truncated = message.is_truncated && is_last;
        let slot = &mut self.slots[message.slot];
        let spare = if is_whole {
            self.spare.pop().or_else(|| self.pool.take_bytes())
        } else {
            None
        };
        let payload = if let Some(spare) = spare {
            let bytes = mem::replace(slot, spare);
            self.pool.buffer(bytes, start, start + length).into()
        } else {
            if !message.is_lent {
                message.is_lent = true;
                mem::swap(slot, lent);
            }
            // Nobody else uses `lent`. If somebody does, the datagram is lost, not more.
            let bytes = lent.get_mut(start..start + length);
            is_truncated |= bytes.is_none();
            Payload::borrowed(bytes.unwrap_or_default())
        };
        if is_last {
            self.messages.pop_front();
        } else {
            message.start += length;
            message.length -= length;
        }
        self.datagrams -= 1;
        Some(Received {
            from,
            to,
            is_truncated,
            payload,
        })
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.pool.give_back(self.spare.drain(..));
    }
}

impl fmt::Debug for ReceiveBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiveBatch")
            .field("len", &self.len())
            .field("pool", self.pool())
            .finish_non_exhaustive()
    }
}
