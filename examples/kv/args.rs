//! The command line: what can be set, within which limits, and what it is when nobody sets it.

use std::{ffi::OsString, ops::RangeInclusive, path::PathBuf, time::Duration};

use crate::store::Faults;

pub(crate) const HELP: &str = "\
A key-value service over HTTP, on top of one SQLite file.

Usage: kv [--listen ADDR] [--db FILE] [--queue N] [--timeout MS] [--host NAME]... [--origin URL]...
          [--connections N] [--head-timeout MS] [--client-timeout MS]
          [--watchers N] [--keep-alive MS] [--history N]

  --listen ADDR    where to listen; port 0 takes a free one  [127.0.0.1:8080]
  --db FILE        the database, made if absent; `:memory:` keeps nothing when the
                   process ends or the store panics  [kv.db]
  --queue N        how many requests may wait for the store; more are refused with 503  [1024]
  --timeout MS     how long a request may take; a longer one ends with 504  [5000]
  --watchers N     how many may watch changes at a time; more are refused with 503  [100]
  --keep-alive MS  how long a watcher hears nothing before it is sent a comment  [15000]
  --history N      how many changes are kept for watchers that come back  [4096]
  --host NAME      a name, besides localhost and all IP addresses, by which clients may call the
                   service; others get 421
  --origin URL     pages from there, such as https://example.org, may ask the service; pages of
                   any other origin but its own get 403
  --connections N  how many there may be: one more ends one that is idle, or gets 503  [512]
  --head-timeout MS    how long the head of a request may take, and how long a connection may be
                   idle  [10000]
  --client-timeout MS  how long a client may keep the service waiting for a body, or for its own
                   reading of one; each 16 KiB give it a second more  [30000]

To see overload, deadlines and a crash for yourself:
  --delay MS       hold each batch of requests for so long before executing it  [0]
  --panic-at N     let the store panic with its Nth batch in its hands
  --chaos          let it panic at each POST /debug/crash

";

const A_DAY: u64 = 24 * 60 * 60 * 1000;

#[derive(Debug)]
pub(crate) struct Args {
    pub(crate) listen: String,
    pub(crate) db: PathBuf,
    pub(crate) queue: usize,
    pub(crate) timeout: Duration,
    pub(crate) watchers: usize,
    pub(crate) keep_alive: Duration,
    pub(crate) history: usize,
    pub(crate) hosts: Vec<String>,
    pub(crate) origins: Vec<String>,
    pub(crate) connections: usize,
    pub(crate) head_timeout: Duration,
    pub(crate) client_timeout: Duration,
    pub(crate) faults: Faults,
    /// Whether anybody may make the store panic.
    pub(crate) chaos: bool,
}

impl Default for Args {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            db: PathBuf::from("kv.db"),
            queue: 1024,
            timeout: Duration::from_secs(5),
            watchers: 100,
            keep_alive: Duration::from_secs(15),
            history: 4096,
            hosts: Vec::new(),
            origins: Vec::new(),
            connections: 512,
            head_timeout: Duration::from_secs(10),
            client_timeout: Duration::from_secs(30),
            faults: Faults::default(),
            chaos: false,
        }
    }
}

impl Args {
    /// Reads `--flag value` and `--flag=value`. `None` means that help was asked for.
    pub(crate) fn parse(words: impl Iterator<Item = OsString>) -> Result<Option<Self>, String> {
        let mut words = words.map(|word| {
            word.into_string()
                .map_err(|word| format!("not valid UTF-8: {word:?}"))
        });
        let mut args = Self::default();
        while let Some(word) = words.next().transpose()? {
            let (flag, attached) = match word.split_once('=') {
                Some((flag, value)) => (flag, Some(value.to_owned())),
                None => (word.as_str(), None),
            };
            let flag_alone = attached.is_none();
            let value = || match attached {
                Some(value) => Ok(value),
                None => words
                    .next()
                    .unwrap_or_else(|| Err(format!("{flag} needs a value"))),
            };
            match flag {
                "--help" | "-h" => return Ok(None),
                "--listen" => args.listen = value()?,
                "--db" => args.db = file(flag, &value()?)?,
                "--queue" => args.queue = number(flag, &value()?, 1..=1_000_000)?,
                "--timeout" => args.timeout = time(flag, &value()?)?,
                "--watchers" => args.watchers = number(flag, &value()?, 1..=100_000)?,
                "--keep-alive" => args.keep_alive = time(flag, &value()?)?,
                "--history" => args.history = number(flag, &value()?, 0..=1_000_000)?,
                "--host" => args.hosts.push(value()?),
                "--origin" => args.origins.push(value()?),
                "--connections" => args.connections = number(flag, &value()?, 1..=100_000)?,
                "--head-timeout" => args.head_timeout = time(flag, &value()?)?,
                "--client-timeout" => args.client_timeout = time(flag, &value()?)?,
                "--delay" => {
                    args.faults.delay = Duration::from_millis(number(flag, &value()?, 0..=A_DAY)?);
                }
                "--panic-at" => args.faults.panic_at = Some(number(flag, &value()?, 1..=u64::MAX)?),
                "--chaos" if flag_alone => args.chaos = true,
                "--chaos" => return Err(format!("{flag} takes no value")),
                _ => {
                    return Err(format!(
                        "unknown argument {word:?}; --help lists those there are"
                    ));
                }
            }
        }
        Ok(Some(args))
    }
}

fn file(flag: &str, text: &str) -> Result<PathBuf, String> {
    // To SQLite an empty name means a temporary file, which would not survive.
    if text.is_empty() {
        Err(format!("{flag} needs a file name"))
    } else {
        Ok(PathBuf::from(text))
    }
}

/// In milliseconds.
fn time(flag: &str, text: &str) -> Result<Duration, String> {
    number(flag, text, 1..=A_DAY).map(Duration::from_millis)
}

fn number<T>(flag: &str, text: &str, range: RangeInclusive<T>) -> Result<T, String>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    match text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!(
            "{flag} takes a number from {} to {}, not {text:?}",
            range.start(),
            range.end()
        )),
    }
}
