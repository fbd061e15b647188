//! The command line, and the sub-commands, one file or folder each.

#[cfg(feature = "tls")]
mod authority;
mod bench;
mod doctor;
mod explain;
mod generate;
mod list;
mod mesh;
mod publish;
mod reply;
mod request;
mod serve;
mod subscribe;
mod top;

use clap::{Parser, Subcommand};

pub(crate) use self::mesh::in_place_of_option;
use crate::exit::{self, Error};

/// Publishes, subscribes, requests and serves over links between routers.
///
/// A topic is the whole one, with the prefix of its type first: `price/eth/eur`.
#[derive(Debug, Parser)]
#[command(name = "ump", version, after_help = exit::HELP, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Writes results as JSON, one object a line, and errors as JSON on the standard error
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs a hub: links that it accepts reach each other
    Serve(serve::Options),
    /// Prints the messages of topics, one line a message
    Sub(subscribe::Options),
    /// Publishes messages
    Pub(publish::Options),
    /// Makes a request and prints its reply
    Req(request::Options),
    /// Serves a topic
    Reply(reply::Options),
    /// Lists the subscriptions and served topics that the server tells
    Ls(list::Options),
    /// Shows the busiest topics, again and again
    Top(top::Options),
    /// Measures requests and publications through the server
    Bench(bench::Options),
    /// Checks step by step whether a server can be used, and says what to do
    Doctor(doctor::Options),
    /// Looks at a mesh of routers, by the program `ump-mesh`
    Mesh(mesh::Options),
    /// Explains how the topics of two patterns relate, without a server
    Explain(explain::Options),
    /// Makes certificates for links over TLS
    #[cfg(feature = "tls")]
    #[command(subcommand)]
    Ca(authority::Action),
    /// Writes completions for a shell, or man pages
    #[command(hide = true, subcommand)]
    Generate(generate::Target),
}

/// Runs the sub-command.
pub(crate) fn run(cli: Cli) -> Result<(), Error> {
    let is_json = cli.json;
    match cli.command {
        Command::Serve(options) => serve::run(&options, is_json),
        Command::Sub(options) => subscribe::run(&options, is_json),
        Command::Pub(options) => publish::run(&options, is_json),
        Command::Req(options) => request::run(&options, is_json),
        Command::Reply(options) => reply::run(options, is_json),
        Command::Ls(options) => list::run(&options, is_json),
        Command::Top(options) => top::run(&options, is_json),
        Command::Bench(options) => bench::run(&options, is_json),
        Command::Doctor(options) => doctor::run(&options, is_json),
        Command::Mesh(options) => mesh::run(&options, is_json),
        Command::Explain(options) => explain::run(&options, is_json),
        #[cfg(feature = "tls")]
        Command::Ca(action) => authority::run(&action, is_json),
        Command::Generate(target) => generate::run(&target),
    }
}
