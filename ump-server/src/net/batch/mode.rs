//! What a UDP socket has been asked for, and what its system can do.

use std::{
    net::UdpSocket as StdUdpSocket,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
};

use rustix::io::Errno;

use super::system;
use crate::net::Udp;

/// The properties of a socket that decide how batches are sent and received.
#[derive(Debug)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
pub(in crate::net) struct Mode {
    pub(super) is_v6: bool,
    pub(super) has_info: bool,
    coalesces: bool,
    /// The length of the longest datagrams that are sent as segments of a message. Like the other
    /// atomic fields, it guards nothing, so all operations are Relaxed.
    longest_segment: AtomicUsize,
    /// Whether the system refuses calls for several messages: a filter of system calls may.
    refuses_batches: AtomicBool,
    /// Whether a call has sent several messages.
    has_sent_batch: AtomicBool,
}

/// Every path takes datagrams of this length whole. So if a longer one is refused, that is because
/// of its length; if a shorter one is, because of this message.
const TAKEN_BY_ALL: usize = 1_232;

impl Mode {
    /// The mode of a socket that was bound as `how` says.
    pub(in crate::net) fn new(socket: &StdUdpSocket, how: &Udp) -> Self {
        Self {
            has_info: how.packet_info && system::HAS_INFO,
            coalesces: how.coalesce && system::coalesce(socket),
            longest_segment: AtomicUsize::new(if how.segment {
                system::longest_segment(socket)
            } else {
                0
            }),
            ..Self::of_unknown(socket)
        }
    }

    /// The mode of a socket whose options are not known.
    pub(in crate::net) fn of_unknown(socket: &StdUdpSocket) -> Self {
        Self {
            is_v6: socket.local_addr().is_ok_and(|it| it.is_ipv6()),
            has_info: false,
            coalesces: system::coalesces(socket),
            longest_segment: AtomicUsize::new(system::longest_segment(socket)),
            refuses_batches: AtomicBool::new(false),
            has_sent_batch: AtomicBool::new(false),
        }
    }

    /// Returns whether the system coalesces received datagrams.
    #[inline]
    pub(in crate::net) fn coalesces(&self) -> bool {
        self.coalesces
    }

    #[cfg(test)]
    pub(super) fn allow_segments(&self, longest: usize) {
        self.longest_segment.store(longest, Relaxed);
    }

    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    pub(super) fn longest_segment(&self) -> usize {
        self.longest_segment.load(Relaxed)
    }

    /// Notes that the system has refused a message of segments. Returns whether they are to be sent
    /// one by one.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    pub(super) fn is_refusal(&self, error: Errno, segment: usize) -> bool {
        match error {
            // The network device cannot do it.
            Errno::IO | Errno::OPNOTSUPP => {
                self.longest_segment.store(0, Relaxed);
                true
            }
            Errno::INVAL | Errno::MSGSIZE => {
                if segment > TAKEN_BY_ALL {
                    self.longest_segment.fetch_min(segment - 1, Relaxed);
                }
                true
            }
            _ => false,
        }
    }

    /// Returns whether several messages may go by one system call.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    pub(super) fn has_batches(&self) -> bool {
        !self.refuses_batches.load(Relaxed)
    }

    /// Notes that the system refuses calls for several messages.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    pub(super) fn refuse_batches(&self) {
        self.refuses_batches.store(true, Relaxed);
    }

    /// Calls `batch`, which sends several messages. If the system seems to refuse that, it calls
    /// `single`, which sends the first one.
    ///
    /// A firewall refuses a datagram by the same error as a filter of system calls the call. So a
    /// refusal is believed if `single` works, and no call for several messages has worked before.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    pub(super) fn send_batch(
        &self,
        batch: impl FnOnce() -> Result<usize, Errno>,
        single: impl FnOnce() -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        let has_sent = self.has_sent_batch.load(Relaxed);
        match batch() {
            Err(Errno::NOSYS) => {
                self.refuse_batches();
                single()
            }
            Err(Errno::PERM) if !has_sent => {
                let sent = single()?;
                self.refuse_batches();
                Ok(sent)
            }
            sent => {
                if !has_sent && sent.is_ok() {
                    self.has_sent_batch.store(true, Relaxed);
                }
                sent
            }
        }
    }
}
