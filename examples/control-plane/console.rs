//! The component `console`: executes a command with requests to the others, and replies with text.

use std::{convert::Infallible, fmt, io, net::IpAddr, path::Path};

use ipnet::IpNet;
use thiserror::Error;
use ump_server::{service, ump::RequestError};

use crate::{
    igp::{IgpClient, LinkError, parse_cost},
    interfaces,
    line::SessionState,
    neighbours::{NeighbourStatus, NeighboursClient},
    shards::Shards,
    speaker::{Control, SpeakerClient, UnknownNeighbour},
    statistics::{Report, StatisticsClient},
    traffic::{self, CaptureError},
};

const HELP: &str = "\
show routes [PREFIX]   list the routes, or those within a prefix; at most 100
show neighbours        list the neighbours and their sessions, of the file and real ones
start|stop ADDRESS     start or stop the session with a real neighbour
reset ADDRESS          end that session, so that it begins again
refresh ADDRESS        request all routes of that neighbour again
lookup ADDRESS         find the route of an address
show topology          list the routers of our system and the cost of the way to them
show interfaces        list the interfaces of this system and their addresses
link A B COST|down     change the link between two routers
traffic FILE           account the packets of a capture (pcap, pcapng) by their routes
stats                  show the statistics
quit                   end the program";

/// The largest number of routes shown.
const MAX_SHOWN: usize = 100;

