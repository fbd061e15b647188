//! The status of sockets, as other threads see it.

use std::{fmt, time::Duration};

use super::{Address, SocketId};

/// The kind of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum SocketKind {
    /// Accepts TCP connections.
    TcpListener,
    /// A TCP connection.
    TcpStream,
    /// A UDP socket.
    Udp,
    /// Accepts connections on a unix socket.
    UnixListener,
    /// A connection of a unix socket.
    UnixStream,
    /// A unix socket for datagrams.
    UnixDatagram,
    /// Any other descriptor.
    Source,
}

impl SocketKind {
    const ALL: [Self; 7] = [
        Self::TcpListener,
        Self::TcpStream,
        Self::Udp,
        Self::UnixListener,
        Self::UnixStream,
        Self::UnixDatagram,
        Self::Source,
    ];

    fn is_listener(self) -> bool {
        matches!(self, Self::TcpListener | Self::UnixListener)
    }

    /// Returns whether the local address is of interest by itself: such sockets are bound to an
    /// address that others know.
    fn is_bound(self) -> bool {
        self.is_listener() || matches!(self, Self::Udp | Self::UnixDatagram)
    }
}

impl fmt::Display for SocketKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TcpListener => "TCP listener",
            Self::TcpStream => "TCP stream",
            Self::Udp => "UDP socket",
            Self::UnixListener => "unix listener",
            Self::UnixStream => "unix stream",
            Self::UnixDatagram => "unix datagram socket",
            Self::Source => "source",
        })
    }
}

/// The status of an open socket, read without stopping its loop. It may be out of date as soon as
/// it is returned. From [`Stopper::sockets`](crate::Stopper::sockets),
/// [`InstanceStatus::sockets`](crate::system::InstanceStatus::sockets) and
/// [`Sockets::status`](super::Sockets::status).
///
/// It is displayed in a line, such as:
///
/// ```text
/// TCP stream 1.0 on 127.0.0.1:7000, peer 127.0.0.1:41234: 12 bytes in, 12 out, 1 event, 0 errors, open for 2.5s
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct SocketStatus {
    /// The number of the worker in its pool, from zero.
    pub worker: usize,
    /// The id of the socket, unique within its worker.
    pub id: SocketId,
    /// The kind of the socket.
    pub kind: SocketKind,
    /// The local address.
    pub local: Address,
    /// The address of the peer; [`Address::Unnamed`] if there is none.
    pub peer: Address,
    /// Whether the connection is still being made.
    pub is_connecting: bool,
    /// The number of bytes read, or received in datagrams.
    pub bytes_in: u64,
    /// The number of bytes written, or sent in datagrams.
    pub bytes_out: u64,
    /// The number of events reported to the handler. For a listener: the connections accepted.
    pub events: u64,
    /// The number of failures: of reads and writes other than "would block", of connections that
    /// were not accepted, of datagrams that could not be sent.
    pub errors: u64,
    /// The time since the socket was registered, by the loop's clock.
    pub age: Duration,
}

impl fmt::Display for SocketStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} on {}", self.kind, self.id, self.local)?;
        if !self.kind.is_bound() {
            write!(f, ", peer {}", self.peer)?;
        }
        if self.is_connecting {
            f.write_str(", connecting")?;
        }
        let Self {
            bytes_in,
            bytes_out,
            ..
        } = self;
        let events = Counted(self.events, "event");
        let errors = Counted(self.errors, "error");
        let age = self.age;
        write!(
            f,
            ": {bytes_in} bytes in, {bytes_out} out, {events}, {errors}, open for {age:.1?}"
        )
    }
}

/// The sockets of a loop in a few words: how many of each kind, the addresses of those that others
/// know, and the sums of their counters.
pub(crate) struct Summary<'a>(pub(crate) &'a [SocketStatus]);

impl Summary<'_> {
    /// The most addresses that are displayed of a kind.
    const ADDRESSES: usize = 4;
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.0;
        if all.is_empty() {
            return f.write_str("no sockets");
        }
        let mut separator = "";
        for kind in SocketKind::ALL {
            let of_kind = || all.iter().filter(|socket| socket.kind == kind);
            let count = of_kind().count();
            if count == 0 {
                continue;
            }
            write!(f, "{separator}{}", Counted(count as u64, &kind.to_string()))?;
            separator = ", ";
            if !kind.is_bound() {
                continue;
            }
            let mut before = " on ";
            for socket in of_kind().take(Self::ADDRESSES) {
                write!(f, "{before}{}", socket.local)?;
                before = " and ";
            }
            if count > Self::ADDRESSES {
                f.write_str(" and others")?;
            }
        }
        let sum = |of: fn(&SocketStatus) -> u64| all.iter().map(of).sum::<u64>();
        let bytes_in = sum(|socket| socket.bytes_in);
        let bytes_out = sum(|socket| socket.bytes_out);
        let events = Counted(sum(|socket| socket.events), "event");
        let errors = Counted(sum(|socket| socket.errors), "error");
        write!(
            f,
            ": {bytes_in} bytes in, {bytes_out} out, {events}, {errors}"
        )
    }
}

/// A number and its noun, in the plural unless it is one.
struct Counted<'a>(u64, &'a str);

impl fmt::Display for Counted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(count, noun) = self;
        let ending = if *count == 1 { "" } else { "s" };
        write!(f, "{count} {noun}{ending}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Address;

    fn socket(kind: SocketKind, index: u32, port: u16) -> SocketStatus {
        SocketStatus {
            worker: 0,
            id: SocketId {
                index,
                generation: 0,
            },
            kind,
            local: Address::Ip(([127, 0, 0, 1], port).into()),
            peer: Address::Unnamed,
            is_connecting: false,
            bytes_in: 5,
            bytes_out: 7,
            events: 1,
            errors: 0,
            age: Duration::from_millis(2_540),
        }
    }

    #[test]
    fn a_socket_is_displayed_in_a_line() {
        let mut stream = socket(SocketKind::TcpStream, 3, 7000);
        stream.peer = Address::Ip(([127, 0, 0, 1], 9).into());
        stream.is_connecting = true;
        let expected = "TCP stream 3.0 on 127.0.0.1:7000, peer 127.0.0.1:9, connecting: \
                        5 bytes in, 7 out, 1 event, 0 errors, open for 2.5s";
        assert_eq!(stream.to_string(), expected);
        let listener = socket(SocketKind::TcpListener, 0, 7000).to_string();
        assert!(listener.starts_with("TCP listener 0.0 on 127.0.0.1:7000: "));
    }

    #[test]
    fn a_summary_names_the_known_addresses_only() {
        let mut all = vec![
            socket(SocketKind::TcpStream, 0, 7000),
            socket(SocketKind::TcpListener, 1, 7000),
            socket(SocketKind::TcpStream, 2, 7000),
        ];
        let expected = "1 TCP listener on 127.0.0.1:7000, 2 TCP streams: \
                        15 bytes in, 21 out, 3 events, 0 errors";
        assert_eq!(Summary(&all).to_string(), expected);
        all.extend((0..5).map(|n| socket(SocketKind::Udp, n, 1)));
        let many = Summary(&all).to_string();
        assert!(many.contains("5 UDP sockets on 127.0.0.1:1 and "));
        assert!(many.contains(" and others: "), "{many}");
        assert_eq!(Summary(&[]).to_string(), "no sockets");
    }
}
