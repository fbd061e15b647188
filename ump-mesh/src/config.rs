//! How a router joins.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{error::MeshError, interfaces, keys};

/// How a router joins a mesh. The defaults are for programs that trust their network.
///
/// ```
/// use ump_mesh::Config;
///
/// let config = Config::new().domain("plant-7").interface("eth0");
/// ```
#[derive(Clone, Debug)]
#[must_use = "to be given to `Mesh::join`"]
pub struct Config {
    domain: String,
    name: Option<String>,
    interfaces: Vec<String>,
    peers: Vec<String>,
    listen: Vec<String>,
    multicast: bool,
    transports: Vec<Transport>,
    tls: Option<Tls>,
    lease: Duration,
    max_message: usize,
    file: Option<PathBuf>,
}

/// How participants connect to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// TCP, without encryption.
    Tcp,
    /// TLS over TCP. Needs [certificates](Config::tls).
    Tls,
    /// QUIC. Needs [certificates](Config::tls).
    Quic,
    /// UDP, without encryption. Subscriptions report lost messages as a gap.
    Udp,
}

impl Transport {
    fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Quic => "quic",
            Self::Udp => "udp",
        }
    }
}

/// The certificates of a participant, as files in the format PEM. Both ends of a connection show
/// theirs. A participant without a certificate of the authority cannot connect.
///
/// The name in a certificate is not compared with an address, as participants find each other by
/// addresses: use an authority that certifies the participants of this mesh and nobody else.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tls {
    /// The certificate of the authority.
    pub authority: PathBuf,
    /// The certificate of this participant.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

impl Config {
    /// Creates the default configuration: the domain `default`, multicast, TCP on all private
    /// addresses, and a lease of 2 seconds.
    pub fn new() -> Self {
        Self {
            domain: "default".to_owned(),
            name: None,
            interfaces: Vec::new(),
            peers: Vec::new(),
            listen: Vec::new(),
            multicast: true,
            transports: Vec::new(),
            tls: None,
            lease: Duration::from_secs(2),
            max_message: 128 << 20,
            file: None,
        }
    }

