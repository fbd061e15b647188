//! The command line.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use clap::{Parser, builder::RangedU64ValueParser};
use ipnet::IpNet;

use crate::{
    sockets::RelayAddress,
    stun::attribute::Family,
    turn::{Config, Credentials, Lifetimes, Limits, PeerPolicy},
};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

const AFTER_HELP: &str = "\
Peers with addresses of the host itself, of private networks and other special ones are refused, unless --allow-peers names them.
Without users it answers binding requests only.";

/// A STUN and TURN server over UDP.
#[derive(Debug, Parser)]
#[command(name = "relay", after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Address for clients; can be repeated
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3478")]
    pub(crate) listen: Vec<SocketAddr>,
    /// Address of the relayed sockets, one of each family [default: those of --listen]
    #[arg(long, value_name = "IP")]
    relay: Vec<IpAddr>,
    /// Address that clients are told instead, if there is a NAT; one of each family
    #[arg(long, value_name = "IP")]
    external: Vec<IpAddr>,
    /// User; can be repeated. Other users of the host can read it
    #[arg(long, value_name = "NAME:PASSWORD", value_parser = parse_user)]
    user: Vec<(String, String)>,
    /// File with a line NAME:PASSWORD for each user
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
    /// Realm of the users
    #[arg(long, value_name = "TEXT", default_value = "relay")]
    realm: String,
    /// Range of peers that clients may have although it is special; can be repeated
    #[arg(long, value_name = "PREFIX")]
    allow_peers: Vec<IpNet>,
    /// Range of peers that clients may not have; can be repeated
    #[arg(long, value_name = "PREFIX")]
    deny_peers: Vec<IpNet>,
    /// Let clients have peers on this host: for tests
    #[arg(long)]
    allow_loopback_peers: bool,
    /// Number of workers, each with its own sockets
    #[arg(long, value_name = "N", default_value = "2")]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=64))]
    pub(crate) workers: usize,
    /// Number of allocations
    #[arg(long, value_name = "N", default_value = "10000")]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    allocations: usize,
    /// Number of allocations of a user
    #[arg(long, value_name = "N", default_value = "100")]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    user_allocations: usize,
    /// Number of permissions, and of channels, of an allocation
    #[arg(long, value_name = "N", default_value = "64")]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=4_096))]
    permissions: usize,
    /// Lifetime of an allocation that is not refreshed, if its client asks for none or for less
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    #[arg(value_parser = cli::duration(SECOND..=DAY))]
    lifetime: Duration,
    /// Longest lifetime of an allocation that is not refreshed
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    #[arg(value_parser = cli::duration(SECOND..=DAY))]
    max_lifetime: Duration,
    /// Time after which a client needs a new nonce
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    #[arg(value_parser = cli::duration(SECOND..=DAY))]
    nonce_lifetime: Duration,
    /// Time for the clients to end their allocations when the server stops
    #[arg(long, value_name = "DURATION", default_value = "5s")]
    #[arg(value_parser = cli::duration(Duration::ZERO..=DAY))]
    pub(crate) drain_timeout: Duration,
    /// Read commands from the standard input, to its end; `help` lists them
    #[arg(long)]
    pub(crate) console: bool,
}

impl Args {
    /// Returns where the relayed sockets are.
    pub(crate) fn relay(&self) -> Result<Vec<RelayAddress>, String> {
        let listened = self.listen.iter().map(SocketAddr::ip);
        let given: Vec<_> = match &self.relay[..] {
            [] => listened.collect(),
            given => given.to_vec(),
        };
        let mut relay: Vec<RelayAddress> = Vec::new();
        for bind in given {
            if bind.is_unspecified() {
                return Err(format!(
                    "{bind} is no address that peers can reach: give --relay"
                ));
            }
            let is_same = |it: &IpAddr| Family::of(*it) == Family::of(bind);
            let external = self.external.iter().copied().find(is_same);
            match relay.iter().find(|it| is_same(&it.bind)) {
                None => relay.push(RelayAddress {
                    bind,
                    announce: external.unwrap_or(bind),
                }),
                Some(_) if self.relay.is_empty() => {}
                Some(other) => {
                    return Err(format!("{} and {bind} are of the same family", other.bind));
                }
            }
        }
        Ok(relay)
    }

    /// Returns the configuration of a server that listens on these addresses.
    pub(crate) fn config(
        &self,
        own: &[SocketAddr],
        relay: &[RelayAddress],
        allocations: usize,
    ) -> Result<Config, String> {
        let file = match &self.users {
            None => String::new(),
            Some(file) => fs::read_to_string(file)
                .map_err(|e| format!("cannot read {}: {e}", file.display()))?,
        };
        let lines = file.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let given = self.user.iter().cloned().map(Ok);
        let users = given.chain(lines.map(parse_user));
        let users = users.collect::<Result<Vec<_>, _>>()?;
        let users = users
            .iter()
            .map(|(name, password)| (&name[..], &password[..]));
        let loopback = ["127.0.0.0/8", "::1/128"].map(|it| it.parse().expect("a prefix"));
        let loopback = loopback
            .into_iter()
            .filter(|_: &IpNet| self.allow_loopback_peers);
        Ok(Config {
            credentials: Credentials::new(&self.realm, users),
            peers: PeerPolicy::new()
                .allow(self.allow_peers.iter().copied().chain(loopback))
                .deny(self.deny_peers.iter().copied())
                .own(reachable(own, relay)),
            limits: Limits {
                allocations,
                allocations_per_user: self.user_allocations,
                permissions: self.permissions,
            },
            lifetimes: Lifetimes {
                allocation: self.lifetime,
                longest_allocation: self.max_lifetime,
                nonce: self.nonce_lifetime,
                ..Lifetimes::default()
            },
            families: relay.iter().map(|it| Family::of(it.bind)).collect(),
        })
    }

    /// Returns the number of allocations, which the number of descriptors limits.
    pub(crate) fn allocations(&self) -> usize {
        let Some(descriptors) = descriptors() else {
            return self.allocations;
        };
        let most = descriptors.saturating_sub(OTHER_DESCRIPTORS).max(1);
        if most < self.allocations {
            cli::log!(
                "relay: at most {most} allocations, as the process may have {descriptors} descriptors"
            );
        }
        self.allocations.min(most)
    }
}

/// Returns the addresses that reach the sockets on which the server listens: of an unspecified one,
/// those of the host that are known.
fn reachable(listen: &[SocketAddr], relay: &[RelayAddress]) -> Vec<SocketAddr> {
    let of_host = relay.iter().flat_map(|it| [it.bind, it.announce]);
    let of_host: Vec<IpAddr> = of_host.collect();
    let ports = listen.iter().flat_map(|address| {
        let hosts = of_host.iter().copied();
        let same = hosts.filter(|ip| Family::of(*ip) == Family::of(address.ip()));
        let same = same.map(|ip| SocketAddr::new(ip, address.port()));
        same.chain([*address]).collect::<Vec<_>>()
    });
    ports.collect()
}

fn parse_user(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, password)) if !name.is_empty() && !password.is_empty() => {
            Ok((name.to_owned(), password.to_owned()))
        }
        _ => Err("a user is NAME:PASSWORD".to_owned()),
    }
}

/// Descriptors that are not those of allocations.
const OTHER_DESCRIPTORS: usize = 64;

/// Returns the descriptor limit of the process, on Linux.
fn descriptors() -> Option<usize> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}
