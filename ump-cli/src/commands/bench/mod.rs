//! `ump bench`: requests and publications through a hub.

mod publications;
mod requests;
mod statistics;

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{RecvTimeoutError, channel},
    },
    thread,
    time::Duration,
};

use serde_json::json;
use ump_router::Topic;

use crate::{
    args::{ServerArgs, duration},
    exit::Error,
    output::{note, print},
};

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
It makes its own server, clients, publisher and subscribers, each with a link of its own, on topics
that begin with `bench/`. Progress goes to the standard error, a JSON object to the standard output:
in several lines, or in one with --json.

Requests are made one after another by each client, or --in-flight at a time. A publisher sends as
fast as it gets credit. Times are in microseconds. Compare runs on a machine that does nothing else.")]
pub(crate) struct Options {
    #[command(flatten)]
    server: ServerArgs,
    /// What is measured
    #[arg(long, value_enum, default_value_t = Part::Both)]
    only: Part,
    /// How long each part takes
    #[arg(long = "for", value_name = "TIME", value_parser = duration, default_value = "2s")]
    time: Duration,
    /// Clients that make requests
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    clients: u32,
    /// Requests of a client that wait at a time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    in_flight: u32,
    /// Subscribers of the publications
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    subscribers: u32,
    /// Bytes of each payload
    #[arg(long, value_name = "BYTES", default_value_t = 64)]
    size: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Requests and publications
    Both,
    /// Only requests
    Requests,
    /// Only publications
    Publications,
}

pub(crate) fn run(options: &Options, is_json: bool) -> Result<(), Error> {
    let name = format!(
        "bench/{:016x}",
        RandomState::new().hash_one(std::process::id())
    );
    let topic: Topic = name.parse().map_err(|_| Error::usage("no topic"))?;
    let mut result = json!({"on": options.server.address.to_string(), "size": options.size});
    if options.only != Part::Publications {
        let measured = |count: Arc<AtomicU64>| requests::run(options, &topic, &count);
        result["requests"] = with_progress("requests", measured)?;
    }
    if options.only != Part::Requests {
        let measured = |count: Arc<AtomicU64>| publications::run(options, &topic, &count);
        result["publications"] = with_progress("messages", measured)?;
    }
    if is_json {
        print(&result.to_string())
    } else {
        print(&format!("{result:#}"))
    }
}

/// Runs a part, and reports its count every second.
fn with_progress<T>(
    what: &str,
    part: impl FnOnce(Arc<AtomicU64>) -> Result<T, Error>,
) -> Result<T, Error> {
    let count = Arc::new(AtomicU64::new(0));
    let (done, ended) = channel::<()>();
    thread::scope(|scope| {
        let counted = Arc::clone(&count);
        scope.spawn(move || {
            let second = Duration::from_secs(1);
            while ended.recv_timeout(second) == Err(RecvTimeoutError::Timeout) {
                // ORDERING: pairs with nothing; a count.
                note(&format!("{} {what}", counted.load(Ordering::Relaxed)));
            }
        });
        let result = part(count);
        drop(done);
        result
    })
}

/// Returns what a thread has returned.
fn joined<T>(result: thread::Result<Result<T, Error>>) -> Result<T, Error> {
    result.unwrap_or_else(|_| Err(Error::usage("a thread has panicked")))
}
