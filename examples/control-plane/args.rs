//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, builder::RangedU64ValueParser};

const MIN_HOLD: Duration = Duration::from_secs(3);
const MAX_HOLD: Duration = Duration::from_secs(65_535);

const AFTER_HELP: &str = "\
It exits with code 0 if each line of the file was processed, or reported as an error.";

/// The control plane of a small router, fed from a file of route updates.
#[derive(Debug, Parser)]
#[command(name = "control-plane", after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Route updates as `bgpdump -m` prints them [default: examples/control-plane/updates.txt]
    pub(crate) file: Option<PathBuf>,
    /// Number of instances that share the routing table
    #[arg(long, value_name = "N", default_value = "4")]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=64))]
    pub(crate) shards: usize,
    /// Time after which a silent neighbour loses its session
    #[arg(long, value_name = "DURATION", default_value = "240s")]
    #[arg(value_parser = cli::duration(MIN_HOLD..=MAX_HOLD))]
    pub(crate) hold: Duration,
    /// Read commands from the standard input after the file; `help` lists them
    #[arg(long)]
    pub(crate) console: bool,
    /// Follow the wall clock, this many times as fast, instead of virtual time
    #[arg(long, value_name = "SPEED", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) real_time: Option<u32>,
}