    /// Sets the domain: one fragment of a topic, of 64 bytes at most. Participants of different
    /// domains never mix. A domain is no protection: whoever knows its name can join.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = domain.into();
        self
    }

    /// Sets the name under which others see this participant. By default that of the program.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Adds an interface, by its name or by one of its addresses. Without any, all those with
    /// private addresses are used: those of the private networks, of this host, and link-local
    /// ones.
    ///
    /// An interface that gets its address later is not used.
    pub fn interface(mut self, interface: impl Into<String>) -> Self {
        self.interfaces.push(interface.into());
        self
    }

    /// Adds a fixed participant, where there is no multicast, as zenoh writes its address:
    /// `tcp/192.168.1.7:7447`. It [listens](Self::listen) there. Others are found through it.
    pub fn peer(mut self, address: impl Into<String>) -> Self {
        self.peers.push(address.into());
        self
    }

    /// Listens at an address, as zenoh writes it, instead of at a free port of each interface.
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen.push(address.into());
        self
    }

    /// Sets whether participants are looked for by multicast. It is on by default.
    pub fn multicast(mut self, is_on: bool) -> Self {
        self.multicast = is_on;
        self
    }

    /// Sets the transports. By default TCP, or TLS with [certificates](Self::tls).
    pub fn transports(mut self, transports: impl IntoIterator<Item = Transport>) -> Self {
        self.transports = transports.into_iter().collect();
        self
    }

    /// Sets the certificates. Then all connections are encrypted and both ends authenticated,
    /// unless [transports](Self::transports) say something else.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sets after how long a participant that is silent is lost. By default 2 seconds. A killed
    /// process is noticed at once; this is for hosts that are cut off.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Sets the maximum length of a message that others send, in bytes. By default 128 MiB. A
    /// longer one ends the connection.
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }

    /// Reads a configuration file of zenoh (JSON5) first. The settings of this configuration come
    /// on top: always those of the domain, the lease and the limits; addresses only if they are
    /// given here.
    pub fn zenoh_file(mut self, path: impl AsRef<Path>) -> Self {
        self.file = Some(path.as_ref().to_owned());
        self
    }

    pub(crate) fn domain_name(&self) -> &str {
        &self.domain
    }

    /// The interfaces that are named.
    #[cfg(feature = "cli")]
    pub(crate) fn interface_names(&self) -> &[String] {
        &self.interfaces
    }

    /// Whether participants are looked for by multicast.
    #[cfg(feature = "cli")]
    pub(crate) fn has_multicast(&self) -> bool {
        self.multicast
    }

    pub(crate) fn lease_time(&self) -> Duration {
        self.lease
    }

    /// The name under which others see it.
    pub(crate) fn display_name(&self) -> String {
        let program = || {
            let path = std::env::current_exe().ok()?;
            Some(path.file_name()?.to_string_lossy().into_owned())
        };
        let name = self.name.clone().or_else(program);
        name.unwrap_or_default().chars().take(64).collect()
    }

    /// Translates it for zenoh.
    pub(crate) fn resolve(&self) -> Result<zenoh::Config, MeshError> {
        keys::check_domain(&self.domain)?;
        let invalid = |error: zenoh::Error| MeshError::Config(error.to_string());
        let mut config = match &self.file {
            Some(path) => zenoh::Config::from_file(path).map_err(invalid)?,
            None => zenoh::Config::default(),
        };
        let mut set = |key: &str, value: &str| {
            let set = config.insert_json5(key, value);
            set.map_err(|error| MeshError::Config(format!("{key} = {value}: {error}")))
        };
        set("namespace", &text(&keys::namespace(&self.domain)))?;
        let group = text(&keys::group(&self.domain));
        set("scouting/multicast/address", &group)?;
        let lease = self.lease.as_millis().max(1);
        set("transport/link/tx/lease", &lease.to_string())?;
        let limit = self.max_message.to_string();
        set("transport/link/rx/max_message_size", &limit)?;
        // A participant that does not read holds the others up for so long, in microseconds.
        let control = "transport/link/tx/queue/congestion_control";
        set(&format!("{control}/drop/wait_before_drop"), "20000")?;
        set(&format!("{control}/block/wait_before_close"), "1000000")?;
        if self.file.is_none() || !self.multicast {
            set("scouting/multicast/enabled", &self.multicast.to_string())?;
        }
        if !self.peers.is_empty() {
            set("connect/endpoints", &list(&self.peers))?;
        }
        if !self.listen.is_empty() {
            set("listen/endpoints", &list(&self.listen))?;
        } else if self.file.is_none() || !self.interfaces.is_empty() {
            let addresses = interfaces::addresses(&self.interfaces)?;
            set("listen/endpoints", &list(&self.endpoints(&addresses)?))?;
            if !self.interfaces.is_empty() {
                let names = addresses.iter().map(ToString::to_string);
                let names = names.collect::<Vec<_>>().join(",");
                set("scouting/multicast/interface", &text(&names))?;
            }
        }
        if let Some(tls) = &self.tls {
            let tls_key = |key: &str| format!("transport/link/tls/{key}");
            let path = |path: &Path| text(&path.display().to_string());
            set(&tls_key("root_ca_certificate"), &path(&tls.authority))?;
            set(&tls_key("enable_mtls"), "true")?;
            set(&tls_key("verify_name_on_connect"), "false")?;
            set(&tls_key("listen_certificate"), &path(&tls.certificate))?;
            set(&tls_key("listen_private_key"), &path(&tls.key))?;
            set(&tls_key("connect_certificate"), &path(&tls.certificate))?;
            set(&tls_key("connect_private_key"), &path(&tls.key))?;
        }
        if self.file.is_none() {
            let mut transports = self.transport_names();
            // That of a fixed participant may be another one.
            let peers = self.peers.iter().chain(&self.listen);
            let others = peers.filter_map(|address| address.split('/').next());
            transports.extend(others.map(str::to_owned));
            set("transport/link/protocols", &list(&transports))?;
        }
        Ok(config)
    }

    fn transport_names(&self) -> Vec<String> {
        let default = match &self.tls {
            Some(_) => Transport::Tls,
            None => Transport::Tcp,
        };
        let transports: &[_] = match &self.transports[..] {
            [] => &[default],
            all => all,
        };
        transports.iter().map(|it| it.name().to_owned()).collect()
    }

    /// A free port of each address, by each transport.
    fn endpoints(&self, addresses: &[IpAddr]) -> Result<Vec<String>, MeshError> {
        let mut endpoints = Vec::new();
        for transport in self.transport_names() {
            if self.tls.is_none() {
                match &transport[..] {
                    "tls" => return Err(MeshError::NoCertificates("TLS")),
                    "quic" => return Err(MeshError::NoCertificates("QUIC")),
                    _ => {}
                }
            }
            for address in addresses {
                endpoints.push(match address {
                    IpAddr::V4(v4) => format!("{transport}/{v4}:0"),
                    IpAddr::V6(v6) => format!("{transport}/[{v6}]:0"),
                });
            }
        }
        Ok(endpoints)
    }
}

