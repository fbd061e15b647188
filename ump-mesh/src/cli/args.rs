//! Arguments that sub-commands share.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use crate::config::{Config, Tls};

/// The longest time that can be waited.
const MAX_WAIT: Duration = Duration::from_secs(3600);

/// Which mesh, and how it is reached.
#[derive(Clone, Debug, Args)]
pub(crate) struct MeshArgs {
    /// The domain
    #[arg(
        long,
        value_name = "DOMAIN",
        env = "UMP_DOMAIN",
        default_value = "default"
    )]
    domain: String,
    /// An interface, by its name or an address; may be given several times. Without: all that have
    /// private addresses
    #[arg(long, value_name = "INTERFACE")]
    interface: Vec<String>,
    /// A fixed participant, such as tcp/192.168.1.7:7447; may be given several times
    #[arg(long, value_name = "ADDRESS")]
    peer: Vec<String>,
    /// Does not look for participants by multicast
    #[arg(long)]
    no_multicast: bool,
    /// The certificate of this process, for a mesh over TLS
    #[arg(long, value_name = "FILE", env = "UMP_TLS_CERT", requires_all = ["tls_key", "tls_roots"])]
    tls_cert: Option<PathBuf>,
    /// Its private key
    #[arg(long, value_name = "FILE", env = "UMP_TLS_KEY", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// The certificate of the authority of the mesh
    #[arg(
        long,
        value_name = "FILE",
        env = "UMP_TLS_ROOTS",
        requires = "tls_cert"
    )]
    tls_roots: Option<PathBuf>,
    /// A configuration file of zenoh, which is read first
    #[arg(long, value_name = "FILE")]
    zenoh_file: Option<PathBuf>,
    /// How long participants are looked for, at most an hour
    #[arg(long, value_name = "TIME", value_parser = wait, default_value = "1s")]
    pub(crate) wait: Duration,
}

impl MeshArgs {
    pub(crate) fn config(&self) -> Config {
        let mut config = Config::new().domain(&self.domain);
        for interface in &self.interface {
            config = config.interface(interface);
        }
        for peer in &self.peer {
            config = config.peer(peer);
        }
        if self.no_multicast {
            config = config.multicast(false);
        }
        if let (Some(certificate), Some(key), Some(authority)) =
            (&self.tls_cert, &self.tls_key, &self.tls_roots)
        {
            config = config.tls(Tls {
                authority: authority.clone(),
                certificate: certificate.clone(),
                key: key.clone(),
            });
        }
        if let Some(file) = &self.zenoh_file {
            config = config.zenoh_file(file);
        }
        config
    }

    /// Whether there is a fixed participant, or a file that may have one.
    pub(crate) fn has_fixed(&self) -> bool {
        !self.peer.is_empty() || self.zenoh_file.is_some()
    }
}

/// Parses durations such as `500ms` or `2s`.
fn wait(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if duration > MAX_WAIT {
        return Err("at most an hour".to_owned());
    }
    Ok(duration)
}
