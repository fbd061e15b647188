//! The component `admin`: executes a command with requests to all workers, and replies with text.

use std::{convert::Infallible, fmt::Write};

use thiserror::Error;
use ump_server::{service, ump::RequestError};

use crate::{
    turn::{AllocationInfo, Count, Counts},
    worker::{self, Allocations, Drain, Status, WorkerStatus},
};

const HELP: &str = "\
allocations   list the allocations; at most 100
counters      show the counters
workers       show the workers
drain         make no allocations any more, and keep those that there are
quit          stop the server: drain, then close the allocations that are left";

/// The largest number of allocations shown.
const MAX_SHOWN: usize = 100;

/// Why a command fails.
#[derive(Debug, Error)]
pub(crate) enum CommandError {
    #[error("unknown command {0:?}; try help")]
    Unknown(String),
    #[error("worker {0}: {1}")]
    Ended(usize, RequestError<(), Infallible>),
}

#[derive(Debug)]
pub(crate) struct Admin {
    workers: Vec<worker::Client>,
}

impl Admin {
    pub(crate) fn new(workers: Vec<worker::Client>) -> Self {
        Self { workers }
    }

    fn statuses(&self) -> Result<Vec<WorkerStatus>, CommandError> {
        let statuses = self.workers.iter().enumerate().map(|(number, worker)| {
            let status = worker.ask(Status).wait();
            status.map_err(|error| CommandError::Ended(number, error.without_message()))
        });
        statuses.collect()
    }

    fn allocations(&self) -> Result<String, CommandError> {
        let mut all = Vec::new();
        for (number, worker) in self.workers.iter().enumerate() {
            let allocations = worker.ask(Allocations).wait();
            let allocations = allocations
                .map_err(|error| CommandError::Ended(number, error.without_message()))?;
            all.extend(allocations.into_iter().map(|it| (number, it)));
        }
        let mut lines: Vec<_> = all
            .iter()
            .take(MAX_SHOWN)
            .map(|(worker, allocation)| describe(*worker, allocation))
            .collect();
        match all.len() {
            0 => lines.push("no allocations".to_owned()),
            1..=MAX_SHOWN => {}
            more => lines.push(format!("and {} more", more - MAX_SHOWN)),
        }
        Ok(lines.join("\n"))
    }

    fn counters(&self) -> Result<String, CommandError> {
        let statuses = self.statuses()?;
        let counts: Counts = statuses.iter().map(|it| it.counts).sum();
        let mut lines: Vec<_> = Count::ALL
            .iter()
            .map(|(count, name)| format!("{name:<30} {:>12}", counts.get(*count)))
            .collect();
        let sum = |of: fn(&WorkerStatus) -> u64| statuses.iter().map(of).sum::<u64>();
        for (name, value) in [
            ("datagrams not sent", sum(|it| it.unsent)),
            ("datagrams not taken", sum(|it| it.overflows)),
            ("tasks panicked", sum(|it| it.panicked)),
        ] {
            lines.push(format!("{name:<30} {value:>12}"));
        }
        Ok(lines.join("\n"))
    }

    fn workers(&self) -> Result<String, CommandError> {
        let mut text = String::new();
        for (number, status) in self.statuses()?.iter().enumerate() {
            let WorkerStatus {
                allocations,
                sockets,
                ..
            } = status;
            let line = if number == 0 { "" } else { "\n" };
            let _ = write!(
                text,
                "{line}worker {number}: {allocations} allocations, {sockets} relayed sockets"
            );
        }
        Ok(text)
    }
}

#[service]
impl Admin {
    /// Executes a line of input, and replies with text.
    pub(crate) fn execute(&self, command: String) -> Result<String, CommandError> {
        match command.trim() {
            "help" => Ok(HELP.to_owned()),
            "allocations" => self.allocations(),
            "counters" => self.counters(),
            "workers" => self.workers(),
            "drain" => self.drain().map(|()| "draining".to_owned()),
            command => Err(CommandError::Unknown(command.to_owned())),
        }
    }

    /// Lets all workers make no allocations any more.
    pub(crate) fn drain(&self) -> Result<(), CommandError> {
        for (number, worker) in self.workers.iter().enumerate() {
            let drained = worker.ask(Drain).wait();
            drained.map_err(|error| CommandError::Ended(number, error.without_message()))?;
        }
        Ok(())
    }
}

fn describe(worker: usize, allocation: &AllocationInfo) -> String {
    let AllocationInfo {
        user,
        client,
        relayed,
        expires_in,
        permissions,
        channels,
        traffic,
    } = allocation;
    let relayed = relayed.map_or_else(|| "opening".to_owned(), |it| it.to_string());
    format!(
        "{user} {client} by {relayed} on worker {worker}: {}s left, {permissions} permissions, {channels} channels, \
         {} datagrams ({} bytes) to peers, {} ({} bytes) to the client",
        expires_in.as_secs(),
        traffic.sent,
        traffic.sent_bytes,
        traffic.received,
        traffic.received_bytes,
    )
}