/// A text in JSON.
fn text(text: &str) -> String {
    let mut json = String::from('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => json.extend(['\\', char]),
            char if char.is_control() => json.extend(format!("\\u{:04x}", u32::from(char)).chars()),
            char => json.push(char),
        }
    }
    json.push('"');
    json
}

fn list(texts: &[String]) -> String {
    let texts: Vec<_> = texts.iter().map(|it| text(it)).collect();
    format!("[{}]", texts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_bind_to_private_addresses_only() {
        let config = Config::new().resolve().unwrap();
        let endpoints = config.get_json("listen/endpoints").unwrap();
        assert!(endpoints.contains("tcp/127.0.0.1:0"), "{endpoints}");
        assert!(
            !endpoints.contains("0.0.0.0") && !endpoints.contains("[::]:"),
            "{endpoints}"
        );
        assert_eq!(config.get_json("namespace").unwrap(), "\"ump/default\"");
        assert_eq!(config.get_json("transport/link/tx/lease").unwrap(), "2000");
        let protocols = config.get_json("transport/link/protocols").unwrap();
        assert_eq!(protocols, "[\"tcp\"]");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let error = Config::new().domain("a/b").resolve().unwrap_err();
        assert_eq!(error, MeshError::Domain("a/b".to_owned()));
        let quic = Config::new().transports([Transport::Quic]);
        assert_eq!(
            quic.resolve().unwrap_err(),
            MeshError::NoCertificates("QUIC")
        );
        let error = Config::new().peer("nonsense \"").resolve().unwrap_err();
        assert!(matches!(error, MeshError::Config(_)), "{error}");
        let error = Config::new().zenoh_file("/no/such/file").resolve();
        assert!(matches!(error, Err(MeshError::Config(_))));
        let error = Config::new().interface("no-such-interface").resolve();
        assert!(matches!(error, Err(MeshError::Interface(_))));
    }

    #[test]
    fn certificates_are_for_both_ends() {
        let tls = Tls {
            authority: "ca.pem".into(),
            certificate: "a \"b\".pem".into(),
            key: "key.pem".into(),
        };
        let config = Config::new().tls(tls).interface("127.0.0.9").resolve();
        let config = config.unwrap();
        let get = |key: &str| config.get_json(key).unwrap();
        assert_eq!(get("listen/endpoints"), "[\"tls/127.0.0.9:0\"]");
        assert_eq!(get("transport/link/tls/enable_mtls"), "true");
        let certificate = get("transport/link/tls/connect_certificate");
        assert_eq!(certificate, r#""a \"b\".pem""#);
        assert_eq!(get("scouting/multicast/interface"), "\"127.0.0.9\"");
    }
}
