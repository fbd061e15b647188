//! TLS over a socket that does not block.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::TcpStream,
    sync::Arc,
    time::Instant,
};

use rustls::{ClientConnection, Error as RustlsError};
use ump_router::link::sockets::TlsConfig;

/// How much is encrypted and not written.
const BUFFER: usize = 256 << 10;

/// The state of TLS. The socket is that of the stream.
#[derive(Debug)]
pub(super) struct Tls(Box<ClientConnection>);

impl Tls {
    /// Exchanges the handshake on a socket that blocks.
    pub(super) fn handshake(
        config: &TlsConfig,
        host: &str,
        socket: &mut TcpStream,
        deadline: Instant,
    ) -> io::Result<Self> {
        let name = config.name_of(host).map_err(io::Error::other)?;
        let connection = ClientConnection::new(Arc::clone(&config.client_config()), name);
        let mut connection = connection.map_err(|error| invalid(&error))?;
        connection.set_buffer_limit(Some(BUFFER));
        while connection.is_handshaking() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            socket.set_read_timeout(Some(left))?;
            socket.set_write_timeout(Some(left))?;
            connection.complete_io(socket)?;
        }
        Ok(Self(Box::new(connection)))
    }

    pub(super) fn read(
        &mut self,
        socket: &mut (impl Read + Write),
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        loop {
            match self.0.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // 0 is a proper end.
                other => return other,
            }
            self.0.read_tls(socket)?;
            if let Err(error) = self.0.process_new_packets() {
                let _ = self.flush(socket); // the alert
                return Err(invalid(&error));
            }
        }
    }

    pub(super) fn write(&mut self, socket: &mut impl Write, bytes: &[u8]) -> io::Result<usize> {
        let count = self.0.writer().write(bytes)?;
        match self.flush(socket) {
            // It is written later: see `Stream::flush`.
            Err(error) if error.kind() == ErrorKind::WouldBlock && count > 0 => Ok(count),
            Err(error) => Err(error),
            Ok(()) if count == 0 && !bytes.is_empty() => Err(ErrorKind::WouldBlock.into()),
            Ok(()) => Ok(count),
        }
    }

    /// Writes what is encrypted.
    pub(super) fn flush(&mut self, socket: &mut impl Write) -> io::Result<()> {
        while self.0.wants_write() {
            self.0.write_tls(socket)?;
        }
        Ok(())
    }
}

fn invalid(error: &RustlsError) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error.to_string())
}
