//! `recvmmsg` and `sendmmsg`, with segmentation offload and the addresses of this machine.
//
// `nix` receives, and sends with control messages; `rustix` sends several messages. (`sendmmsg` of
// `nix` gives the same control messages to all, and its result reads addresses that nobody wrote.)

use std::{
    array,
    cell::RefCell,
    collections::VecDeque,
    io::{self, IoSlice, IoSliceMut},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as StdUdpSocket},
    ops::Range,
    os::fd::{AsFd, AsRawFd},
    slice,
};

use nix::{
    cmsg_space, libc,
    sys::socket::{
        ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrIn,
        SockaddrIn6, SockaddrLike, SockaddrStorage, getsockopt, recvmmsg, recvmsg, sendmsg,
        setsockopt, sockopt,
    },
};
use rustix::{
    io::Errno,
    net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg},
};

use super::{
    MESSAGES, Message, Mode, SendTo,
    gather::{DATAGRAMS, Plan, gather},
};

/// Whether received datagrams can tell the address to which they were sent.
pub(super) const HAS_INFO: bool = true;

/// Asks for the address to which each received datagram was sent.
pub(in crate::net) fn ask_for_info(socket: &impl AsFd, is_v6: bool) -> io::Result<()> {
    if is_v6 {
        setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    } else {
        setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?;
    }
    Ok(())
}

/// Lets the system coalesce received datagrams. Returns whether it can.
pub(super) fn coalesce(socket: &StdUdpSocket) -> bool {
    setsockopt(socket, sockopt::UdpGroSegment, &true).is_ok()
}

/// Returns whether the system coalesces received datagrams.
pub(super) fn coalesces(socket: &StdUdpSocket) -> bool {
    getsockopt(socket, sockopt::UdpGroSegment).unwrap_or(false)
}

/// Returns the length of the longest datagrams that are worth to be sent as segments: zero if the
/// system has no segmentation offload.
pub(super) fn longest_segment(socket: &StdUdpSocket) -> usize {
    match getsockopt(socket, sockopt::UdpGsoSegment) {
        // More than one of them are a message.
        Ok(_) => usize::from(u16::MAX) / 2,
        Err(_) => 0,
    }
}

// Headers are used again by the same thread, where no control messages are asked for, because a
// call shortens the room for them. There is one set for each family, because a call shortens the
// room for addresses, too.
thread_local! {
    static RECEIVE_V4: RefCell<Option<MultiHeaders<SockaddrIn>>> = const { RefCell::new(None) };
    static RECEIVE_V6: RefCell<Option<MultiHeaders<SockaddrIn6>>> = const { RefCell::new(None) };
}

/// Receives into slots, at `room` in each. Returns the number of bytes.
pub(super) fn receive(
    socket: &StdUdpSocket,
    mode: &Mode,
    slots: &mut [Vec<u8>],
    room: Range<usize>,
    messages: &mut VecDeque<Message>,
) -> Result<usize, Errno> {
    let has_control = mode.has_info || mode.coalesces();
    if mode.is_v6 {
        if has_control {
            let space = cmsg_space!(libc::in6_pktinfo, libc::in_pktinfo, libc::c_int);
            let headers = &mut MultiHeaders::<SockaddrIn6>::preallocate(slots.len(), Some(space));
            return receive_by(socket, mode, headers, slots, room, messages);
        }
        RECEIVE_V6.with_borrow_mut(|headers| {
            let headers = headers.get_or_insert_with(|| MultiHeaders::preallocate(MESSAGES, None));
            receive_by(socket, mode, headers, slots, room, messages)
        })
    } else {
        if has_control {
            let space = cmsg_space!(libc::in_pktinfo, libc::c_int);
            let headers = &mut MultiHeaders::<SockaddrIn>::preallocate(slots.len(), Some(space));
            return receive_by(socket, mode, headers, slots, room, messages);
        }
        RECEIVE_V4.with_borrow_mut(|headers| {
            let headers = headers.get_or_insert_with(|| MultiHeaders::preallocate(MESSAGES, None));
            receive_by(socket, mode, headers, slots, room, messages)
        })
    }
}

