//! Certificates and keys for links over TLS.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::Resumption,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    version::TLS13,
};

/// The protocol that the two ends agree on in the handshake.
pub(super) const ALPN: &[u8] = b"ump";

/// The certificate and the key of this process, and the roots by which it knows others: for
/// [`ListenOptions::tls`](super::ListenOptions::tls) and
/// [`ConnectOptions::tls`](super::ConnectOptions::tls). Requires the feature `tls`.
///
/// Both ends authenticate: each needs a certificate that a root of the other has issued. The end
/// that connects also checks that the certificate is for the host of its address, or for the
/// [`server_name`](Self::server_name). What the other end may do is up to the rules, which know it
/// by the DNS names and URIs of its certificate: [`Who::TlsName`](super::Who::TlsName).
///
/// Only TLS 1.3 is spoken. Sessions are not resumed, so every connection is authenticated anew.
/// Lists of revoked certificates are not looked at.
#[derive(Clone)]
pub struct TlsConfig {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

/// The reason why certificates or keys cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file could not be read.
    #[error("cannot read {}: {reason}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The certificates of this process are missing or not valid.
    #[error("the certificates of this process cannot be used: {0}")]
    Certificates(String),
    /// The private key is missing or not valid, or is that of another certificate.
    #[error("the private key cannot be used: {0}")]
    Key(String),
    /// The roots are missing or not valid.
    #[error("the root certificates cannot be used: {0}")]
    Roots(String),
    /// It is no name of a host.
    #[error("'{0}' is not the name of a host")]
    ServerName(String),
}

impl TlsConfig {
    /// Reads PEM files: the certificates of this process (its own first, then intermediate ones),
    /// its private key, and the roots by which it knows others.
    ///
    /// # Errors
    /// - [`TlsError::File`]: a file could not be read.
    /// - See [`from_pem`](Self::from_pem).
    pub fn from_files(
        certificates: impl AsRef<Path>,
        key: impl AsRef<Path>,
        roots: impl AsRef<Path>,
    ) -> Result<Self, TlsError> {
        let read = |path: &Path| {
            fs::read(path).map_err(|error: io::Error| TlsError::File {
                path: path.to_owned(),
                reason: error.to_string(),
            })
        };
        Self::from_pem(
            &read(certificates.as_ref())?,
            &read(key.as_ref())?,
            &read(roots.as_ref())?,
        )
    }

    /// Takes the same as PEM texts.
    ///
    /// # Errors
    /// [`TlsError::Certificates`], [`TlsError::Key`] or [`TlsError::Roots`].
    pub fn from_pem(certificates: &[u8], key: &[u8], roots: &[u8]) -> Result<Self, TlsError> {
        let certificates = parse(certificates).map_err(TlsError::Certificates)?;
        let key = PrivateKeyDer::from_pem_slice(key);
        let key = key.map_err(|error| TlsError::Key(error.to_string()))?;
        let mut store = RootCertStore::empty();
        for root in parse(roots).map_err(TlsError::Roots)? {
            let added = store.add(root);
            added.map_err(|error| TlsError::Roots(error.to_string()))?;
        }
        let store = Arc::new(store);
        let provider = Arc::new(ring::default_provider());
        let own = |error: rustls::Error| match error {
            rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
                TlsError::Certificates(error.to_string())
            }
            _ => TlsError::Key(error.to_string()),
        };

        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&store), Arc::clone(&provider));
        let verifier = verifier.build();
        let verifier = verifier.map_err(|error| TlsError::Roots(error.to_string()))?;
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let server = server.with_protocol_versions(&[&TLS13]).map_err(own)?;
        let server = server.with_client_cert_verifier(verifier);
        let mut server = server
            .with_single_cert(certificates.clone(), key.clone_key())
            .map_err(own)?;
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        server.alpn_protocols = vec![ALPN.to_vec()];

        let client = ClientConfig::builder_with_provider(provider);
        let client = client.with_protocol_versions(&[&TLS13]).map_err(own)?;
        let client = client.with_root_certificates(store);
        let mut client = client
            .with_client_auth_cert(certificates, key)
            .map_err(own)?;
        client.resumption = Resumption::disabled();
        client.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self {
            server: Arc::new(server),
            client: Arc::new(client),
            server_name: None,
        })
    }

    /// Sets the name that the certificate of the other end must have when this end connects. The
    /// default is the host of the address.
    ///
    /// # Errors
    /// [`TlsError::ServerName`]: it is no name of a host.
    pub fn server_name(mut self, name: &str) -> Result<Self, TlsError> {
        self.server_name = Some(parse_name(name)?);
        Ok(self)
    }

    pub(super) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    /// Returns the configuration of the end that connects, for a driver of
    /// [`Session`](crate::link::session::Session) other than the router's.
    #[must_use]
    pub fn client_config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.client)
    }

    /// Returns the name that the host of an address must have.
    ///
    /// # Errors
    /// [`TlsError::ServerName`]: it is no name of a host.
    pub fn name_of(&self, host: &str) -> Result<ServerName<'static>, TlsError> {
        self.server_name
            .clone()
            .map_or_else(|| parse_name(host), Ok)
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

fn parse_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(name.to_owned()).map_err(|_| TlsError::ServerName(name.to_owned()))
}

fn parse(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|error| error.to_string())?;
    if all.is_empty() {
        return Err("there is no certificate".to_owned());
    }
    Ok(all)
}
