//! `ump sub`: prints messages, one line each. A gap is a line, too.

use std::{
    collections::BTreeMap,
    mem,
    ops::ControlFlow,
    time::{Duration, Instant},
};

use serde_json::{Map, Value as Json, json};
use ump_router::{
    Bytes, Pattern,
    link::{
        session::{Credit, Event},
        wire::{Codec, Status},
    },
};

use crate::{
    args::{LossArgs, Reconnect, ServerArgs, duration},
    client::{Link, Step, Stream, status_error},
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
number 0 means that messages may be missing. A message that was retained before ends with a tab and
`# retained`. While a gap waits for a slow reader, later ones that
follow it without a message between them are counted together.

When the server or the link is lost, it prints a gap of unknown length for each pattern, connects
again until that succeeds (after 50 ms at first, and 5 s at most), and subscribes again; messages
that are retained come once more. With --once it ends.

Exit codes: 0 after COUNT messages, TIME, or SIGINT or SIGTERM; 5 if TIME is over before COUNT
messages came; 4 if the server or the link is lost and --once is given; 6 if the server cannot be
reached at the beginning, or does not allow it.")]
pub(crate) struct Options {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    loss: LossArgs,
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
    /// There is another connection.
    Connected(Stream),
    /// A signal came.
    Stop,
}

/// The command, while it runs.
struct Subscriber<'a> {
    options: &'a Options,
    is_json: bool,
    link: Link<Input>,
    reconnect: Reconnect,
    printer: Printer<Used>,
    /// The subscriptions, in the order of the patterns. They have the same ids on each connection.
    ids: Vec<u32>,
    unanswered: Vec<u32>,
    /// The subscriptions are to be made when the lines of the last connection are written: their
    /// credit bounds the lines that wait.
    is_to_subscribe: bool,
    /// The loss of this connection was not told.
    is_connected: bool,
    gaps: BTreeMap<u32, Gaps>,
    /// Lines of messages that are not written.
    unwritten: usize,
    received: u64,
}

pub(crate) fn run(options: &Options, is_json: bool) -> Result<(), Error> {
    let end = options.time.map(|time| Instant::now() + time);
    let link: Link<Input> = options.server.open()?;
    let sender = link.sender();
    // So that it says goodbye: otherwise others are told that messages of this end may be missing.
    signals::on_stop(move || {
        sender.send(Input::Stop);
    })?;
    let sender = link.sender();
    let printer = Printer::start(move |written| {
        sender.send(Input::Written(written));
    })?;
    let mut subscriber = Subscriber {
        options,
        is_json,
        link,
        reconnect: Reconnect::new(&options.server, options.loss),
        printer,
        ids: Vec::new(),
        unanswered: Vec::new(),
        is_to_subscribe: false,
        is_connected: true,
        gaps: BTreeMap::new(),
        unwritten: 0,
        received: 0,
    };
    let ended = subscriber.subscribe();
    let ended = ended.and_then(|()| subscriber.receive(end));
    // What was received is printed, whatever ended it.
    subscriber.print_gaps();
    subscriber.printer.finish()?;
    ended?;
    subscriber.link.leave();
    Ok(())
}