fn receive_by<A: SockaddrLike + Copy + Into<SocketAddr>>(
    socket: &StdUdpSocket,
    mode: &Mode,
    headers: &mut MultiHeaders<A>,
    slots: &mut [Vec<u8>],
    room: Range<usize>,
    messages: &mut VecDeque<Message>,
) -> Result<usize, Errno> {
    // The last byte is not needed: the system tells of a datagram that is too long.
    let room = room.start..room.end - 1;
    let (fd, flags) = (socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
    if mode.has_batches() {
        let count = slots.len();
        let mut slots = slots.iter_mut();
        let mut slices: [[IoSliceMut<'_>; 1]; MESSAGES] = array::from_fn(|_| {
            let slot = slots.next().map(|slot| &mut slot[room.clone()]);
            [IoSliceMut::new(slot.unwrap_or_default())]
        });
        let slices = slices[..count].iter_mut();
        let received = recvmmsg(fd, headers, slices, flags, None).map_err(to_rustix);
        if !matches!(received, Err(Errno::NOSYS | Errno::PERM)) {
            let received = received?.enumerate();
            return Ok(received
                .filter_map(|(slot, message)| to_message(slot, room.start, &message))
                .map(|message| {
                    let length = message.length;
                    messages.push_back(message);
                    length
                })
                .sum());
        }
        mode.refuse_batches();
    }
    // One datagram: a second call might fail, and take an error from the socket that would be lost.
    let mut control = cmsg_space!(libc::in6_pktinfo, libc::in_pktinfo, libc::c_int);
    let mut slice = [IoSliceMut::new(&mut slots[0][room.clone()])];
    let received = recvmsg::<A>(fd, &mut slice, Some(&mut control), flags).map_err(to_rustix)?;
    let message = to_message(0, room.start, &received);
    messages.extend(message);
    Ok(received.bytes)
}

/// Returns the message that was received into a slot, from `start` on.
fn to_message<A: SockaddrLike + Copy + Into<SocketAddr>>(
    slot: usize,
    start: usize,
    received: &RecvMsg<'_, '_, A>,
) -> Option<Message> {
    let length = received.bytes;
    let (to, segment) = control(received);
    Some(Message {
        slot,
        start,
        length,
        segment: if segment < length { segment } else { 0 },
        is_lent: false,
        is_truncated: received.flags.contains(MsgFlags::MSG_TRUNC),
        from: received.address?.into(),
        to,
    })
}

/// Returns the destination of a received message, and the length of its datagrams (or zero).
fn control<A>(message: &RecvMsg<'_, '_, A>) -> (Option<IpAddr>, usize) {
    let (mut to, mut segment) = (None, 0);
    for control in message.cmsgs().into_iter().flatten() {
        match control {
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                to = Some(Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes()).into());
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                to = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
            }
            ControlMessageOwned::UdpGroSegments(length) => {
                segment = usize::try_from(length).unwrap_or(0);
            }
            _ => {}
        }
    }
    (to, segment)
}

