//! The command line: settings, their limits and their defaults.

use std::{
    net::{SocketAddr, ToSocketAddrs},
    ops::RangeInclusive,
    path::PathBuf,
    time::Duration,
};

use clap::{Parser, builder::RangedU64ValueParser};

/// The range of the timeouts: up to a day.
const TIMEOUTS: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(24 * 60 * 60);

/// The range of the delay: up to a day.
const DELAYS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(24 * 60 * 60);

/// A key-value service for Redis clients, on top of one SQLite file.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "tcp-gateway",
    after_help = "A duration has a unit, such as 500ms, 5s or 1m."
)]
pub(crate) struct Args {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6380", value_parser = address)]
    pub(crate) listen: SocketAddr,
    /// Database file, created if absent; `:memory:` keeps nothing on disk
    #[arg(long, value_name = "FILE", default_value = "gateway.db")]
    pub(crate) db: PathBuf,
    /// Number of loops that share the connections
    #[arg(long, value_name = "N", default_value = "1", value_parser = count(1, 256))]
    pub(crate) workers: usize,
    /// Capacity of the store's queue; beyond it, clients wait
    #[arg(long, value_name = "N", default_value = "1024", value_parser = count(1, 1_000_000))]
    pub(crate) queue: usize,
    /// Maximum number of connections; one more is refused
    #[arg(long, value_name = "N", default_value = "10000", value_parser = count(1, 1_000_000))]
    pub(crate) connections: usize,
    /// Time a client may not read, or take to send a command; each 16 KiB of it add a second
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = cli::duration(TIMEOUTS))]
    pub(crate) client_timeout: Duration,
    /// Memory of the connections of each loop, in MiB; beyond it, the largest is closed
    #[arg(long, value_name = "MIB", default_value = "256", value_parser = count(1, 1_000_000))]
    pub(crate) memory: usize,
    /// Address of the admin surface and its dashboard, such as 127.0.0.1:7070 or unix:admin.sock
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin: Option<ump_admin::Address>,
    /// Hold each batch of requests for this time before it is executed
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = cli::duration(DELAYS))]
    #[arg(help_heading = "Faults to try")]
    pub(crate) delay: Duration,
    /// Let the store panic while it executes its Nth batch
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    #[arg(help_heading = "Faults to try")]
    pub(crate) panic_at: Option<u64>,
}

fn count(least: u64, most: u64) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(least..=most)
}

/// Parses an address, or looks up a name.
fn address(text: &str) -> Result<SocketAddr, String> {
    let mut found = text.to_socket_addrs().map_err(|error| error.to_string())?;
    found
        .next()
        .ok_or_else(|| "the name has no address".to_owned())
}
