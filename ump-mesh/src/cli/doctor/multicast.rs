//! Whether a datagram to a multicast group leaves an interface and comes back to this host.

use std::{
    io::{self, ErrorKind},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket},
    time::{Duration, Instant, SystemTime},
};

use socket2::{Domain, Protocol, Socket, Type};

/// Sends a datagram to the group by the interface with this address. Returns whether it has come
/// back in time.
pub(super) fn echo(group: SocketAddrV4, interface: Ipv4Addr, wait: Duration) -> io::Result<bool> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?; // participants of this host have the port, too
    socket.bind(&SocketAddr::V4(group).into())?;
    socket.join_multicast_v4(group.ip(), &interface)?;
    socket.set_multicast_if_v4(&interface)?;
    socket.set_multicast_loop_v4(true)?;
    let socket = UdpSocket::from(socket);
    let sent = probe(interface);
    socket.send_to(sent.as_bytes(), group)?;
    let until = Instant::now() + wait;
    let mut buffer = [0; 128];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        socket.set_read_timeout(Some(left))?;
        match socket.recv_from(&mut buffer) {
            // Others look for participants meanwhile.
            Ok((length, _)) if buffer[..length] != *sent.as_bytes() => {}
            Ok(_) => return Ok(true),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
    }
}

/// A datagram that is no message of zenoh, which ignores it, and never the same.
fn probe(interface: Ipv4Addr) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let (pid, now) = (std::process::id(), now.unwrap_or_default().as_nanos());
    format!("ump mesh doctor {interface} {pid} {now}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_hears_its_own() {
        let group = SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 224), 26_999);
        let heard = echo(group, Ipv4Addr::LOCALHOST, Duration::from_secs(10));
        assert!(heard.unwrap());
        let missing = Ipv4Addr::new(203, 0, 113, 1);
        assert!(echo(group, missing, Duration::from_secs(10)).is_err());
    }
}
