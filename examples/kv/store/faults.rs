//! Faults on demand, to see what callers see then.

use std::{ops::RangeInclusive, time::Duration};

use clap::Args;

/// The range of the delay: up to a day.
const DELAYS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(24 * 60 * 60);

#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Faults to try")]
pub(crate) struct Faults {
    /// Hold each batch of requests for this time before it is executed
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = cli::duration(DELAYS))]
    pub(crate) delay: Duration,
    /// Let the store panic while it executes its Nth batch
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) panic_at: Option<u64>,
    /// Let each POST /debug/crash make the store panic
    #[arg(long)]
    pub(crate) chaos: bool,
}
