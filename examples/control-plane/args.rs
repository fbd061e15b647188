//! The command line.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use clap::{Parser, builder::RangedU64ValueParser};

use crate::{
    bgp::session::Config,
    igp::{Topology, TopologyError},
    path,
};

const MIN_HOLD: Duration = Duration::from_secs(3);
const MAX_HOLD: Duration = Duration::from_secs(65_535);

/// The port of BGP.
const PORT: u16 = 179;

/// The default limit of prefixes from a neighbour: somewhat more than the Internet has.
const MAX_PREFIXES: usize = 2_000_000;

const AFTER_HELP: &str = "\
With real neighbours the time is real, the sample is not read, and the program runs until `quit` or the end of its input (--console), or until a signal.

It exits with code 0 if each line of the file was processed, or reported as an error.";

/// The control plane of a small router, fed from a file of route updates.
#[derive(Debug, Parser)]
#[command(name = "control-plane", after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Route updates as `bgpdump -m` prints them [default: examples/control-plane/updates.txt]
    pub(crate) file: Option<PathBuf>,
    /// Number of instances that share the routing table
    #[arg(long, value_name = "N", default_value = "4")]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=64))]
    pub(crate) shards: usize,
    /// Time after which a silent neighbour loses its session
    #[arg(long, value_name = "DURATION", default_value = "240s")]
    #[arg(value_parser = cli::duration(MIN_HOLD..=MAX_HOLD))]
    pub(crate) hold: Duration,
    /// Read commands from the standard input after the file; `help` lists them
    #[arg(long)]
    pub(crate) console: bool,
    /// Follow the wall clock, this many times as fast, instead of virtual time
    #[arg(long, value_name = "SPEED", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) real_time: Option<u32>,
    /// The routers and links of our system, which decide where next hops are and what they cost
    #[arg(long, value_name = "FILE", value_parser = parse_topology)]
    pub(crate) topology: Option<Topology>,
    /// Add the networks of this system's interfaces to the table
    #[arg(long)]
    pub(crate) connected: bool,
    /// Address of the admin surface and its dashboard, such as 127.0.0.1:7070 or unix:admin.sock
    #[cfg(unix)]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin: Option<ump_admin::Address>,
    /// A real neighbour: its address, its system and options: `passive` if only it connects,
    /// `max-prefixes=N`, `next-hop=ADDRESS` for our address in the other family. Repeatable
    #[arg(long, value_name = "ADDRESS[:PORT],AS[,...]", requires_all = ["local_as", "router_id"])]
    pub(crate) neighbor: Vec<Neighbor>,
    /// Our own system
    #[arg(long, value_name = "AS", value_parser = parse_system)]
    pub(crate) local_as: Option<u32>,
    /// Our BGP identifier: an IPv4 address, usually one of ours
    #[arg(long, value_name = "ADDRESS", value_parser = parse_router_id)]
    pub(crate) router_id: Option<Ipv4Addr>,
    /// Accept connections of neighbours on this address. Repeatable
    #[arg(long, value_name = "ADDRESS:PORT", requires = "neighbor")]
    pub(crate) listen: Vec<SocketAddr>,
    /// Time between two attempts to connect to a neighbour
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    #[arg(value_parser = cli::duration(Duration::from_secs(1)..=Duration::from_secs(3_600)))]
    pub(crate) connect_retry: Duration,
}

/// A real neighbour, as on the command line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Neighbor {
    address: SocketAddr,
    system: u32,
    is_passive: bool,
    max_prefixes: usize,
    next_hop: Option<IpAddr>,
}

impl FromStr for Neighbor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split(',');
        let address = words.next().unwrap_or_default();
        let address = match address.parse::<IpAddr>() {
            Ok(address) => Ok(SocketAddr::new(address, PORT)),
            Err(_) => address.parse::<SocketAddr>(),
        };
        let address = address
            .map_err(|_| "it begins with an address such as 192.0.2.1, [2001:db8::1]:1790")?;
        let system = parse_system(words.next().ok_or("the AS is missing")?)?;
        let (mut is_passive, mut max_prefixes, mut next_hop) = (false, MAX_PREFIXES, None);
        for word in words {
            match word.split_once('=') {
                None if word == "passive" => is_passive = true,
                Some(("max-prefixes", limit)) => {
                    let bad = |_| format!("{limit:?} is not a number of prefixes");
                    max_prefixes = limit.parse().map_err(bad)?;
                }
                Some(("next-hop", address)) => {
                    let bad = |_| format!("{address:?} is not an address");
                    next_hop = Some(address.parse().map_err(bad)?);
                }
                _ => return Err(format!("unknown option {word:?}")),
            }
        }
        Ok(Self {
            address,
            system,
            is_passive,
            max_prefixes,
            next_hop,
        })
    }
}

fn parse_system(text: &str) -> Result<u32, String> {
    let system = path::system(text).filter(|&system| system != 0);
    system.ok_or_else(|| format!("{text:?} is not the number of a system"))
}

fn parse_topology(file: &str) -> Result<Topology, String> {
    let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
    text.parse()
        .map_err(|error: TopologyError| error.to_string())
}

fn parse_router_id(text: &str) -> Result<Ipv4Addr, String> {
    let id = text
        .parse()
        .ok()
        .filter(|id: &Ipv4Addr| !id.is_unspecified());
    id.ok_or_else(|| format!("{text:?} is not an address such as 192.0.2.1"))
}

impl Args {
    /// Returns the settings of the sessions.
    pub(crate) fn sessions(&self) -> Result<Vec<Config>, String> {
        let (Some(system), Some(identifier)) = (self.local_as, self.router_id) else {
            return Ok(Vec::new());
        };
        let mut configs: Vec<Config> = Vec::new();
        for neighbor in &self.neighbor {
            let peer = (neighbor.address, neighbor.system);
            let ip = neighbor.address.ip();
            if configs.iter().any(|config| config.peer.ip() == ip) {
                return Err(format!(
                    "{ip} is two neighbours; each needs an address of its own"
                ));
            }
            let mut config = Config::new((system, identifier), peer);
            config.is_passive = neighbor.is_passive;
            config.max_prefixes = neighbor.max_prefixes;
            config.next_hop = neighbor.next_hop;
            config.hold = self.hold;
            config.connect_retry = self.connect_retry;
            // Differs from one neighbour and one process to the next.
            config.seed = u64::from(std::process::id()) << 32 | configs.len() as u64;
            configs.push(config);
        }
        Ok(configs)
    }
}
