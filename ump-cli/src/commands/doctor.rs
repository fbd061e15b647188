//! `ump doctor`: which step fails, and what to do.

use std::{os::unix::fs::FileTypeExt, time::Instant};

use serde_json::json;
use ump_router::{
    Pattern,
    link::{
        session::{Credit, Event},
        wire::{COMPRESSION, Status},
    },
};

use crate::{
    args::ServerArgs,
    client::{Address, Link, Step, Stream, connect_in_steps, resolve},
    exit::{Error, Exit},
    output::print,
};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Steps: resolve, connect, tls, hello, told, rules, type. A line says `ok` or `FAIL`, the step and what was
found, and for a failure what to do. With --json: {\"step\":..,\"ok\":..,\"found\":..,\"advice\":..}.

The last two need PATTERN: it subscribes to it for a moment, and looks whether anybody subscribes to
or serves topics with the same prefix. The types of the server's own process travel only once it
says so (`Router::carry`); a subscription with a prefix that nobody else has may be misspelt.

`ump doctor --mesh` checks whether participants of a mesh find each other: it is `ump mesh doctor`, and
has its options.

Exit codes: 0 all steps are ok; otherwise that of the step, mostly 6.")]
pub(crate) struct Options {
    #[command(flatten)]
    server: ServerArgs,
    /// A whole topic, or a pattern, to be checked too
    #[arg(value_name = "PATTERN")]
    pattern: Option<Pattern>,
}

/// The report of the steps.
struct Report {
    is_json: bool,
}

impl Report {
    fn ok(&self, step: &str, found: &str) -> Result<(), Error> {
        self.line(step, true, found, None)
    }

    fn failed(&self, step: &str, error: &Error, advice: &str) -> Result<(), Error> {
        self.line(step, false, &error.text, Some(advice))?;
        Err(Error::silent(error.exit))
    }

    fn line(&self, step: &str, ok: bool, found: &str, advice: Option<&str>) -> Result<(), Error> {
        if self.is_json {
            let line = json!({"step": step, "ok": ok, "found": found, "advice": advice});
            return print(&line.to_string());
        }
        let word = if ok { "ok" } else { "FAIL" };
        print(&format!("{word:<4} {step:<8} {found}"))?;
        match advice {
            Some(advice) => print(&format!("     {:<8} {advice}", "")),
            None => Ok(()),
        }
    }
}

pub(crate) fn run(options: &Options, is_json: bool) -> Result<(), Error> {
    let report = Report { is_json };
    let address = &options.server.address;
    match find(address) {
        Ok(found) => report.ok("resolve", &found)?,
        Err((error, advice)) => return report.failed("resolve", &error, advice),
    }
    let deadline = options.server.deadline();
    let security = options.server.security.security()?;
    let mut is_connected = false;
    let connected = connect_in_steps(address, &security, deadline, || is_connected = true);
    let is_tls = matches!(address, Address::Tls(_));
    let stream = match connected {
        Ok(stream) => stream,
        Err(error) if is_connected && is_tls => {
            report.ok("connect", &address.to_string())?;
            let advice = "is it a tls: address there? have both ends certificates of an authority that the other knows, for this host, not expired? --tls-name names another host";
            return report.failed("tls", &error, advice);
        }
        Err(error) => {
            let advice = "start it: `ump serve --listen ADDRESS`; or its queue is full, a firewall is between, or the socket is of another user";
            return report.failed("connect", &error, advice);
        }
    };
    report.ok("connect", &address.to_string())?;
    if is_tls {
        report.ok("tls", "the certificate of the server is for this host")?;
    }
    let mut link = open(&report, stream, options.server.features(), deadline)?;
    if let Err(error) = link.sync(deadline) {
        let advice = "the server may be overloaded: try a longer --connect-timeout";
        return report.failed("told", &error, advice);
    }
    let known = &link.known;
    let found = format!(
        "{} subscriptions and {} served topics: `ump ls` lists them",
        known.subscriptions.len(),
        known.claims.len()
    );
    report.ok("told", &found)?;
    if let Some(pattern) = &options.pattern {
        check_rules(&report, &mut link, pattern, deadline)?;
        check_type(&report, &link, pattern)?;
    }
    link.leave();
    Ok(())
}

fn find(address: &Address) -> Result<String, (Error, &'static str)> {
    match address {
        Address::Unix(path) => {
            let shown = path.display();
            let metadata = std::fs::metadata(path).map_err(|error| {
                let text = format!("{shown}: {error}");
                let advice = "is the server running, and the path the same, from the same folder?";
                (Error::new(Exit::NotAllowed, text), advice)
            })?;
            if !metadata.file_type().is_socket() {
                let text = format!("{shown} is no socket");
                let advice = "the path is that of another file";
                return Err((Error::new(Exit::NotAllowed, text), advice));
            }
            Ok(format!("the socket {shown}"))
        }
        Address::Tcp(endpoint) | Address::Tls(endpoint) => {
            let addresses = resolve(endpoint.host(), endpoint.port()).map_err(|error| {
                (
                    error,
                    "is the name right? is there a resolver: `getent hosts HOST`?",
                )
            })?;
            let shown: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            Ok(shown.join(", "))
        }
        other => Ok(other.to_string()),
    }
}

fn open(
    report: &Report,
    stream: Stream,
    features: u64,
    deadline: Instant,
) -> Result<Link<()>, Error> {
    match Link::<()>::open(stream, features, deadline) {
        Ok(link) => {
            let hello = &link.hello;
            let name = if hello.name.is_empty() {
                "a router without a name"
            } else {
                &hello.name
            };
            let (low, high, frame) = (hello.min_version, hello.max_version, hello.limits.frame);
            let compression = match (features & COMPRESSION != 0, link.is_compressed()) {
                (_, true) => ", compressed",
                (true, false) => ", not compressed: the server does not offer it",
                (false, false) => "",
            };
            let found = format!(
                "{name}, versions {low} to {high}, messages up to {frame} bytes{compression}"
            );
            report.ok("hello", &found)?;
            Ok(link)
        }
        Err(error) => {
            let advice = "does a router listen there, and not something else? its rules may refuse this user, or its links are used up";
            report.failed("hello", &error, advice)?;
            Err(error)
        }
    }
}

/// Subscribes for a moment.
fn check_rules(
    report: &Report,
    link: &mut Link<()>,
    pattern: &Pattern,
    deadline: Instant,
) -> Result<(), Error> {
    let (messages, bytes) = (0, 0);
    let subscription = link
        .session
        .subscribe(pattern, Credit { messages, bytes }, false)?;
    let (status, text) = loop {
        match link.next(Some(deadline))? {
            Step::Event(Event::Subscribed { id, status, text }) if id == subscription => {
                break (status, text);
            }
            Step::Deadline => {
                let error = Error::new(Exit::TimedOut, "no answer to a subscription");
                return report.failed("rules", &error, "the server may be overloaded");
            }
            _ => {}
        }
    };
    match crate::client::status_error(pattern.as_str(), status, &text) {
        None => report.ok("rules", &format!("subscribing to {pattern} is allowed")),
        Some(error) => {
            let advice = match status {
                Status::Quota => "end a subscription of this user, or raise the quota",
                _ => "allow it in the rules of the server, and send it SIGHUP",
            };
            report.failed("rules", &error, advice)
        }
    }
}

/// Looks for others with the same prefix.
fn check_type(report: &Report, link: &Link<()>, pattern: &Pattern) -> Result<(), Error> {
    let Some(prefix) = pattern
        .as_str()
        .split('/')
        .next()
        .filter(|it| !it.contains('*'))
    else {
        return report.ok(
            "type",
            "the pattern begins with a wildcard: no type to look for",
        );
    };
    let known = &link.known;
    let is_of = |name: &str| name.split('/').next() == Some(prefix);
    let subscriptions = known.subscriptions.values();
    let subscriptions = subscriptions.filter(|it| is_of(it.as_str())).count();
    let served = known
        .claims
        .values()
        .filter(|it| is_of(it.as_str()))
        .count();
    if subscriptions + served == 0 {
        let text =
            format!("nobody has told a subscription or a served topic of the type '{prefix}'");
        let advice = "a program that should have one has to say `router.carry::<Type>()` (or `carry_requests`) before, and the prefix has to be the same: `Message::PREFIX`";
        return report.failed("type", &Error::new(Exit::NoServer, text), advice);
    }
    let found = format!("'{prefix}': {subscriptions} subscriptions, {served} served topics");
    report.ok("type", &found)
}