/// Sends the first datagrams of a slice that is not empty. Returns the numbers of bytes and of
/// datagrams. An error is that of the first one.
pub(in crate::net) fn send(
    socket: &StdUdpSocket,
    mode: &Mode,
    datagrams: &[SendTo<'_>],
) -> io::Result<(usize, usize)> {
    send_by(mode, datagrams, |plan| {
        attempt(socket, mode, plan, datagrams)
    })
}

/// Sends by a system call, which sends the messages of a plan and returns their number.
fn send_by(
    mode: &Mode,
    datagrams: &[SendTo<'_>],
    mut attempt: impl FnMut(&Plan) -> Result<usize, Errno>,
) -> io::Result<(usize, usize)> {
    let mut plan = gather(datagrams, mode.longest_segment());
    let sent = match (attempt(&plan), plan.segment) {
        (Err(error), Some(segment)) if mode.is_refusal(error, segment.into()) => {
            // The first message, datagram by datagram.
            plan = gather(&datagrams[..plan.counts()[0]], 0);
            attempt(&plan)
        }
        (result, _) => result,
    };
    let count = plan.counts()[..sent?].iter().sum();
    let bytes = datagrams[..count].iter().map(|it| it.bytes.len()).sum();
    Ok((bytes, count))
}

/// The source of messages, as a control message has it.
#[derive(Clone, Copy)]
enum Source {
    None,
    V4(libc::in_pktinfo),
    V6(libc::in6_pktinfo),
}

impl Source {
    fn new(source: Option<IpAddr>, to: SocketAddr) -> Result<Self, Errno> {
        let Some(source) = source else {
            return Ok(Self::None);
        };
        if to.is_ipv4() {
            let IpAddr::V4(source) = source.to_canonical() else {
                return Err(Errno::INVAL);
            };
            let s_addr = u32::from_ne_bytes(source.octets());
            return Ok(Self::V4(libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr { s_addr },
                ipi_addr: libc::in_addr { s_addr: 0 },
            }));
        }
        let source = match source {
            IpAddr::V4(source) => source.to_ipv6_mapped(),
            IpAddr::V6(source) => source,
        };
        Ok(Self::V6(libc::in6_pktinfo {
            ipi6_addr: libc::in6_addr {
                s6_addr: source.octets(),
            },
            ipi6_ifindex: 0,
        }))
    }
}

/// Sends the messages of a plan, or the first one if the system refuses calls for several. Returns
/// the number of messages that are sent.
fn attempt(
    socket: &StdUdpSocket,
    mode: &Mode,
    plan: &Plan,
    datagrams: &[SendTo<'_>],
) -> Result<usize, Errno> {
    let mut slices = [IoSlice::new(&[]); DATAGRAMS];
    for (slice, datagram) in slices.iter_mut().zip(datagrams) {
        *slice = IoSlice::new(datagram.bytes);
    }
    let has_control = plan.segment.is_some() || plan.source.is_some();
    if !has_control && mode.has_batches() {
        let slices = &slices[..plan.counts().len()];
        return mode.send_batch(
            || send_messages(socket, slices, datagrams),
            || send_message(socket, plan, &slices[..1], datagrams[0].to),
        );
    }
    send_message(socket, plan, &slices[..plan.counts()[0]], datagrams[0].to)
}

/// Sends the first message of a plan. Returns the number of messages that are sent: one.
fn send_message(
    socket: &StdUdpSocket,
    plan: &Plan,
    slices: &[IoSlice<'_>],
    to: SocketAddr,
) -> Result<usize, Errno> {
    let source = Source::new(plan.source, to)?;
    let mut control = Vec::with_capacity(2);
    if let Some(segment) = &plan.segment {
        control.push(ControlMessage::UdpGsoSegments(segment));
    }
    match &source {
        Source::None => {}
        Source::V4(info) => control.push(ControlMessage::Ipv4PacketInfo(info)),
        Source::V6(info) => control.push(ControlMessage::Ipv6PacketInfo(info)),
    }
    let (fd, flags) = (socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
    let to = SockaddrStorage::from(to);
    sendmsg(fd, slices, &control, flags, Some(&to)).map_err(to_rustix)?;
    Ok(1)
}

/// Sends each of the slices to the destination of its datagram. Returns the number of those that
/// are sent.
fn send_messages(
    socket: &StdUdpSocket,
    slices: &[IoSlice<'_>],
    datagrams: &[SendTo<'_>],
) -> Result<usize, Errno> {
    let mut control: [_; DATAGRAMS] = array::from_fn(|_| SendAncillaryBuffer::default());
    let to: Vec<SocketAddrAny> = datagrams
        .iter()
        .take(slices.len())
        .map(|datagram| datagram.to.into())
        .collect();
    let mut messages: Vec<_> = slices
        .iter()
        .zip(&to)
        .zip(&mut control)
        .map(|((slice, to), none)| MMsgHdr::new_with_addr(to, slice::from_ref(slice), none))
        .collect();
    sendmmsg(socket, &mut messages, SendFlags::DONTWAIT)
}

fn to_rustix(error: nix::Error) -> Errno {
    Errno::from_raw_os_error(error as i32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        buffer::BufferPool,
        net::{ReceiveBatch, Udp, options},
    };

    fn mode() -> Mode {
        let socket = StdUdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mode = Mode::new(&socket, &Udp::new((Ipv4Addr::LOCALHOST, 0)));
        mode.allow_segments(10_000);
        mode
    }

    /// Sends all datagrams. Returns the numbers of messages in each attempt, with whether they had
    /// segments, and the failures.
    fn send_all(
        mode: &Mode,
        datagrams: &[SendTo<'_>],
        mut attempt: impl FnMut(&Plan, usize) -> Result<usize, Errno>,
    ) -> (Vec<(usize, bool)>, Vec<usize>) {
        let (mut attempts, mut failed, mut at) = (Vec::new(), Vec::new(), 0);
        while at < datagrams.len() {
            let sent = send_by(mode, &datagrams[at..], |plan| {
                attempts.push((plan.counts().len(), plan.segment.is_some()));
                attempt(plan, at)
            });
            if let Ok((bytes, count)) = sent {
                assert!(count > 0 && bytes == 100 * count);
                at += count;
            } else {
                failed.push(at);
                at += 1;
            }
        }
        (attempts, failed)
    }

    fn hundred() -> [SendTo<'static>; 70] {
        [SendTo::new(&[0; 100], (Ipv4Addr::LOCALHOST, 1).into()); 70]
    }

    #[test]
    fn a_system_without_segmentation_is_asked_once() {
        let mode = mode();
        let (attempts, failed) = send_all(&mode, &hundred(), |plan, _| match plan.segment {
            Some(_) => Err(Errno::IO),
            None => Ok(plan.counts().len()),
        });
        let expected = [(1, true), (64, false), (6, false)];
        assert_eq!((&attempts[..], &failed[..]), (&expected[..], &[][..]));
    }

    #[test]
    fn a_refused_datagram_of_a_message_is_lost_alone() {
        let mode = mode();
        // The 41st datagram is refused.
        let (attempts, failed) = send_all(&mode, &hundred(), |plan, at| {
            let covers = |from: usize, count: usize| (from..from + count).contains(&40);
            let mut from = at;
            for (index, count) in plan.counts().iter().enumerate() {
                if covers(from, *count) {
                    return if index > 0 {
                        Ok(index)
                    } else {
                        Err(Errno::INVAL)
                    };
                }
                from += count;
            }
            Ok(plan.counts().len())
        });
        assert_eq!(failed, [40]);
        assert!(attempts.len() < 10, "{attempts:?}");
        assert_eq!(
            mode.longest_segment(),
            10_000,
            "short ones are not to blame"
        );
    }

    #[test]
    fn long_segments_that_are_refused_are_not_tried_again() {
        let mode = mode();
        assert!(mode.is_refusal(Errno::MSGSIZE, 1_473));
        assert_eq!(mode.longest_segment(), 1_472);
        assert!(!mode.is_refusal(Errno::AGAIN, 1_000));
        assert!(!mode.is_refusal(Errno::PERM, 1_000));
    }

    #[test]
    fn a_firewall_is_told_from_a_filter_of_system_calls() {
        let refused = |error| move || Err(error);
        let unused = || unreachable!("it sends batches");
        let fresh = mode();
        let result = fresh.send_batch(refused(Errno::PERM), refused(Errno::PERM));
        assert_eq!((result, fresh.has_batches()), (Err(Errno::PERM), true));
        assert_eq!(fresh.send_batch(|| Ok(3), unused), Ok(3));
        let result = fresh.send_batch(refused(Errno::PERM), unused);
        assert_eq!((result, fresh.has_batches()), (Err(Errno::PERM), true));
        for error in [Errno::PERM, Errno::NOSYS] {
            let filtered = mode();
            assert_eq!(filtered.send_batch(refused(error), || Ok(1)), Ok(1));
            assert!(!filtered.has_batches());
        }
    }

    #[test]
    fn datagrams_pass_one_by_one_if_batches_are_refused() {
        let how = Udp::new((Ipv4Addr::LOCALHOST, 0)).packet_info(true);
        let sockets = [(); 2].map(|()| options::udp(&how).unwrap());
        let modes = [0, 1].map(|at| Mode::new(&sockets[at], &how));
        for mode in &modes {
            mode.refuse_batches();
        }
        let [from, to] = sockets.each_ref().map(|it| it.local_addr().unwrap());
        // They get longer, so no two of them are segments of a message.
        let datagrams = [1, 2, 3, 4].map(|length| SendTo::new(&[7; 4][..length], to));
        for n in 0..4 {
            let sent = send(&sockets[0], &modes[0], &datagrams[n..]);
            assert_eq!(sent.unwrap(), (n + 1, 1));
        }
        let mut batch = ReceiveBatch::new(BufferPool::new(8).length(3));
        for (length, is_truncated) in [(1, false), (2, false), (3, false), (3, true)] {
            while batch.receive(&sockets[1], &modes[1], MESSAGES) == Err(Errno::AGAIN) {}
            assert_eq!(batch.len(), 1);
            let got = batch.next().unwrap();
            assert_eq!((got.from, got.to), (from, Some(to.ip())));
            assert_eq!(got.payload[..], [7; 4][..length]);
            assert_eq!(got.is_truncated, is_truncated);
        }
    }
}
