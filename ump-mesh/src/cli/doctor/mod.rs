//! `ump mesh doctor`: which step of finding each other fails, and what to do.

mod connections;
mod multicast;
mod report;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddrV4},
    time::{Duration, Instant},
};

use zenoh::{Wait as _, config::WhatAmI};

use self::{connections::why_not, report::Report};
use super::{
    args::MeshArgs,
    exit::{Error, Exit},
    observer::Observer,
    output::printable,
    seen::Seen,
};
use crate::{
    config::Config,
    error::MeshError,
    interfaces,
    keys::{self, group},
};

/// How many programs that answer, and are not connected, are looked at.
const MAX_TRIED: usize = 8;

/// How many answers of programs are kept.
const MAX_ANSWERS: usize = 4096;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Steps: domain, interface, multicast, answer, connect, participant. A line says `ok` or `FAIL`, the step and
what was found, and for a failure what to do. It goes on after a failure, as long as that makes sense.
With --json: {\"step\":..,\"ok\":..,\"found\":..,\"advice\":..}.

A domain of which nobody is connected is not seen, as it has a port of its own.

Exit codes: 0 all steps are ok; 2 bad usage or configuration; 6 a step has failed.")]
pub(crate) struct Options {
    #[command(flatten)]
    mesh: MeshArgs,
}

pub(crate) fn run(options: &Options, is_json: bool) -> Result<(), Error> {
    let mut report = Report::new(is_json);
    let config = options.mesh.config();
    keys::check_domain(config.domain_name())?;
    let (domain, group) = (config.domain_name(), group(config.domain_name()));
    let namespace = keys::namespace(domain);
    let found = format!("{domain}: namespace {namespace}, multicast {group}");
    report.ok("domain", &found)?;
    let wait = options.mesh.wait;
    let addresses = match addresses(&config) {
        Ok(addresses) => addresses,
        Err(error) => {
            let advice =
                "name an interface that has an address with --interface (`ip address` lists them)";
            report.failed("interface", &error.to_string(), advice)?;
            return report.end();
        }
    };
    report.ok("interface", &list(&addresses))?;
    let mut answers = Answers::new();
    if config.has_multicast() {
        multicast(&mut report, &group, &addresses, wait)?;
        answers = ask(&config, wait)?;
        let found = match answers.len() {
            0 => "nobody, at this port".to_owned(),
            count => format!("{count} programs: {}", ids(answers.keys())),
        };
        let group = &group;
        let advice = format!(
            "does a program run that has joined this domain? other domains have other ports; a firewall must let UDP to {group} in and out, and answers from its port back"
        );
        if answers.is_empty() && !options.mesh.has_fixed() {
            report.failed("answer", &found, &advice)?;
        } else {
            report.ok("answer", &found)?;
        }
    } else {
        report.ok("multicast", "off")?;
    }
    let observer = match Observer::open(&config) {
        Ok(observer) => observer,
        Err(error @ MeshError::Open(_)) => {
            let advice =
                "is the address of this host, or a fixed participant, right and reachable?";
            report.failed("connect", &error.to_string(), advice)?;
            return report.end();
        }
        Err(error) => return Err(error.into()),
    };
    let seen = observer.look(wait);
    let connected = observer.connected();
    observer.close();
    if answers.is_empty() && connected.is_empty() && !options.mesh.has_fixed() {
        return report.end(); // nobody has answered: that was told
    }
    connections(&mut report, &answers, &connected.iter().collect::<Vec<_>>())?;
    if !connected.is_empty() {
        participants(&mut report, &seen, connected.len())?;
    }
    report.end()
}

/// The programs that have answered, with their addresses.
type Answers = BTreeMap<String, Vec<String>>;

fn addresses(config: &Config) -> Result<Vec<IpAddr>, MeshError> {
    let names = config.interface_names();
    let addresses = interfaces::addresses(names)?;
    if addresses.is_empty() {
        return Err(MeshError::Interface("with a private address".to_owned()));
    }
    Ok(addresses)
}

/// Looks whether datagrams to the group come back, on each interface.
fn multicast(
    report: &mut Report,
    group: &str,
    addresses: &[IpAddr],
    wait: Duration,
) -> Result<(), Error> {
    let group: SocketAddrV4 = group.parse().expect("an address with a port");
    let v4 = addresses.iter().filter_map(|address| match address {
        IpAddr::V4(v4) => Some(*v4),
        IpAddr::V6(_) => None, // the group is one of IPv4
    });
    let (mut heard, mut silent) = (Vec::new(), Vec::new());
    for address in v4 {
        match multicast::echo(group, address, wait) {
            Ok(true) => heard.push(address),
            Ok(false) => silent.push(format!("{address}: nothing comes back")),
            Err(error) => silent.push(format!("{address}: {error}")),
        }
    }
    let own = list(&heard);
    // The loopback interface may have no multicast, and nobody needs it then.
    let is_lan = |address: &&Ipv4Addr| !address.is_loopback();
    let needs = addresses.iter().any(|address| !address.is_loopback());
    let works = heard.iter().find(is_lan).is_some() || !needs && !heard.is_empty();
    if works {
        let rest = silent.iter().map(|it| format!("; {it}"));
        return report.ok("multicast", &format!("{own}{}", rest.collect::<String>()));
    }
    let advice = "a firewall of this host drops it, or the interface has no multicast (a tunnel, some Wi-Fi and clouds): allow it, or use --no-multicast and --peer";
    let found = match &silent[..] {
        [] => "no interface has an address of IPv4".to_owned(),
        silent => silent.join("; "),
    };
    report.failed("multicast", &found, advice)
}

/// Asks who is there, by multicast.
fn ask(config: &Config, wait: Duration) -> Result<Answers, Error> {
    let until = Instant::now() + wait;
    let failed = |error: zenoh::Error| Error::new(Exit::NotReached, error.to_string());
    let scout = zenoh::scout(WhatAmI::Peer | WhatAmI::Router, config.resolve()?);
    let scout = scout.wait().map_err(failed)?;
    let mut answers = Answers::new();
    while let Ok(Some(hello)) = scout.recv_deadline(until) {
        if answers.len() < MAX_ANSWERS {
            let addresses = hello.locators().iter().map(ToString::to_string);
            answers.insert(hello.zid().to_string(), addresses.collect());
        }
    }
    Ok(answers)
}

fn connections(report: &mut Report, answers: &Answers, connected: &[&String]) -> Result<(), Error> {
    let missing: Vec<_> = answers
        .iter()
        .filter(|(id, _)| !connected.contains(id))
        .collect();
    if missing.is_empty() && !connected.is_empty() {
        let found = format!("to {} programs: {}", connected.len(), ids(connected));
        return report.ok("connect", &found);
    }
    let missing = missing.iter().take(MAX_TRIED);
    let missing =
        missing.map(|(id, addresses)| format!("; not to {}: {}", short(id), why_not(addresses)));
    let missing: String = missing.collect();
    let found = format!("to {} programs{missing}", connected.len());
    let advice = "a firewall must let connections to the ports of programs through (TCP, or UDP with QUIC); if they open and end, has one side TLS, or certificates of another authority?";
    report.failed("connect", &found, advice)
}

fn participants(report: &mut Report, seen: &Seen, connected: usize) -> Result<(), Error> {
    let named = seen
        .programs
        .values()
        .filter_map(|it| it.participant.as_ref());
    let names: Vec<_> = named
        .map(|it| format!("{} on {}", printable(&it.name), printable(&it.host)))
        .collect();
    for (version, programs) in &seen.versions {
        let found = format!(
            "{} programs have version {}",
            programs.len(),
            printable(version)
        );
        let advice = format!(
            "this is version {}: use one of them everywhere",
            keys::VERSION
        );
        report.failed("version", &found, &advice)?;
    }
    for (domain, programs) in &seen.domains {
        let found = format!("{}: {} programs", printable(domain), programs.len());
        report.ok("other", &found)?;
    }
    if !names.is_empty() {
        let found = format!("{}: {}", names.len(), names.join(", "));
        return report.ok("participant", &found);
    }
    let found = format!("none among {connected} programs");
    let advice = if seen.domains.is_empty() {
        "the programs that are connected have not joined a mesh, or another domain or version"
    } else {
        "the programs that are connected have joined another domain: --domain"
    };
    report.failed("participant", &found, advice)
}

fn list<T: ToString>(addresses: &[T]) -> String {
    let texts: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

/// The first ids of many.
fn ids<T: AsRef<str>>(ids: impl IntoIterator<Item = T>) -> String {
    let ids = ids.into_iter().map(|id| short(id.as_ref()).to_owned());
    let mut ids: Vec<_> = ids.take(MAX_TRIED + 1).collect();
    let has_more = ids.len() > MAX_TRIED;
    ids.truncate(MAX_TRIED);
    format!("{}{}", ids.join(", "), if has_more { ", .." } else { "" })
}

fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}
