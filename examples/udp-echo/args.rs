//! The command line.

use std::{
    net::{SocketAddr, ToSocketAddrs},
    ops::RangeInclusive,
    time::Duration,
};

use clap::{Args as ClapArgs, Parser, Subcommand, builder::RangedU64ValueParser};

/// The range of times: up to a day.
const TIMES: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(24 * 60 * 60);

const AFTER_HELP: &str = "\
Ctrl-C ends both, with a summary. The client exits with code 1 if no answer came.
A duration has a unit, such as 500ms, 5s or 1m.";

/// Measures a path by UDP: a server that sends datagrams back, and a client that sends and counts.
#[derive(Debug, Parser)]
#[command(name = "udp-echo", after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) role: Role,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// Send each datagram back to its sender
    Server(ServerArgs),
    /// Send datagrams to a server, and count what comes back
    Client(ClientArgs),
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct ServerArgs {
    /// Address to receive on; port 0 takes a free one, `[::]` is IPv6 and IPv4
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7007", value_parser = address)]
    pub(crate) listen: SocketAddr,
    /// End after this many datagrams were sent back
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct ClientArgs {
    /// Address of the server: IPv4, IPv6 in brackets, or a name; with a port
    #[arg(value_name = "ADDR", default_value = "127.0.0.1:7007", value_parser = address)]
    pub(crate) server: SocketAddr,
    /// Length of each datagram, in bytes
    #[arg(long, value_name = "BYTES", default_value = "64")]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(8..=65_507))]
    pub(crate) size: usize,
    /// Number of datagrams under way at a time
    #[arg(long, value_name = "N", default_value = "32")]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=65_536))]
    pub(crate) window: usize,
    /// End after this many datagrams
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// End after this time
    #[arg(long, value_name = "TIME", value_parser = cli::duration(TIMES))]
    pub(crate) time: Option<Duration>,
    /// Time after which a datagram that has not come back is lost
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = cli::duration(TIMES))]
    pub(crate) timeout: Duration,
}

/// Parses an address, or looks up a name.
fn address(text: &str) -> Result<SocketAddr, String> {
    let mut found = text.to_socket_addrs().map_err(|error| error.to_string())?;
    found
        .next()
        .ok_or_else(|| "the name has no address".to_owned())
}
