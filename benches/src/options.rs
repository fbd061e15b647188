//! The command line.

use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt};

pub(crate) const HELP: &str = "\
Usage: benches [timers | loops | topics | router | bus | net | udp] [OPTIONS]

  timers             what the timers of ump-server cost; knows --quick, --rounds and --out
  loops              how soon its loops are back after a panic, how late they call for a timer; the same
  topics             what it costs ump-router to find out whom a message reaches; the same
  router             what a name costs a request, and a message to many; the same
  bus                how many messages a second go from one thread to another; the same
  net                what sockets cost in a loop of ump-server, beside loops by hand and tokio; the same
  udp                the echoes by UDP of these alone; the same
  --quick            short samples and few rounds: all in under two minutes
  --case NAME        only this case, or those whose names begin so; may be repeated
  --contender NAME   only this one, the floors and ump; may be repeated
  --rounds N         how many rounds of samples
  --out DIR          where the results go; benches/results unless only some are measured
  --list             print the names of cases and contenders
  --help             print this
";

#[derive(Default)]
pub(crate) struct Options {
    pub(crate) quick: bool,
    pub(crate) list: bool,
    pub(crate) help: bool,
    pub(crate) subject: Subject,
    pub(crate) cases: Vec<String>,
    pub(crate) contenders: Vec<String>,
    pub(crate) rounds: Option<usize>,
    pub(crate) out: Option<PathBuf>,
    /// Set when this program starts itself, for a measurement in a process of its own.
    pub(crate) child: Option<String>,
}

/// The subjects of measurement.
#[derive(Default, PartialEq, Eq)]
pub(crate) enum Subject {
    #[default]
    Channel,
    Timers,
    Loops,
    Topics,
    Router,
    Bus,
    Net,
    Udp,
}

impl Options {
    pub(crate) fn parse() -> Result<Self, lexopt::Error> {
        let mut options = Self::default();
        let mut parser = Parser::from_env();
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Long("quick") => options.quick = true,
                Arg::Long("list") => options.list = true,
                Arg::Long("help") | Arg::Short('h') => options.help = true,
                Arg::Long("case") => options.cases.push(parser.value()?.string()?),
                Arg::Long("contender") => options.contenders.push(parser.value()?.string()?),
                Arg::Long("rounds") => options.rounds = Some(parser.value()?.parse()?),
                Arg::Long("out") => options.out = Some(parser.value()?.into()),
                Arg::Long("child") => options.child = Some(parser.value()?.string()?),
                Arg::Value(name) if name == "timers" => options.subject = Subject::Timers,
                Arg::Value(name) if name == "loops" => options.subject = Subject::Loops,
                Arg::Value(name) if name == "topics" => options.subject = Subject::Topics,
                Arg::Value(name) if name == "router" => options.subject = Subject::Router,
                Arg::Value(name) if name == "bus" => options.subject = Subject::Bus,
                Arg::Value(name) if name == "net" => options.subject = Subject::Net,
                Arg::Value(name) if name == "udp" => options.subject = Subject::Udp,
                unknown => return Err(format!("{}.\n{HELP}", unknown.unexpected()).into()),
            }
        }
        if options.rounds == Some(0) {
            return Err("--rounds has to be at least 1".into());
        }
        Ok(options)
    }

    /// The arguments of a child process.
    pub(crate) fn for_child(&self, child: &str, cases: &[&str]) -> Vec<String> {
        let mut args = vec!["--child".into(), child.into()];
        args.extend(self.quick.then(|| "--quick".into()));
        let rounds = self.rounds.map(|rounds| rounds.to_string());
        let repeated = |name: &'static str, value: &str| [name.into(), value.into()];
        args.extend(
            rounds
                .iter()
                .flat_map(|rounds| repeated("--rounds", rounds)),
        );
        args.extend(cases.iter().flat_map(|case| repeated("--case", case)));
        args.extend(
            self.contenders
                .iter()
                .flat_map(|name| repeated("--contender", name)),
        );
        args
    }
}
