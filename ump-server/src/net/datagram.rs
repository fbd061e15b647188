//! Receiving and sending datagrams, the same for UDP and for unix sockets.

use std::{io, net::SocketAddr, os::fd::AsFd};

use rustix::{
    io::Errno,
    net::{RecvFlags, SocketAddrAny, recvfrom},
};

use super::{Address, Error, Operation, handle::Handle};

/// A datagram that was received into a buffer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Datagram<A = SocketAddr> {
    /// The number of bytes in the buffer.
    pub len: usize,
    /// Whether the datagram was longer than the buffer, so that the rest is lost. Only Linux and
    /// Android tell; elsewhere it is false.
    pub is_truncated: bool,
    /// The sender.
    pub from: A,
}

/// Makes the system call return the whole length of a datagram.
#[cfg(any(target_os = "linux", target_os = "android"))]
const FLAGS: RecvFlags = RecvFlags::TRUNC;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const FLAGS: RecvFlags = RecvFlags::empty();

/// The number of errors of earlier sends that a receive skips, or a send: more are left to the next
/// event.
const SKIPPED: usize = 16;

impl<S: AsFd> Handle<S> {
    /// Receives a datagram.
    #[inline]
    pub(super) fn receive(&self, buf: &mut [u8]) -> io::Result<Datagram<Option<SocketAddrAny>>> {
        self.receive_by(|source| {
            let datagram = receive_one(source, buf)?;
            Ok((datagram.len, datagram))
        })
    }

    /// Receives by a closure, which returns the number of bytes too.
    #[inline]
    pub(super) fn receive_by<T>(
        &self,
        mut receive: impl FnMut(&S) -> Result<(usize, T), Errno>,
    ) -> io::Result<T> {
        let mut skipped = 0;
        loop {
            let seen = self.socket.readiness.load();
            if !seen.has(super::readiness::MAY_READ) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            match receive(&self.source) {
                Ok((bytes, received)) => {
                    self.socket.counters.received(bytes);
                    return Ok(received);
                }
                Err(Errno::INTR) => {}
                Err(error) if error == Errno::AGAIN || error == Errno::WOULDBLOCK => {
                    self.would_block_reading(seen);
                    return Err(error.into());
                }
                Err(error) if concerns_an_earlier_send(error) && skipped < SKIPPED => {
                    skipped += 1;
                    let address = self.socket.local();
                    self.fail(Error::new(Operation::Receive, address, error.into()));
                }
                Err(error) => {
                    self.socket.counters.error();
                    return Err(error.into());
                }
            }
        }
    }

    /// Sends a datagram, whole or not at all.
    #[inline]
    pub(super) fn send(&self, send: impl Fn(&S) -> io::Result<usize>) -> io::Result<()> {
        self.send_by(|source| Ok((send(source)?, ())))
    }

    /// Sends by a closure, which returns the number of bytes too.
    #[inline]
    pub(super) fn send_by<T>(
        &self,
        mut send: impl FnMut(&S) -> io::Result<(usize, T)>,
    ) -> io::Result<T> {
        let mut skipped = 0;
        loop {
            let seen = self.socket.readiness.load();
            if !seen.has(super::readiness::MAY_WRITE) {
                self.request_writable();
                return Err(io::ErrorKind::WouldBlock.into());
            }
            match send(&self.source) {
                Ok((bytes, sent)) => {
                    self.socket.counters.sent(bytes);
                    return Ok(sent);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.would_block_writing(seen);
                    return Err(error);
                }
                // The error is that of an earlier datagram, and this one was not sent.
                Err(error)
                    if Errno::from_io_error(&error) == Some(Errno::CONNREFUSED)
                        && self.is_udp()
                        && skipped < SKIPPED =>
                {
                    skipped += 1;
                    let address = self.socket.local();
                    self.fail(Error::new(Operation::Receive, address, error));
                }
                Err(error) => {
                    self.socket.counters.error();
                    return Err(error);
                }
            }
        }
    }

    fn is_udp(&self) -> bool {
        self.socket.kind == super::SocketKind::Udp
    }
}

/// Receives a datagram by one system call.
#[inline]
pub(super) fn receive_one<S: AsFd>(
    source: &S,
    buf: &mut [u8],
) -> Result<Datagram<Option<SocketAddrAny>>, Errno> {
    let room = buf.len();
    let (len, whole, from) = recvfrom(source, buf, FLAGS)?;
    Ok(Datagram {
        len,
        is_truncated: whole > room,
        from,
    })
}

/// Returns whether an error of a receive is that of a datagram that was sent before: an ICMP
/// message has come back. The socket is as good as before.
fn concerns_an_earlier_send(error: Errno) -> bool {
    const ALL: &[Errno] = &[
        Errno::CONNREFUSED,
        Errno::CONNRESET,
        Errno::HOSTDOWN,
        Errno::HOSTUNREACH,
        Errno::MSGSIZE,
        Errno::NETDOWN,
        Errno::NETUNREACH,
        Errno::NOPROTOOPT,
        Errno::PROTO,
    ];
    ALL.contains(&error)
}

/// Converts the address of a sender.
pub(super) fn to_address(from: Option<SocketAddrAny>) -> Address {
    let Some(from) = from else {
        return Address::Unnamed;
    };
    if let Ok(ip) = SocketAddr::try_from(from.clone()) {
        return Address::Ip(ip);
    }
    match rustix::net::SocketAddrUnix::try_from(from) {
        Ok(unix) => unix.path().map_or(Address::Unnamed, |path| {
            use std::os::unix::ffi::OsStrExt as _;

            Address::Path(std::ffi::OsStr::from_bytes(path.to_bytes()).into())
        }),
        Err(_) => Address::Unnamed,
    }
}