/// Why a command fails.
#[derive(Debug, Error)]
pub(crate) enum CommandError {
    #[error("unknown command {0:?}; try help")]
    Unknown(String),
    #[error("{0:?} is not a prefix such as 10.0.0.0/8")]
    BadPrefix(String),
    #[error("{0:?} is not an address such as 10.1.2.3")]
    BadAddress(String),
    #[error("there are no real neighbours")]
    NoSpeaker,
    #[error(transparent)]
    UnknownNeighbour(UnknownNeighbour),
    #[error("the interfaces cannot be read: {0}")]
    Interfaces(io::Error),
    #[error(transparent)]
    Capture(CaptureError),
    #[error("there is no topology")]
    NoTopology,
    #[error("{0:?} is not a cost from 1 to 4294967295, or down")]
    BadCost(String),
    #[error(transparent)]
    Link(LinkError),
    #[error("{0}: {1}")]
    Ended(&'static str, RequestError<(), Infallible>),
    #[error("{0}: {1}")]
    Lost(&'static str, String),
}

#[derive(Debug)]
pub(crate) struct Console {
    neighbours: NeighboursClient,
    speaker: Option<SpeakerClient>,
    igp: Option<IgpClient>,
    routes: Shards,
    statistics: StatisticsClient,
}

impl Console {
    pub(crate) fn new(
        neighbours: NeighboursClient,
        (speaker, igp): (Option<SpeakerClient>, Option<IgpClient>),
        routes: Shards,
        statistics: StatisticsClient,
    ) -> Self {
        Self {
            neighbours,
            speaker,
            igp,
            routes,
            statistics,
        }
    }

    fn show_routes(&self, within: &[IpNet]) -> Result<String, CommandError> {
        let mut routes = Vec::new();
        for &prefix in within {
            let more = self.routes.show(prefix, MAX_SHOWN + 1);
            routes.extend(more.map_err(ended("routes"))?);
        }
        let mut lines: Vec<_> = routes
            .iter()
            .take(MAX_SHOWN)
            .map(ToString::to_string)
            .collect();
        match routes.len() {
            0 => lines.push("no routes".to_owned()),
            1..=MAX_SHOWN => {}
            _ => lines.push("and more".to_owned()),
        }
        Ok(lines.join("\n"))
    }

    fn show_neighbours(&self) -> Result<String, CommandError> {
        let statuses = self.neighbours.show().urgent().wait();
        let statuses = statuses.map_err(ended("neighbours"))?;
        let mut lines: Vec<_> = statuses.iter().map(ToString::to_string).collect();
        if let Some(speaker) = &self.speaker {
            let sessions = speaker.show().urgent().wait().map_err(ended("speaker"))?;
            lines.extend(sessions.iter().map(ToString::to_string));
        }
        Ok(lines.join("\n"))
    }

    fn lookup(&self, address: IpAddr) -> Result<String, CommandError> {
        let found = self.routes.lookup(address).map_err(ended("routes"))?;
        Ok(match found {
            Some(route) => format!("{address} matches {route}"),
            None => format!("{address} matches nothing"),
        })
    }

    fn account(&self, file: &Path) -> Result<String, CommandError> {
        let traffic = traffic::account(file, |address| self.routes.lookup(address));
        Ok(traffic.map_err(CommandError::Capture)?.to_string())
    }

    fn control(&self, address: IpAddr, control: Control) -> Result<String, CommandError> {
        let speaker = self.speaker.as_ref().ok_or(CommandError::NoSpeaker)?;
        match speaker.control(address, control).urgent().wait() {
            Ok(()) => Ok("done".to_owned()),
            Err(RequestError::App(error)) => Err(CommandError::UnknownNeighbour(error)),
            Err(error) => Err(CommandError::Lost("speaker", error.to_string())),
        }
    }

    fn show_topology(&self) -> Result<String, CommandError> {
        let igp = self.igp.as_ref().ok_or(CommandError::NoTopology)?;
        let routers = igp.show().wait().map_err(ended("igp"))?;
        let lines = routers.into_iter().map(|(router, cost)| match cost {
            Some(cost) => format!("{router:<20} cost {cost}"),
            None => format!("{router:<20} cannot be reached"),
        });
        Ok(lines.collect::<Vec<_>>().join("\n"))
    }

    fn set_link(&self, routers: [&str; 2], cost: &str) -> Result<String, CommandError> {
        let igp = self.igp.as_ref().ok_or(CommandError::NoTopology)?;
        let bad_cost = || CommandError::BadCost(cost.to_owned());
        let cost = match cost {
            "down" => None,
            cost => Some(parse_cost(cost).ok_or_else(bad_cost)?),
        };
        match igp.set_link(routers.map(str::to_owned), cost).wait() {
            Ok(changed) => Ok(format!("the best path of {changed} prefixes has changed")),
            Err(RequestError::App(error)) => Err(CommandError::Link(error)),
            Err(error) => Err(CommandError::Lost("igp", error.to_string())),
        }
    }

    fn show_statistics(&self) -> Result<String, CommandError> {
        let report = self.statistics.report().wait();
        Ok(report.map_err(ended("statistics"))?.to_string())
    }
}

#[service]
impl Console {
    /// Executes a line of input, and replies with text.
    pub(crate) fn execute(&self, command: String) -> Result<String, CommandError> {
        let words: Vec<_> = command.split_whitespace().collect();
        match words[..] {
            ["help"] => Ok(HELP.to_owned()),
            ["show", "routes"] => {
                let all = ["0.0.0.0/0", "::/0"].map(|all| all.parse().expect("a prefix"));
                self.show_routes(&all)
            }
            ["show", "routes", prefix] => {
                let bad_prefix = |_| CommandError::BadPrefix(prefix.to_owned());
                let prefix: IpNet = prefix.parse().map_err(bad_prefix)?;
                self.show_routes(&[prefix.trunc()])
            }
            ["show", "neighbours"] => self.show_neighbours(),
            ["lookup", address] => self.lookup(parse_address(address)?),
            ["start", address] => self.control(parse_address(address)?, Control::Start),
            ["stop", address] => self.control(parse_address(address)?, Control::Stop),
            ["reset", address] => self.control(parse_address(address)?, Control::Reset),
            ["refresh", address] => self.control(parse_address(address)?, Control::Refresh),
            ["show", "topology"] => self.show_topology(),
            ["show", "interfaces"] => show_interfaces(),
            ["link", a, b, cost] => self.set_link([a, b], cost),
            ["traffic", file] => self.account(Path::new(file)),
            ["stats"] => self.show_statistics(),
            _ => Err(CommandError::Unknown(command.trim().to_owned())),
        }
    }
}

fn show_interfaces() -> Result<String, CommandError> {
    let interfaces = interfaces::read().map_err(CommandError::Interfaces)?;
    let lines: Vec<_> = interfaces.iter().map(ToString::to_string).collect();
    Ok(lines.join("\n"))
}

fn parse_address(text: &str) -> Result<IpAddr, CommandError> {
    let bad_address = |_| CommandError::BadAddress(text.to_owned());
    text.parse().map_err(bad_address)
}

/// Makes the error for a request that a component has not answered.
fn ended<M>(component: &'static str) -> impl Fn(RequestError<M, Infallible>) -> CommandError {
    move |error| CommandError::Ended(component, error.without_message())
}

impl fmt::Display for NeighbourStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            peer,
            state,
            flaps,
            messages,
        } = self;
        let state = match state {
            SessionState::Idle => "idle",
            SessionState::Connecting => "connect",
            SessionState::Established => "established",
        };
        let (address, system) = (peer.address.to_string(), peer.system);
        write!(
            f,
            "{address:<20} AS {system:<6} {state:<11} {flaps:>3} flaps {messages:>6} messages"
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = &self.total;
        writeln!(
            f,
            "updates    {} announced, {} withdrawn, {} spurious withdrawals",
            total.announced, total.withdrawn, total.spurious_withdrawals
        )?;
        writeln!(
            f,
            "paths      {} lost with their neighbours, the best one changed {} times",
            total.lost, total.best_changed
        )?;
        writeln!(
            f,
            "sessions   {} up, {} closed, {} expired, {} attempts, {} hellos",
            total.up, total.closed, total.hold_expired, total.attempts, total.hellos
        )?;
        write!(
            f,
            "lookups    {} found, {} not",
            total.found, total.not_found
        )?;
        let recent: Vec<_> = self
            .recent
            .iter()
            .map(|minute| minute.counters.updates().to_string())
            .collect();
        write!(
            f,
            "\nminutes    {} over, the last ones with {} updates",
            self.minutes,
            recent.join(" ")
        )
    }
}
