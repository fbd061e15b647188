//! `ump serve`: a hub.

mod config;

use std::path::PathBuf;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};
use ump_router::{
    Router,
    link::sockets::{LinkSetupError, ListenOptions, Listener},
};

use self::config::Config;
use crate::{
    args::SecurityArgs,
    exit::Error,
    output::{note, print},
};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
It writes `listening on ADDRESS` to the standard output for each address, with the port that the
system has chosen for port 0; with --json, {\"listening\":ADDRESS}.

The configuration, in TOML, has rules by identity; topics are whole ones, with their prefix:

  listen = [\"unix:bus.sock\"]      # beside --listen
  compress = true                 # as --compress
  [access]
  default = \"deny\"                # or \"allow\"; it has to be there
  [[access.rules]]
  who = \"uid:1000\"                # anyone, anonymous, uid:N, gid:N, tls:NAME
  allow = [\"publish\", \"subscribe\", \"serve\", \"request\"]
  topics = [\"**\"]
  [[access.quotas]]               # the first that matches
  who = \"anyone\"
  connections = 64                # also subscriptions, served_topics, pending_requests,
  queued_bytes = 1048576

A file without [access] or its default is not valid, so that an empty file does not allow all.
Replace the file by a rename: a file that is read while it is written lacks its last rules.

Each link needs a descriptor: the hub raises its soft limit of them (`ulimit -n`) to the hard one.

SIGHUP: reads the rules again, and nothing else. If they are not valid, the old ones stay in force.
SIGTERM and SIGINT: says goodbye to all links, and ends with 0. A second one ends it at once.

Exit codes: 0 after SIGTERM or SIGINT; 2 an address or the configuration is not valid, or the
address is in use.")]
pub(crate) struct Options {
    /// Where to listen: unix:PATH, tcp:IP:PORT or tls:IP:PORT; may be given several times
    #[arg(long, value_name = "ADDRESS", required_unless_present = "config")]
    listen: Vec<String>,
    /// The configuration: addresses, rules and quotas
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Offers compression to all links: longer messages are compressed on those that want it, too
    #[arg(long)]
    compress: bool,
    #[command(flatten)]
    security: SecurityArgs,
    /// Lets other hosts connect over TCP without TLS: nobody is authenticated, and everybody on the
    /// way can read and change what is sent
    #[arg(long)]
    plain_text_from_other_hosts: bool,
}

pub(crate) fn run(options: &Options, is_json: bool) -> Result<(), Error> {
    // Before listening: a signal that comes early must not be missed.
    let failed = |error| Error::usage(format!("cannot watch for signals: {error}"));
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(failed)?;
    let config = read_config(options)?;
    raise_descriptor_limit();
    let router = Router::new();
    let listeners = listen(&router, options, &config, is_json)?;
    for signal in signals.forever() {
        if signal != SIGHUP {
            break;
        }
        reload(options, &listeners);
    }
    drop(listeners);
    // The second signal ends the process at once.
    std::thread::spawn(move || {
        for signal in signals.forever().filter(|signal| *signal != SIGHUP) {
            let _ = signal_hook::low_level::emulate_default_handler(signal);
        }
    });
    router.close_links().wait();
    router.close();
    Ok(())
}

/// Raises the soft limit of descriptors to the hard one: the usual soft one is below the number of
/// links that a listener accepts.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        note(&format!("the limit of descriptors stays as it is: {error}"));
    }
}

fn read_config(options: &Options) -> Result<Config, Error> {
    options
        .config
        .as_deref()
        .map_or_else(|| Ok(Config::default()), config::read)
}

fn listen(
    router: &Router,
    options: &Options,
    config: &Config,
    is_json: bool,
) -> Result<Vec<Listener>, Error> {
    let addresses: Vec<_> = options.listen.iter().chain(&config.listen).collect();
    if addresses.is_empty() {
        return Err(Error::usage(
            "where to listen? --listen, or `listen` in the configuration",
        ));
    }
    #[cfg(feature = "tls")]
    let security = options.security.security()?;
    let mut listeners = Vec::new();
    for address in addresses {
        let mut how = ListenOptions::new().rules(config.access.clone());
        if options.plain_text_from_other_hosts {
            how = how.allow_plain_text_from_other_hosts();
        }
        if options.compress || config.compress {
            how = how.compression();
        }
        #[cfg(feature = "tls")]
        if let Some(tls) = &security.tls {
            how = how.tls(tls.clone());
        }
        let listener = router.listen_with(address, how);
        let listener = listener.map_err(|error| listen_error(address, &error))?;
        let address = listener.address().to_string();
        let line = if is_json {
            json!({"listening": address}).to_string()
        } else {
            format!("listening on {address}")
        };
        // A hub does not depend on a reader of its output.
        let _ = print(&line);
        listeners.push(listener);
    }
    Ok(listeners)
}

/// Reads the rules again, and puts them into force.
fn reload(options: &Options, listeners: &[Listener]) {
    if options.config.is_none() {
        return note("SIGHUP: there is no configuration to be read again");
    }
    match read_config(options) {
        Ok(config) => {
            for listener in listeners {
                listener.set_rules(config.access.clone());
            }
            note("SIGHUP: the rules are in force");
        }
        Err(error) => note(&format!("SIGHUP: the old rules stay in force: {error}")),
    }
}

fn listen_error(address: &str, error: &LinkSetupError) -> Error {
    Error::usage(format!("cannot listen on {address}: {error}"))
}
