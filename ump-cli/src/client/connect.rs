//! Connecting, step by step, so that `doctor` can say which step fails.

use std::{
    io,
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use ump_router::link::sockets::Address;

use super::{security::Security, stream::Stream};
use crate::exit::Error;

/// How often a full queue of a unix socket is tried again.
const RETRY: Duration = Duration::from_millis(10);

/// Connects to the address, with all addresses of its host in turn.
pub(crate) fn connect(
    address: &Address,
    security: &Security,
    deadline: Instant,
) -> Result<Stream, Error> {
    connect_in_steps(address, security, deadline, || {})
}

/// Connects to the address, and tells when the socket is connected, before the handshake of TLS.
pub(crate) fn connect_in_steps(
    address: &Address,
    security: &Security,
    deadline: Instant,
    connected: impl FnOnce(),
) -> Result<Stream, Error> {
    let of_address =
        |error: Error| Error::new(error.exit, format!("cannot connect to {address}: {error}"));
    let stream = match address {
        Address::Unix(path) => connect_unix(path, deadline),
        Address::Tcp(endpoint) | Address::Tls(endpoint) => {
            let addresses = resolve(endpoint.host(), endpoint.port()).map_err(of_address)?;
            let socket = connect_tcp(&addresses, deadline).map_err(of_address)?;
            connected();
            match address {
                Address::Tls(_) => security.protect(socket, endpoint.host(), deadline),
                _ => Stream::tcp(socket).map_err(|error| Error::unreachable(explain(&error))),
            }
        }
        _ => Err(Error::usage("this kind of address is not known")),
    };
    stream.map_err(of_address)
}

/// Returns the addresses of a host.
pub(crate) fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
    match (host, port).to_socket_addrs() {
        Ok(addresses) => Ok(addresses.collect()),
        Err(error) => {
            let text = format!("the host '{host}' has no address: {error}");
            Err(Error::unreachable(text))
        }
    }
}

fn connect_unix(path: &Path, deadline: Instant) -> Result<Stream, Error> {
    loop {
        match Stream::connect_unix(path) {
            Ok(stream) => return Ok(stream),
            // The listener has not accepted those before.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if Instant::now() >= deadline {
                    return Err(Error::unreachable("the server accepts nothing"));
                }
                thread::sleep(RETRY);
            }
            Err(error) => return Err(Error::unreachable(explain(&error))),
        }
    }
}

fn connect_tcp(addresses: &[SocketAddr], deadline: Instant) -> Result<TcpStream, Error> {
    let mut failures = Vec::new();
    for (index, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        // The rest of the time is shared by the rest of the addresses.
        let share = left / u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        let stream = TcpStream::connect_timeout(address, share.max(Duration::from_millis(1)));
        let stream = stream.and_then(|stream| stream.set_nodelay(true).map(|()| stream));
        match stream {
            Ok(stream) => return Ok(stream),
            Err(error) => failures.push(format!("{address}: {}", explain(&error))),
        }
    }
    Err(Error::unreachable(failures.join("; ")))
}

fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such socket: is the server running?".to_owned(),
        io::ErrorKind::ConnectionRefused => "nobody listens there".to_owned(),
        io::ErrorKind::PermissionDenied => "the socket belongs to another user".to_owned(),
        _ => error.to_string(),
    }
}
