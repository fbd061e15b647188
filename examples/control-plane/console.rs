//! The component `console`: executes a command with requests to the others, and replies with text.

use std::{fmt, net::IpAddr, ops::ControlFlow};

use ipnet::IpNet;
use thiserror::Error;
use ump_server::{Client, Refused, ReplyContext, thread::Handler, ump::RequestError};

use crate::{
    line::SessionState,
    neighbours::{self, NeighbourStatus, NeighboursClient, Rejection},
    shards::{self, Shards},
    statistics::{self, Report, StatisticsClient},
};

const HELP: &str = "\
show routes [PREFIX]   list the routes, or those within a prefix; at most 100
show neighbours        list the neighbours and their sessions
lookup ADDRESS         find the route of an address
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
    #[error("routes: {0}")]
    Routes(shards::Error),
    #[error("neighbours: {0}")]
    Neighbours(RequestError<neighbours::Op, Rejection>),
    #[error("statistics: {0}")]
    Statistics(RequestError<statistics::Op, Refused>),
}

/// A line of input.
#[derive(Debug)]
pub(crate) struct Command(pub(crate) String);

/// Replies with text.
pub(crate) type ConsoleClient = Client<Command, String, CommandError>;

#[derive(Debug)]
pub(crate) struct Console {
    neighbours: NeighboursClient,
    routes: Shards,
    statistics: StatisticsClient,
}

impl Console {
    pub(crate) fn new(
        neighbours: NeighboursClient,
        routes: Shards,
        statistics: StatisticsClient,
    ) -> Self {
        Self {
            neighbours,
            routes,
            statistics,
        }
    }

    fn execute(&self, command: &str) -> Result<String, CommandError> {
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
            ["lookup", address] => {
                let bad_address = |_| CommandError::BadAddress(address.to_owned());
                self.lookup(address.parse().map_err(bad_address)?)
            }
            ["stats"] => self.show_statistics(),
            _ => Err(CommandError::Unknown(command.trim().to_owned())),
        }
    }

    fn show_routes(&self, within: &[IpNet]) -> Result<String, CommandError> {
        let mut routes = Vec::new();
        for &prefix in within {
            let more = self.routes.show(prefix, MAX_SHOWN + 1);
            routes.extend(more.map_err(CommandError::Routes)?);
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
        let reply = self
            .neighbours
            .request(neighbours::Op::Show)
            .urgent()
            .wait();
        let neighbours::Reply::Neighbours(statuses) = reply.map_err(CommandError::Neighbours)?
        else {
            return Ok(String::new());
        };
        let lines: Vec<_> = statuses.iter().map(ToString::to_string).collect();
        Ok(lines.join("\n"))
    }

    fn lookup(&self, address: IpAddr) -> Result<String, CommandError> {
        let found = self.routes.lookup(address).map_err(CommandError::Routes)?;
        Ok(match found {
            Some(route) => format!("{address} matches {route}"),
            None => format!("{address} matches nothing"),
        })
    }

    fn show_statistics(&self) -> Result<String, CommandError> {
        let reply = self.statistics.request(statistics::Op::Report).wait();
        let statistics::Reply::Report(report) = reply.map_err(CommandError::Statistics)? else {
            return Ok(String::new());
        };
        Ok(report.to_string())
    }
}

impl Handler<Command, String, CommandError> for Console {
    fn proc_req(
        &mut self,
        Command(command): Command,
        rctx: ReplyContext<'_, String, CommandError>,
    ) -> ControlFlow<()> {
        let _ = rctx.answer(self.execute(&command));
        ControlFlow::Continue(())
    }
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
