//! `ump reply`: serves a topic, with a fixed reply or with a program.

mod jobs;
mod run;

pub(super) use self::run::run;
use crate::{
    args::{LossArgs, ServerArgs},
    payload::PayloadArgs,
};
use ump_router::Topic;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
CMD is run by `sh -c` for each request, with the payload on its standard input and the topic in
UMP_TOPIC. A CBOR text comes as the text, other CBOR as JSON, and other payloads as they are. The
standard output is the reply, a CBOR text without its last line end (or JSON: --json-output); for a
request that is not CBOR, the bytes in the codec of the request. If CMD fails, the request is
refused, with the standard error as the reason. If the caller leaves, CMD is killed; it counts for
--jobs until its pipes are closed. It is killed, too, when its output is longer than a frame (1 MiB,
or less if the hub says so), and the request fails. What CMD leaves in its process group is killed
when CMD has ended and its output is closed.

When the server or the link is lost, the requests at it end, and their CMD is killed. It connects
again until that succeeds (after 50 ms at first, and 5 s at most), and claims the topic again; if
another server has it by then, it stands by. With --once it ends.

Exit codes: 0 after COUNT requests, SIGTERM or SIGINT; 1 another server has the topic at the
beginning; 4 the server or the link is lost and --once is given; 6 the server cannot be reached at
the beginning, or does not allow it.")]
pub(crate) struct Options {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    loss: LossArgs,
    /// The whole topic
    #[arg(value_name = "TOPIC")]
    topic: Topic,
    #[command(flatten)]
    payload: PayloadArgs,
    /// Runs a command for each request
    #[arg(long, value_name = "CMD", group = "payload")]
    exec: Option<String>,
    /// The output of the command is JSON
    #[arg(long, requires = "exec")]
    json_output: bool,
    /// Runs so many commands at a time
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    jobs: u32,
    /// Ends after so many requests
    #[arg(short = 'n', long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Waits for the topic if another server has it
    #[arg(long)]
    stand_by: bool,
    /// Leaves out the line that says when the topic is served
    #[arg(long, short)]
    quiet: bool,
}
