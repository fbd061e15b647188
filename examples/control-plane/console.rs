//! The component `console`: takes a command, asks the others, and answers with text.

use std::{fmt, net::IpAddr, ops::ControlFlow};

use ipnet::IpNet;
use ump_server::{Client, Refused, ReplyContext, thread::Handler, ump::RequestError};

use crate::{
    line::Stage,
    neighbours::{self, NeighboursClient, Refusal, Standing},
    shards::{self, Shards},
    statistics::{self, Report, StatisticsClient},
};

const HELP: &str = "\
show routes [PREFIX]   the routes within a prefix, or all; the first 100
show neighbours        who is there, and how it is
lookup ADDRESS         where a packet would be sent
stats                  what has been counted
quit                   end";

/// How many routes are shown.
const MAX_SHOWN: usize = 100;

/// Why a command has no answer.
#[derive(Debug)]
pub(crate) enum CommandError {
    Unknown(String),
    NoPrefix(String),
    NoAddress(String),
    Routes(shards::Error),
    Neighbours(RequestError<neighbours::Op, Refusal>),
    Statistics(RequestError<statistics::Op, Refused>),
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(command) => write!(f, "unknown command {command:?}; try help"),
            Self::NoPrefix(text) => write!(f, "{text:?} is no prefix, like 10.0.0.0/8"),
            Self::NoAddress(text) => write!(f, "{text:?} is no address, like 10.1.2.3"),
            Self::Routes(error) => write!(f, "routes: {error}"),
            Self::Neighbours(error) => write!(f, "neighbours: {error}"),
            Self::Statistics(error) => write!(f, "statistics: {error}"),
        }
    }
}

/// A line that somebody has typed.
#[derive(Debug)]
pub(crate) struct Command(pub(crate) String);

/// Answers with text.
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
                let no_prefix = |_| CommandError::NoPrefix(prefix.to_owned());
                let prefix: IpNet = prefix.parse().map_err(no_prefix)?;
                self.show_routes(&[prefix.trunc()])
            }
            ["show", "neighbours"] => self.show_neighbours(),
            ["lookup", address] => {
                let no_address = |_| CommandError::NoAddress(address.to_owned());
                self.look_up(address.parse().map_err(no_address)?)
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
        let neighbours::Reply::Neighbours(standings) = reply.map_err(CommandError::Neighbours)?
        else {
            return Ok(String::new());
        };
        let lines: Vec<_> = standings.iter().map(ToString::to_string).collect();
        Ok(lines.join("\n"))
    }

    fn look_up(&self, address: IpAddr) -> Result<String, CommandError> {
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

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            peer,
            stage,
            flaps,
            messages,
        } = self;
        let stage = match stage {
            Stage::Idle => "idle",
            Stage::Connecting => "connect",
            Stage::Established => "established",
        };
        let (address, system) = (peer.address.to_string(), peer.system);
        write!(
            f,
            "{address:<20} AS {system:<6} {stage:<11} {flaps:>3} flaps {messages:>6} messages"
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = &self.total;
        writeln!(
            f,
            "updates    {} announced, {} withdrawn, {} withdrawn in vain",
            total.announced, total.withdrawn, total.withdrawn_in_vain
        )?;
        writeln!(
            f,
            "paths      {} lost with their neighbours, the best one changed {} times",
            total.lost, total.best_changed
        )?;
        writeln!(
            f,
            "sessions   {} up, {} closed, {} given up by the hold timer, {} attempts, {} hellos",
            total.up, total.closed, total.held, total.attempts, total.hellos
        )?;
        write!(
            f,
            "lookups    {} found, {} not",
            total.found, total.not_found
        )?;
        let recent: Vec<_> = self
            .recent
            .iter()
            .map(|minute| minute.tally.updates().to_string())
            .collect();
        write!(
            f,
            "\nminutes    {} over, the last ones with {} updates",
            self.minutes,
            recent.join(" ")
        )
    }
}
