//! The command line.

use std::{ffi::OsString, path::PathBuf};

pub(crate) const HELP: &str = "\
A chat in one process: rooms and users are topics, `<room>/<user>`.

Usage: chat [--script FILE | --interactive]

  --script FILE   do what is in the file, line by line; without it, a script that shows what there is
  --interactive   do what comes from the standard input, line by line, for any number of users; /help
                  lists what can be said

It ends with code 0 if all lines could be obeyed. A script ends at the first that could not.
";

#[derive(Debug)]
pub(crate) enum Args {
    Demo,
    Script(PathBuf),
    Interactive,
}

impl Args {
    /// `None` means that help was asked for.
    pub(crate) fn parse(mut words: impl Iterator<Item = OsString>) -> Result<Option<Self>, String> {
        let Some(word) = words.next() else {
            return Ok(Some(Self::Demo));
        };
        let args = match word.to_str() {
            Some("--help" | "-h") => return Ok(None),
            Some("--interactive") => Self::Interactive,
            Some("--script") => match words.next() {
                Some(file) => Self::Script(PathBuf::from(file)),
                None => return Err("--script needs a file".to_owned()),
            },
            _ => return Err(unknown(&word)),
        };
        match words.next() {
            None => Ok(Some(args)),
            Some(word) => Err(unknown(&word)),
        }
    }
}

fn unknown(word: &OsString) -> String {
    format!("unknown argument {word:?}; --help lists those there are")
}
