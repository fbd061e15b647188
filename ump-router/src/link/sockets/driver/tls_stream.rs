//! TLS between a socket and a session: bytes of the socket go through rustls, in the same loop.

use std::{
    collections::BTreeSet,
    io::{self, Read as _, Write as _},
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection,
    pki_types::ServerName,
};
use ump_server::net::{SocketId, TcpStream};
use webpki::EndEntityCert;

use crate::link::sockets::{access::Identity, tls::ALPN};

/// The plain text that is encrypted at once. More waits in the session until this is written, so
/// that its deadlines see a peer that reads nothing.
const CHUNK: usize = 16 << 10;

/// A read of rustls takes a part of a record. A larger record comes with the next event.
const READS: usize = 8;

pub(super) struct TlsStream {
    tcp: TcpStream,
    tls: Connection,
}

impl TlsStream {
    pub(super) fn accepted(
        tcp: TcpStream,
        config: Arc<ServerConfig>,
    ) -> Result<Self, rustls::Error> {
        let tls = ServerConnection::new(config)?.into();
        Ok(Self { tcp, tls })
    }

    pub(super) fn connected(
        tcp: TcpStream,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Self, rustls::Error> {
        let tls = ClientConnection::new(config, name)?.into();
        Ok(Self { tcp, tls })
    }

    pub(super) fn id(&self) -> SocketId {
        self.tcp.id()
    }

    pub(super) fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// Returns whose certificate the peer has, once the handshake is over.
    pub(super) fn identity(&self) -> Option<Identity> {
        if self.tls.is_handshaking() {
            return None;
        }
        let certificate = self.tls.peer_certificates()?.first()?;
        // It was verified, so it can be parsed.
        let certificate = EndEntityCert::try_from(certificate).ok()?;
        let dns = certificate.valid_dns_names().map(str::to_ascii_lowercase);
        // What is no URI could look like a DNS name, whose constraints do not hold for it.
        let is_uri = |name: &&str| name.contains(':') && !name.contains(char::is_control);
        let uris = certificate.valid_uri_names().filter(is_uri);
        let names: BTreeSet<_> = dns.chain(uris.map(str::to_owned)).collect();
        let names = names.into_iter().collect();
        Some(Identity::Tls { names })
    }

    /// Reads plain text; with `now` also if the loop has not reported anything yet. A failure of
    /// TLS is of the kind [`io::ErrorKind::InvalidData`].
    pub(super) fn read(&mut self, buffer: &mut [u8], now: bool) -> io::Result<usize> {
        for _ in 0..READS {
            match self.tls.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // The end without a word of TLS: the session knows whether it is complete.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                read => return read,
            }
            let mut socket = Socket {
                tcp: &self.tcp,
                now,
            };
            let ended = self.tls.read_tls(&mut socket)? == 0;
            let processed = self.tls.process_new_packets();
            // An answer of the handshake, or an alert.
            let flushed = self.flush();
            if let Err(error) = processed {
                // What came before it.
                if let Ok(count @ 1..) = self.tls.reader().read(buffer) {
                    return Ok(count);
                }
                return Err(io::Error::new(io::ErrorKind::InvalidData, explain(&error)));
            }
            if !self.tls.is_handshaking() && self.tls.alpn_protocol() != Some(ALPN) {
                let text = "the peer does not say that it speaks the protocol `ump`";
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
            match flushed {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
            if ended && self.tls.is_handshaking() {
                let text = "the peer ended the connection in the handshake of TLS";
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Returns whether plain text can be read although the socket has no bytes.
    pub(super) fn has_plain_text(&mut self) -> bool {
        let state = self.tls.process_new_packets();
        state.is_ok_and(|state| state.plaintext_bytes_to_read() > 0)
    }

    /// Returns whether something that is encrypted waits to be written.
    pub(super) fn wants_write(&self) -> bool {
        self.tls.wants_write()
    }

    /// Writes plain text, once all before it is written.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(error) = self.flush() {
            return Err(self.alert_or(error));
        }
        if self.tls.is_handshaking() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = self.tls.writer().write(&bytes[..bytes.len().min(CHUNK)])?;
        match self.flush() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(count),
        }
    }

    /// Looks whether a failure to write has a reason that the peer has sent.
    fn alert_or(&mut self, error: io::Error) -> io::Error {
        if error.kind() == io::ErrorKind::WouldBlock {
            return error;
        }
        while self
            .tls
            .read_tls(&mut &self.tcp)
            .is_ok_and(|count| count > 0)
        {
            if let Err(alert) = self.tls.process_new_packets() {
                return io::Error::new(io::ErrorKind::InvalidData, explain(&alert));
            }
        }
        error
    }

    /// Writes what is encrypted.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut &self.tcp) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                written => drop(written?),
            }
        }
        Ok(())
    }
}

/// The bytes of the socket.
struct Socket<'a> {
    tcp: &'a TcpStream,
    now: bool,
}

impl io::Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.now {
            self.tcp.read_now(buffer)
        } else {
            self.tcp.read(buffer)
        }
    }
}

impl Drop for TlsStream {
    fn drop(&mut self) {
        self.tls.send_close_notify();
        let _ = self.flush(); // the session has said goodbye, if it could
    }
}

/// Says what to do about an error of TLS, if that is known.
fn explain(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidMessage(_) => {
            format!("the peer does not speak TLS: is it a tcp address? ({error})")
        }
        _ => error.to_string(),
    }
}
