//! The command line: how long, and which dice.

use std::{
    collections::hash_map::RandomState,
    ffi::OsString,
    hash::{BuildHasher, Hasher},
    time::Duration,
};

pub(crate) const HELP: &str = "\
Mixes everything that the channel can do, for as long as it is told, and checks that the books agree.

Usage: soak [TIME] [--seconds N] [--seed N] [--channels N] [--patience SECONDS]

  TIME, --seconds N   how long: 90s, 10m, 8h; or a number of seconds  [10s]
  --seed N            the dice; what they decide is the same again, what the scheduler decides is not  [any]
  --channels N        so many channels live at a time  [3]
  --patience SECONDS  a request that has no outcome by then is taken for lost  [30]

To see what it says when something is lost:
  --forget-at N       let the Nth handler forget its request, which nothing can notice but the caller's patience

Ctrl-C ends it early. The exit code is 0 if all was in order.
";

#[derive(Clone, Copy, Debug)]
pub(crate) struct Args {
    pub(crate) time: Duration,
    pub(crate) seed: u64,
    pub(crate) channels: usize,
    pub(crate) patience: Duration,
    pub(crate) forget_at: u64,
}

impl Args {
    /// Reads `--flag value` and `--flag=value`. `None` means that help was asked for.
    pub(crate) fn parse(words: impl Iterator<Item = OsString>) -> Result<Option<Self>, String> {
        let mut words = words.map(|word| {
            word.into_string()
                .map_err(|word| format!("not valid UTF-8: {word:?}"))
        });
        let mut args = Self {
            time: Duration::from_secs(10),
            seed: RandomState::new().build_hasher().finish() % 1_000_000,
            channels: 3,
            patience: Duration::from_secs(30),
            forget_at: 0,
        };
        while let Some(word) = words.next().transpose()? {
            let (flag, attached) = match word.split_once('=') {
                Some((flag, value)) => (flag, Some(value.to_owned())),
                None => (word.as_str(), None),
            };
            let value = || match attached {
                Some(value) => Ok(value),
                None => words
                    .next()
                    .unwrap_or_else(|| Err(format!("{flag} needs a value"))),
            };
            match flag {
                "--help" | "-h" => return Ok(None),
                "--seconds" => args.time = time(&value()?)?,
                "--seed" => args.seed = number(flag, &value()?)?,
                "--channels" => args.channels = number(flag, &value()?)?,
                "--patience" => args.patience = time(&value()?)?,
                "--forget-at" => args.forget_at = number(flag, &value()?)?,
                _ => args.time = time(flag)?,
            }
        }
        if args.channels == 0 {
            return Err("--channels takes at least 1".to_owned());
        }
        Ok(Some(args))
    }
}

fn number<T: std::str::FromStr>(flag: &str, text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("{flag} takes a number, not {text:?}"))
}

/// `90`, `90s`, `10m`, `8h`; at most a year.
fn time(text: &str) -> Result<Duration, String> {
    const A_YEAR: u64 = 365 * 24 * 60 * 60;
    let unit = match text.chars().last() {
        Some('m') => 60,
        Some('h') => 60 * 60,
        _ => 1,
    };
    let digits = text.trim_end_matches(['s', 'm', 'h']);
    let seconds = digits.parse().ok().and_then(|n: u64| n.checked_mul(unit));
    match seconds {
        Some(seconds) if (1..=A_YEAR).contains(&seconds) && text.len() <= digits.len() + 1 => {
            Ok(Duration::from_secs(seconds))
        }
        _ => Err(format!(
            "{text:?} is no time such as 90s, 10m or 8h; --help lists the arguments"
        )),
    }
}
