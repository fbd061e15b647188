//! Where a router listens, or what it connects to.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

use super::error::LinkSetupError;

/// The address of a link: `unix:PATH`, `tcp:HOST:PORT` or `tls:HOST:PORT`. A host is a name, an
/// IPv4 address, or an IPv6 address in brackets: `tcp:[::1]:4242`.
///
/// [`Router::listen`](crate::Router::listen) and [`Router::connect`](crate::Router::connect) take
/// one, or its text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// A unix socket.
    Unix(PathBuf),
    /// TCP, which is not protected.
    Tcp(Endpoint),
    /// TLS over TCP.
    Tls(Endpoint),
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    host: String,
    port: u16,
}

impl Endpoint {
    /// Returns the name or the IP address of the host, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the addresses if no name has to be resolved. `localhost` is known.
    pub(super) fn addresses(&self) -> Option<Vec<SocketAddr>> {
        let all = match self.host.as_str() {
            "localhost" => vec![
                IpAddr::from(Ipv4Addr::LOCALHOST),
                IpAddr::from(Ipv6Addr::LOCALHOST),
            ],
            host => vec![host.parse().ok()?],
        };
        let address = |ip| SocketAddr::new(ip, self.port);
        Some(all.into_iter().map(address).collect())
    }

    /// Returns the same host with another port.
    pub(super) fn with_port(&self, port: u16) -> Self {
        Self {
            host: self.host.clone(),
            port,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = match host.strip_prefix('[') {
            Some(v6) => {
                let v6 = v6.strip_suffix(']')?;
                v6.parse::<Ipv6Addr>().ok()?;
                v6
            }
            None => host,
        };
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let is_valid = host.bytes().all(is_name) || host.parse::<Ipv6Addr>().is_ok();
        let is_bracketed = text.starts_with('[');
        if !is_valid || host.is_empty() || host.len() > 253 || host.contains(':') != is_bracketed {
            return None;
        }
        // `parse` would take `+1`.
        let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|_| is_number)?;
        let host = host.to_owned();
        Some(Self { host, port })
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self {
            host: address.ip().to_string(),
            port: address.port(),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "[{host}]:{port}")
        } else {
            write!(f, "{host}:{port}")
        }
    }
}

impl FromStr for Address {
    type Err = LinkSetupError;

    fn from_str(text: &str) -> Result<Self, LinkSetupError> {
        let parsed = match text.split_once(':') {
            Some(("unix", path)) if !path.is_empty() => Some(Self::Unix(path.into())),
            Some(("tcp", endpoint)) => Endpoint::parse(endpoint).map(Self::Tcp),
            Some(("tls", endpoint)) => Endpoint::parse(endpoint).map(Self::Tls),
            _ => None,
        };
        parsed.ok_or_else(|| LinkSetupError::Address(text.to_owned()))
    }
}

impl TryFrom<&str> for Address {
    type Error = LinkSetupError;

    fn try_from(text: &str) -> Result<Self, LinkSetupError> {
        text.parse()
    }
}

impl TryFrom<&String> for Address {
    type Error = LinkSetupError;

    fn try_from(text: &String) -> Result<Self, LinkSetupError> {
        text.parse()
    }
}

impl TryFrom<String> for Address {
    type Error = LinkSetupError;

    fn try_from(text: String) -> Result<Self, LinkSetupError> {
        text.parse()
    }
}

impl From<&Address> for Address {
    fn from(address: &Address) -> Self {
        address.clone()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(endpoint) => write!(f, "tcp:{endpoint}"),
            Self::Tls(endpoint) => write!(f, "tls:{endpoint}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_they_are_read() {
        for text in [
            "unix:/run/bus.sock",
            "tcp:127.0.0.1:4242",
            "tcp:[::1]:0",
            "tcp:localhost:1",
            "tls:bus.example.org:4242",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for text in [
            "tcp:a",
            "tcp::1",
            "tcp:a:",
            "tcp:a:+1",
            "tcp:a:65536",
            "tcp:::1:1",
            "tcp:[a]:1",
            "tcp:[::1:1",
            "tls:a b:1",
            "ssl:a:1",
            "tcp:[127.0.0.1]:1",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
