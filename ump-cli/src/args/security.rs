//! The certificates of TLS.

use crate::{client::Security, exit::Error};

/// The certificates of this process, for addresses tls:HOST:PORT.
#[derive(Clone, Debug, clap::Args)]
#[allow(clippy::struct_field_names, reason = "they are those of the options")]
pub(crate) struct SecurityArgs {
    /// The certificate of this process, for tls: addresses
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE", env = "UMP_TLS_CERT", requires_all = ["tls_key", "tls_roots"])]
    tls_cert: Option<std::path::PathBuf>,
    /// Its private key, which only its owner should be able to read (chmod 600)
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE", env = "UMP_TLS_KEY", requires = "tls_cert")]
    tls_key: Option<std::path::PathBuf>,
    /// The certificates of the authorities by which it knows others
    #[cfg(feature = "tls")]
    #[arg(
        long,
        value_name = "FILE",
        env = "UMP_TLS_ROOTS",
        requires = "tls_cert"
    )]
    tls_roots: Option<std::path::PathBuf>,
    /// The name in the certificate of the server, if it is not the host of the address
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "NAME", requires = "tls_cert")]
    tls_name: Option<String>,
}

impl SecurityArgs {
    /// Reads the certificates.
    #[cfg(feature = "tls")]
    pub(crate) fn security(&self) -> Result<Security, Error> {
        use ump_router::link::sockets::TlsConfig;

        let (Some(cert), Some(key), Some(roots)) = (&self.tls_cert, &self.tls_key, &self.tls_roots)
        else {
            return Ok(Security::default());
        };
        warn_if_exposed(key);
        let tls = TlsConfig::from_files(cert, key, roots).and_then(|tls| match &self.tls_name {
            Some(name) => tls.server_name(name),
            None => Ok(tls),
        });
        let tls = Some(tls.map_err(|error| Error::usage(error.to_string()))?);
        Ok(Security { tls })
    }

    /// There are no certificates.
    #[cfg(not(feature = "tls"))]
    #[allow(clippy::unnecessary_wraps, reason = "with TLS, it can fail")]
    pub(crate) fn security(&self) -> Result<Security, Error> {
        Ok(Security::default())
    }
}

/// Warns if others than the owner can read a private key.
#[cfg(feature = "tls")]
pub(crate) fn warn_if_exposed(key: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;

    // If it cannot be looked at, reading it says why.
    let mode = std::fs::metadata(key).map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o044 != 0 {
        let key = key.display();
        crate::output::note(&format!(
            "warning: others can read the private key {key}: chmod 600 {key}"
        ));
    }
}
