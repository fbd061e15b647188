//! `ump sub`: prints messages, one line each. A gap is a line, too.

use std::{
    collections::BTreeMap,
    mem,
    time::{Duration, Instant},
};

use serde_json::{Map, Value as Json, json};
use ump_router::{
    Bytes, Pattern,
    link::{
        session::{Credit, Event},
        wire::Codec,
    },
};

use crate::{
    args::{ServerArgs, duration},
    client::{Link, Step, status_error},
    exit::{Error, Exit},
    output::{Printer, Written, note},
    payload, signals,
};

/// What may be on its way, or not yet written to the standard output. A reader that is too slow
/// for it gets gaps.
const CREDIT: Credit = Credit {
    messages: 1024,
    bytes: 4 << 20,
};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A gap is a line `# 3 messages missed: PATTERN`, or {\"gap\":3,\"pattern\":..} with --json. The
number 0 means that messages may be missing. While a gap waits for a slow reader, later ones that
follow it without a message between them are counted together.

Exit codes: 0 after COUNT messages, TIME, or SIGINT or SIGTERM; 5 if TIME is over before COUNT messages came; 4 if the
server or the link is lost; 6 if the server cannot be reached or does not allow it.")]
pub(crate) struct Options {
    #[command(flatten)]
    server: ServerArgs,
    /// Patterns of whole topics: `*` is one fragment, `**` any number of them
    #[arg(required = true, value_name = "PATTERN")]
    patterns: Vec<Pattern>,
    /// Ends after so many messages
    #[arg(short = 'n', long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Ends after this time
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    time: Option<Duration>,
    /// Leaves out messages that were retained before
    #[arg(long)]
    no_retained: bool,
    /// Leaves out the line that says when the subscriptions are in place
    #[arg(long, short)]
    quiet: bool,
}

/// What a line used of the credit of subscriptions.
#[derive(Debug)]
struct Used {
    to: Vec<u32>,
    bytes: u64,
    /// The subscription, if the line is a gap: that uses no credit.
    gap: Option<u32>,
}

/// The gaps of a subscription. They use no credit, so they are joined to keep them few: a line of a
/// gap is queued after a message, which has credit, or when the printer has written all others.
#[derive(Debug, Default)]
struct Gaps {
    /// Lines that are not written.
    unwritten: usize,
    /// Missed messages without a line.
    missed: u64,
    /// A gap of unknown length has no line.
    is_unknown: bool,
}

impl Gaps {
    fn add(&mut self, missed: u64) {
        self.missed = self.missed.saturating_add(missed);
        self.is_unknown |= missed == 0;
    }

    /// Prints what has no line, if the lines before are written.
    fn print_if_written(&mut self, id: u32, pattern: &str, is_json: bool, to: &Printer<Used>) {
        if self.unwritten == 0 {
            self.print(id, pattern, is_json, to);
        }
    }

    /// Prints what has no line.
    fn print(&mut self, id: u32, pattern: &str, is_json: bool, printer: &Printer<Used>) {
        let known = Some(mem::take(&mut self.missed)).filter(|missed| *missed > 0);
        let unknown = mem::take(&mut self.is_unknown).then_some(0);
        for missed in known.into_iter().chain(unknown) {
            let line = if is_json {
                json!({"gap": missed, "pattern": pattern}).to_string()
            } else if missed == 0 {
                format!("# messages may be missing: {pattern}")
            } else {
                format!("# {missed} messages missed: {pattern}")
            };
            let used = Used {
                to: Vec::new(),
                bytes: 0,
                gap: Some(id),
            };
            printer.line(line, used);
            self.unwritten += 1;
        }
    }
}

/// What other threads tell.
#[derive(Debug)]
enum Input {
    Written(Written<Used>),
    /// A signal came.
    Stop,
}

pub(crate) fn run(options: &Options, is_json: bool) -> Result<(), Error> {
    let end = options.time.map(|time| Instant::now() + time);
    let mut link: Link<Input> = options.server.open()?;
    let sender = link.sender();
    // So that it says goodbye: otherwise others are told that messages of this end may be missing.
    signals::on_stop(move || {
        sender.send(Input::Stop);
    })?;
    let mut ids = Vec::new();
    for pattern in &options.patterns {
        let id = link
            .session
            .subscribe(pattern, CREDIT, !options.no_retained)?;
        ids.push((id, pattern));
    }
    let mut unanswered: Vec<u32> = ids.iter().map(|it| it.0).collect();
    let sender = link.sender();
    let printer = Printer::start(move |written| {
        sender.send(Input::Written(written));
    })?;
    let pattern = |id| {
        let found = ids.iter().find(|it| it.0 == id);
        found.map_or("", |it| it.1.as_str())
    };
    let mut gaps: BTreeMap<u32, Gaps> = BTreeMap::new();
    let mut received = 0;
    let mut ended = Ok(());
    while options.count.is_none_or(|count| received < count) {
        let step = match link.next(end) {
            Ok(step) => step,
            Err(error) => {
                ended = Err(error);
                break;
            }
        };
        match step {
            Step::Event(Event::Subscribed { id, status, text }) => {
                // The server may end a subscription later, too.
                if let Some(error) = status_error(pattern(id), status, &text) {
                    ended = Err(error);
                    break;
                }
                unanswered.retain(|it| *it != id);
                if unanswered.is_empty() && !options.quiet {
                    note(&format!("subscribed on {}", options.server.address));
                }
            }
            Step::Event(Event::Message {
                to,
                topic,
                retained,
                codec,
                payload,
                ..
            }) => {
                received += 1;
                for id in &to {
                    if let Some(gap) = gaps.get_mut(id) {
                        gap.print(*id, pattern(*id), is_json, &printer);
                    }
                }
                let line = message_line(&topic, retained, (codec, &payload), is_json);
                let bytes = payload.len() as u64;
                let gap = None;
                printer.line(line, Used { to, bytes, gap });
            }
            Step::Event(Event::Gap { id, missed }) => {
                let gap = gaps.entry(id).or_default();
                gap.add(missed);
                gap.print_if_written(id, pattern(id), is_json, &printer);
            }
            Step::Input(Input::Written(Written::Lines(lines))) => {
                for Used { to, bytes, gap } in lines {
                    for id in to {
                        link.session.consumed(id, 1, bytes)?;
                    }
                    if let Some((id, gap)) = gap.and_then(|id| Some((id, gaps.get_mut(&id)?))) {
                        gap.unwritten -= 1;
                        gap.print_if_written(id, pattern(id), is_json, &printer);
                    }
                }
            }
            Step::Input(Input::Written(Written::Failed) | Input::Stop) => break,
            Step::Deadline => {
                if let Some(count) = options.count {
                    let text = format!("{received} of {count} messages came in time");
                    ended = Err(Error::new(Exit::TimedOut, text));
                }
                break;
            }
            Step::Event(_) | Step::Told => {}
        }
    }
    // What was received is printed, whatever ended it.
    for (id, gap) in &mut gaps {
        gap.print(*id, pattern(*id), is_json, &printer);
    }
    printer.finish()?;
    ended?;
    link.leave();
    Ok(())
}

fn message_line(
    topic: &Pattern,
    retained: bool,
    (codec, payload): (Codec, &Bytes),
    is_json: bool,
) -> String {
    if is_json {
        let mut object = Map::new();
        object.insert("topic".to_owned(), Json::from(topic.as_str()));
        object.insert("retained".to_owned(), Json::from(retained));
        payload::fields(&mut object, codec, payload);
        Json::Object(object).to_string()
    } else {
        let shown = payload::one_line(&payload::line(codec, payload));
        format!("{} {shown}", payload::one_line(topic.as_str()))
    }
}
