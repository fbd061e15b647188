//! `ump top`: a live table of topics.

mod table;

use std::{
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use ump_router::{
    Pattern,
    link::session::{Credit, Event},
};

use self::table::Table;
use crate::{
    args::{ServerArgs, duration},
    client::{Link, Step, status_error},
    exit::Error,
    output::write,
};

/// Moves to the upper left corner and clears from there.
const REFRESH: &str = "\x1b[H\x1b[J";

const CREDIT: Credit = Credit {
    messages: 16 << 10,
    bytes: 16 << 20,
};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
On a terminal the table is refreshed in place; otherwise, one table follows another. With --json:
an object a table, {\"seconds\":..,\"messages\":..,\"bytes\":..,\"missed\":..,\"topics\":[..]}.

Exit codes: as those of `ump sub`.")]
pub(crate) struct Options {
    #[command(flatten)]
    server: ServerArgs,
    /// Patterns of whole topics
    #[arg(value_name = "PATTERN", default_value = "**")]
    patterns: Vec<Pattern>,
    /// The time between two tables
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1s")]
    interval: Duration,
    /// Ends after so many tables
    #[arg(short = 'n', long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Rows of a table: the busiest topics
    #[arg(long, value_name = "N", default_value_t = 20)]
    rows: usize,
}

pub(crate) fn run(options: &Options, is_json: bool) -> Result<(), Error> {
    let mut link: Link<()> = options.server.open()?;
    for pattern in &options.patterns {
        link.session.subscribe(pattern, CREDIT, false)?;
    }
    let interval = options.interval.max(Duration::from_millis(10));
    let is_terminal = io::stdout().is_terminal();
    let mut table = Table::new(Instant::now());
    let mut next = Instant::now() + interval;
    let mut shown = 0;
    while options.count.is_none_or(|count| shown < count) {
        match link.next(Some(next))? {
            Step::Event(Event::Subscribed { status, text, .. }) => {
                if let Some(error) = status_error("the subscription", status, &text) {
                    return Err(error);
                }
            }
            Step::Event(Event::Message {
                to, topic, payload, ..
            }) => {
                for id in to {
                    link.session.consumed(id, 1, payload.len() as u64)?;
                }
                table.add(topic.as_str(), payload.len() as u64);
            }
            Step::Event(Event::Gap { missed, .. }) => table.miss(missed),
            Step::Deadline => {
                let now = Instant::now();
                let text = if is_json {
                    format!("{}\n", table.json(now, options.rows))
                } else {
                    let refresh = if is_terminal { REFRESH } else { "" };
                    format!("{refresh}{}\n", table.text(now, options.rows))
                };
                write(text.as_bytes())?;
                table.restart(now);
                shown += 1;
                next = now + interval;
            }
            Step::Event(_) | Step::Told | Step::Input(()) => {}
        }
    }
    link.leave();
    Ok(())
}
