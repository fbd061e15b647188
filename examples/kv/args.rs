//! The command line: settings, their limits and their defaults.

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use clap::{Parser, builder::RangedU64ValueParser};
#[cfg(unix)]
use ump_router::link::sockets::Address;

use crate::faults::Faults;

/// The range of the timeouts: up to a day.
const TIMEOUTS: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(24 * 60 * 60);

/// A key-value service over HTTP, on top of one SQLite file.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "kv",
    after_help = "A duration has a unit, such as 500ms, 5s or 1m."
)]
pub(crate) struct Args {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(crate) listen: String,
    /// Database file, created if absent; `:memory:` keeps nothing on disk
    #[arg(long, value_name = "FILE", default_value = "kv.db")]
    pub(crate) db: PathBuf,
    /// Capacity of the store's queue; beyond it, requests get 503
    #[arg(long, value_name = "N", default_value = "1024", value_parser = count(1, 1_000_000))]
    pub(crate) queue: usize,
    /// Timeout of a request; late requests get 504
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = cli::duration(TIMEOUTS))]
    pub(crate) timeout: Duration,
    /// Maximum number of watchers; more get 503
    #[arg(long, value_name = "N", default_value = "100", value_parser = count(1, 100_000))]
    pub(crate) watchers: usize,
    /// Interval of comments to watchers while nothing changes
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = cli::duration(TIMEOUTS))]
    pub(crate) keep_alive: Duration,
    /// Number of changes kept for watchers that reconnect
    #[arg(long, value_name = "N", default_value = "4096", value_parser = count(0, 1_000_000))]
    pub(crate) history: usize,
    /// Address of a hub, such as unix:bus.sock, to which all changes are published
    #[cfg(unix)]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) bus: Option<Address>,
    /// Address of the admin surface and its dashboard, such as 127.0.0.1:7070 or unix:admin.sock
    #[cfg(unix)]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin: Option<ump_admin::Address>,
    /// Another allowed Host, besides localhost and IP addresses (repeatable)
    #[arg(long = "host", value_name = "NAME")]
    pub(crate) hosts: Vec<String>,
    /// Another allowed Origin, such as <https://example.org> (repeatable)
    #[arg(long = "origin", value_name = "URL")]
    pub(crate) origins: Vec<String>,
    /// Maximum number of connections; one more closes an idle one or gets 503
    #[arg(long, value_name = "N", default_value = "512", value_parser = count(1, 100_000))]
    pub(crate) connections: usize,
    /// Timeout of request heads and of idle connections
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = cli::duration(TIMEOUTS))]
    pub(crate) head_timeout: Duration,
    /// Time a client may take for bodies; each 16 KiB add a second
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = cli::duration(TIMEOUTS))]
    pub(crate) client_timeout: Duration,
    #[command(flatten)]
    pub(crate) faults: Faults,
}

fn count(least: u64, most: u64) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(least..=most)
}