impl Subscriber<'_> {
    fn subscribe(&mut self) -> Result<(), Error> {
        self.ids.clear();
        for pattern in &self.options.patterns {
            let session = &mut self.link.session;
            let id = session.subscribe(pattern, CREDIT, !self.options.no_retained)?;
            self.ids.push(id);
        }
        self.unanswered.clone_from(&self.ids);
        Ok(())
    }

    fn receive(&mut self, end: Option<Instant>) -> Result<(), Error> {
        while self.options.count.is_none_or(|count| self.received < count) {
            match self.link.next(end) {
                Ok(step) => {
                    if self.on_step(step)?.is_break() {
                        break;
                    }
                }
                Err(error) => self.on_loss(error)?,
            }
        }
        Ok(())
    }

    fn on_loss(&mut self, error: Error) -> Result<(), Error> {
        self.reconnect
            .lost(&mut self.link, error, Input::Connected)?;
        self.is_to_subscribe = false;
        if mem::take(&mut self.is_connected) {
            for id in self.ids.clone() {
                self.on_gap(id, 0);
            }
        }
        Ok(())
    }

    fn on_step(&mut self, step: Step<Input>) -> Result<ControlFlow<()>, Error> {
        match step {
            Step::Event(Event::Subscribed { id, status, text }) => {
                self.on_subscribed(id, status, &text)?;
            }
            Step::Event(Event::Message {
                to,
                topic,
                retained,
                codec,
                payload,
                ..
            }) => {
                self.received += 1;
                for id in &to {
                    let pattern = pattern(self.options, &self.ids, *id);
                    if let Some(gap) = self.gaps.get_mut(id) {
                        gap.print(*id, pattern, self.is_json, &self.printer);
                    }
                }
                let line = message_line(&topic, retained, (codec, &payload), self.is_json);
                let bytes = payload.len() as u64;
                let gap = None;
                self.unwritten += 1;
                self.printer.line(line, Used { to, bytes, gap });
            }
            Step::Event(Event::Gap { id, missed }) => self.on_gap(id, missed),
            Step::Event(Event::Opened { .. }) => {
                self.is_to_subscribe = true;
                self.subscribe_if_written()?;
            }
            Step::Input(Input::Connected(stream)) => self.link.reopen(stream)?,
            Step::Input(Input::Written(Written::Lines(lines))) => {
                for used in lines {
                    self.on_written(used);
                }
                self.subscribe_if_written()?;
            }
            Step::Input(Input::Written(Written::Failed) | Input::Stop) => {
                return Ok(ControlFlow::Break(()));
            }
            Step::Deadline => {
                let Some(count) = self.options.count else {
                    return Ok(ControlFlow::Break(()));
                };
                let text = format!("{} of {count} messages came in time", self.received);
                return Err(Error::new(Exit::TimedOut, text));
            }
            Step::Event(_) | Step::Told => {}
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Subscribes on a new connection, when it is time.
    fn subscribe_if_written(&mut self) -> Result<(), Error> {
        if !self.is_to_subscribe || self.unwritten > 0 {
            return Ok(());
        }
        self.is_to_subscribe = false;
        self.is_connected = true;
        let synced = self.link.session.synced().map_err(Error::from);
        match synced.and_then(|()| self.subscribe()) {
            // The end of the connection comes next.
            Err(error) if error.exit == Exit::Lost => Ok(()),
            other => other,
        }
    }

    fn on_subscribed(&mut self, id: u32, status: Status, text: &str) -> Result<(), Error> {
        // The server may end a subscription later, too.
        let pattern = pattern(self.options, &self.ids, id);
        if let Some(error) = status_error(pattern, status, text) {
            return Err(error);
        }
        self.unanswered.retain(|it| *it != id);
        if self.unanswered.is_empty() {
            self.reconnect.succeeded();
            if !self.options.quiet {
                note(&format!("subscribed on {}", self.options.server.address));
            }
        }
        Ok(())
    }

    fn on_gap(&mut self, id: u32, missed: u64) {
        let pattern = pattern(self.options, &self.ids, id);
        let gap = self.gaps.entry(id).or_default();
        gap.add(missed);
        gap.print_if_written(id, pattern, self.is_json, &self.printer);
    }

    fn on_written(&mut self, used: Used) {
        let Used { to, bytes, gap } = used;
        let Some(id) = gap else {
            self.unwritten -= 1;
            for id in to {
                // An error if the connection is over on which it came.
                let _ = self.link.session.consumed(id, 1, bytes);
            }
            return;
        };
        let pattern = pattern(self.options, &self.ids, id);
        if let Some(gap) = self.gaps.get_mut(&id) {
            gap.unwritten -= 1;
            gap.print_if_written(id, pattern, self.is_json, &self.printer);
        }
    }

    fn print_gaps(&mut self) {
        for (id, gap) in &mut self.gaps {
            let pattern = pattern(self.options, &self.ids, *id);
            gap.print(*id, pattern, self.is_json, &self.printer);
        }
    }
}

/// Returns the pattern of a subscription.
fn pattern<'a>(options: &'a Options, ids: &[u32], id: u32) -> &'a str {
    let place = ids.iter().position(|it| *it == id);
    let pattern = place.and_then(|place| options.patterns.get(place));
    pattern.map_or("", Pattern::as_str)
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
        let mark = if retained { "\t# retained" } else { "" };
        format!("{} {shown}{mark}", payload::one_line(topic.as_str()))
    }
}
