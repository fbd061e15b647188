//! The command line.

use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt};

pub(crate) const HELP: &str = "\
Usage: link-benches [OPTIONS]

  --quick            short laps and few rounds
  --case NAME        only this case, or those whose names begin so; may be repeated
  --contender NAME   only the first one of each case, and those whose names begin so; may be repeated
  --rounds N         how many rounds
  --out DIR          where the results go; benches/results unless only some are measured
  --list             print the names of the cases
  --help             print this
";

#[derive(Default)]
pub(crate) struct Options {
    pub(crate) quick: bool,
    pub(crate) list: bool,
    pub(crate) help: bool,
    pub(crate) rounds: usize,
    cases: Vec<String>,
    contenders: Vec<String>,
    out: Option<PathBuf>,
}

impl Options {
    pub(crate) fn parse() -> Result<Self, lexopt::Error> {
        let mut options = Self::default();
        let mut rounds = None;
        let mut parser = Parser::from_env();
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Long("quick") => options.quick = true,
                Arg::Long("list") => options.list = true,
                Arg::Long("help") | Arg::Short('h') => options.help = true,
                Arg::Long("case") => options.cases.push(parser.value()?.string()?),
                Arg::Long("contender") => options.contenders.push(parser.value()?.string()?),
                Arg::Long("rounds") => rounds = Some(parser.value()?.parse()?),
                Arg::Long("out") => options.out = Some(parser.value()?.into()),
                unknown => return Err(format!("{}.\n{HELP}", unknown.unexpected()).into()),
            }
        }
        options.rounds = rounds.unwrap_or(if options.quick { 3 } else { 11 });
        if options.rounds == 0 {
            return Err("--rounds has to be at least 1".into());
        }
        Ok(options)
    }

    pub(crate) fn selects(&self, case: &str) -> bool {
        begins(&self.cases, case)
    }

    pub(crate) fn selects_contender(&self, name: &str) -> bool {
        begins(&self.contenders, name)
    }

    /// Returns where the results go, if they go anywhere.
    pub(crate) fn directory(&self) -> Option<PathBuf> {
        let is_complete = self.cases.is_empty() && self.contenders.is_empty();
        let usual = || {
            let results = PathBuf::from("benches/results");
            if self.quick {
                results.join("quick")
            } else {
                results
            }
        };
        self.out.clone().or_else(|| is_complete.then(usual))
    }
}

fn begins(selected: &[String], name: &str) -> bool {
    selected.is_empty() || selected.iter().any(|one| name.starts_with(one.as_str()))
}
