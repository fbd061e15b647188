//! What protects a link: the certificates of TLS.

use std::{net::TcpStream, time::Instant};

use super::stream::Stream;
use crate::exit::Error;

/// The certificates of this process, if it has any.
#[derive(Clone, Debug, Default)]
pub(crate) struct Security {
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<ump_router::link::sockets::TlsConfig>,
}

impl Security {
    /// Exchanges the handshake.
    #[cfg(feature = "tls")]
    pub(super) fn protect(
        &self,
        mut socket: TcpStream,
        host: &str,
        deadline: Instant,
    ) -> Result<Stream, Error> {
        let failed = |error: std::io::Error| Error::unreachable(format!("TLS: {error}"));
        let Some(config) = &self.tls else {
            return Err(Error::usage(
                "TLS needs certificates: --tls-cert, --tls-key and --tls-roots (`ump ca` makes them)",
            ));
        };
        let tls =
            super::tls::Tls::handshake(config, host, &mut socket, deadline).map_err(failed)?;
        Ok(Stream::tcp(socket).map_err(failed)?.with_tls(tls))
    }

    /// Says that there is no TLS.
    #[cfg(not(feature = "tls"))]
    pub(super) fn protect(&self, _: TcpStream, _: &str, _: Instant) -> Result<Stream, Error> {
        Err(Error::unreachable("TLS is not built in"))
    }
}
