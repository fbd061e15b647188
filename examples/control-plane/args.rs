//! The command line.

use std::{
    ffi::OsString, fmt::Display, ops::RangeInclusive, path::PathBuf, str::FromStr, time::Duration,
};

pub(crate) const HELP: &str = "\
The control plane of a small router, fed from a file of route updates.

Usage: control-plane [--shards N] [--hold S] [--console] [--real-time SPEED] [FILE]

  FILE               what `bgpdump -m` prints, with lookups and keepalives besides: see examples/README.md
                     [the sample, examples/control-plane/updates.txt]
  --shards N         how many instances share the table of routes, 1 to 64  [4]
  --hold S           a neighbour of whom nothing is heard for so many seconds is given up, 3 to 65535  [240]
  --console          read commands from the standard input, after the file; `help` lists them
  --real-time SPEED  go by the clock on the wall, but so many times as quick (1 to 1000000): then commands are
                     read while the file is. Otherwise time is virtual: hours pass at once, and the summary is
                     the same each time

It ends with code 0 if each line of the file was processed, or was an error that was reported and counted.
";

#[derive(Debug)]
pub(crate) struct Args {
    /// `None`: the sample.
    pub(crate) file: Option<PathBuf>,
    pub(crate) shards: usize,
    pub(crate) hold: Duration,
    pub(crate) console: bool,
    /// How many times as quick as the clock on the wall; `None`: virtual.
    pub(crate) real_time: Option<u32>,
}

impl Args {
    /// `None` means that help was asked for.
    pub(crate) fn parse(words: impl Iterator<Item = OsString>) -> Result<Option<Self>, String> {
        let mut words = words.peekable();
        let mut args = Self {
            file: None,
            shards: 4,
            hold: Duration::from_secs(240),
            console: false,
            real_time: None,
        };
        while let Some(word) = words.next() {
            let mut value = |flag| words.next().ok_or_else(|| format!("{flag} needs a value"));
            match word.to_str() {
                Some("--help" | "-h") => return Ok(None),
                Some("--console") => args.console = true,
                Some(flag @ "--shards") => args.shards = number(flag, &value(flag)?, 1..=64)?,
                Some(flag @ "--hold") => {
                    args.hold = Duration::from_secs(number(flag, &value(flag)?, 3..=65535)?);
                }
                Some(flag @ "--real-time") => {
                    args.real_time = Some(number(flag, &value(flag)?, 1..=1_000_000)?);
                }
                Some(flag) if flag.starts_with('-') => {
                    return Err(format!(
                        "unknown flag {flag:?}; --help lists those there are"
                    ));
                }
                _ if args.file.is_some() => {
                    return Err(format!("one file is enough, besides {word:?}"));
                }
                _ => args.file = Some(PathBuf::from(word)),
            }
        }
        Ok(Some(args))
    }
}

fn number<T: FromStr + PartialOrd + Display>(
    flag: &str,
    text: &OsString,
    range: RangeInclusive<T>,
) -> Result<T, String> {
    let number = text.to_str().and_then(|text| text.parse().ok());
    number
        .filter(|number| range.contains(number))
        .ok_or_else(|| {
            let (least, most) = range.into_inner();
            format!("{flag} takes a number from {least} to {most}, not {text:?}")
        })
}
