//! Where the admin surface listens.

use std::{
    convert::Infallible,
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

/// An address at which the admin surface listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// An IP address and a port. As text: `127.0.0.1:7070`, `[::1]:7070` or `localhost:7070`, which
    /// is the first of these.
    Tcp(SocketAddr),
    /// The path of a unix socket. As text: `unix:PATH`.
    Unix(PathBuf),
}

/// A text is not an address.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq, Hash)]
#[error("{0:?} is no address: expected IP:PORT, localhost:PORT or unix:PATH")]
pub struct AddressError(String);

impl Address {
    /// Returns whether only processes of this machine can connect.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let parsed = match text.split_once(':') {
            Some(("unix", "")) => None,
            Some(("unix", path)) => Some(Self::Unix(path.into())),
            Some(("localhost", port)) => {
                let tcp = |port| Self::Tcp((IpAddr::V4(Ipv4Addr::LOCALHOST), port).into());
                port.parse().ok().map(tcp)
            }
            _ => text.parse().ok().map(Self::Tcp),
        };
        parsed.ok_or_else(|| AddressError(text.to_owned()))
    }
}

impl TryFrom<&str> for Address {
    type Error = AddressError;

    fn try_from(text: &str) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl TryFrom<&String> for Address {
    type Error = AddressError;

    fn try_from(text: &String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl From<Infallible> for AddressError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_addresses_and_back() {
        for text in ["127.0.0.1:7070", "[::1]:0", "0.0.0.0:80", "unix:/run/a b"] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
        let localhost: Address = "localhost:1".parse().unwrap();
        assert_eq!(localhost.to_string(), "127.0.0.1:1");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            ":",
            "unix:",
            "localhost",
            "localhost:x",
            "127.0.0.1",
            "example.org:80",
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
    }

    #[test]
    fn only_loopback_and_unix_are_local() {
        let is_local = |text: &str| text.parse::<Address>().unwrap().is_local();
        assert!(is_local("127.9.9.9:1") && is_local("[::1]:1") && is_local("unix:x"));
        assert!(is_local("[::ffff:127.0.0.1]:1"));
        assert!(!is_local("0.0.0.0:1") && !is_local("[::]:1") && !is_local("192.0.2.1:1"));
    }
}
