//! Why a router could not join.

/// The reason why a router could not join a mesh.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum MeshError {
    /// The domain is not one fragment of a topic, or is longer than 64 bytes.
    #[error("{0:?} is not a domain: it must be one fragment of a topic, of 64 bytes at most")]
    Domain(String),
    /// The configuration names no such interface, or the system does not tell its interfaces.
    #[error("the interface {0:?} has no address")]
    Interface(String),
    /// A transport needs certificates.
    #[error("the transport {0} needs certificates: set `Config::tls`")]
    NoCertificates(&'static str),
    /// zenoh refused the configuration.
    #[error("the configuration is not valid: {0}")]
    Config(String),
    /// zenoh could not be started.
    #[error("zenoh could not be started: {0}")]
    Open(String),
    /// The thread of the mesh could not be started, or has ended.
    #[error("the thread of the mesh could not be started: {0}")]
    Thread(String),
    /// The router was closed.
    #[error("the router was closed")]
    Closed,
}
