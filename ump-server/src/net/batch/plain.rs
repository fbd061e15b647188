//! One datagram by one system call, where there are no batches.

use std::{collections::VecDeque, io, net::UdpSocket as StdUdpSocket, ops::Range, os::fd::AsFd};

use rustix::io::Errno;

use super::{Message, Mode, SendTo};
use crate::net::{
    Address,
    datagram::{receive_one, to_address},
};

/// Whether received datagrams can tell the address to which they were sent.
pub(super) const HAS_INFO: bool = false;

pub(in crate::net) fn ask_for_info(_: &impl AsFd, _: bool) -> io::Result<()> {
    Ok(())
}

pub(super) fn coalesce(_: &StdUdpSocket) -> bool {
    false
}

pub(super) fn coalesces(_: &StdUdpSocket) -> bool {
    false
}

pub(super) fn longest_segment(_: &StdUdpSocket) -> usize {
    0
}

/// Receives one datagram into the first slot, at `room`. Returns the number of bytes.
pub(super) fn receive(
    socket: &StdUdpSocket,
    _: &Mode,
    slots: &mut [Vec<u8>],
    room: Range<usize>,
    messages: &mut VecDeque<Message>,
) -> Result<usize, Errno> {
    // A second call might fail, and take an error from the socket that would be lost.
    let received = receive_one(socket, &mut slots[0][room.clone()])?;
    let Address::Ip(from) = to_address(received.from) else {
        return Err(Errno::INVAL);
    };
    // The room has one byte more than the longest datagram.
    let length = received.len.min(room.len() - 1);
    messages.push_back(Message {
        slot: 0,
        start: room.start,
        length,
        segment: 0,
        is_lent: false,
        is_truncated: received.is_truncated || length < received.len,
        from,
        to: None,
    });
    Ok(length)
}

/// Sends the first datagram of a slice that is not empty. Returns the numbers of bytes and of
/// datagrams.
pub(in crate::net) fn send(
    socket: &StdUdpSocket,
    _: &Mode,
    datagrams: &[SendTo<'_>],
) -> io::Result<(usize, usize)> {
    let SendTo { to, bytes, .. } = datagrams[0];
    let sent = match socket.peer_addr() {
        Ok(peer) if peer == to => socket.send(bytes)?,
        _ => socket.send_to(bytes, to)?,
    };
    Ok((sent, 1))
}
