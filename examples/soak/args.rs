//! The command line: action long the soak runs, and with which seed.

use std::{ops::RangeInclusive, time::Duration};

use clap::{Parser, builder::RangedU64ValueParser};

/// The range of durations: up to a year.
const DURATIONS: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(365 * 24 * 60 * 60);

const AFTER_HELP: &str = "\
Ctrl-C ends it early. It exits with code 0 if no check failed.";

/// Mixes all operations of the channel for a given time, and checks that the counts agree.
#[derive(Clone, Copy, Debug, Parser)]
#[command(name = "soak", after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// How long it runs, such as 90s, 10m or 8h
    #[arg(value_name = "TIME", default_value = "10s", value_parser = cli::duration(DURATIONS))]
    pub(crate) time: Duration,
    /// Seed of the random decisions [default: random]; what the scheduler does is not repeated
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Number of channels that live at a time
    #[arg(long, value_name = "N", default_value = "3")]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=10_000))]
    pub(crate) channels: usize,
    /// Time after which a request without an outcome counts as lost
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = cli::duration(DURATIONS))]
    pub(crate) outcome_timeout: Duration,
    /// Let the Nth handler leak its request, which the outcome timeout has to notice
    #[arg(long, value_name = "N", help_heading = "Faults to try")]
    pub(crate) forget_at: Option<u64>,
}
