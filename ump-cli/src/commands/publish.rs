//! `ump pub`: publishes messages.

use std::{
    collections::VecDeque,
    io::{self, BufRead, Read},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use ump_router::{
    Pattern, Topic,
    link::{
        session::{Credit, Event, Publication, Replica},
        wire::FEATURE_REPLICATE,
    },
};

use crate::{
    args::{Rate, ServerArgs, duration},
    client::{Link, Sender, Step, status_error},
    exit::{Error, Exit},
    output::{note, print},
    payload::{Payload, PayloadArgs},
};

/// How long the server may take to read what was published.
const CLOSE: Duration = Duration::from_secs(10);

/// The longest line of the standard input.
const MAX_LINE: u64 = 16 << 20;

/// How many bytes wait in the session before lines have to.
const MAX_QUEUED: usize = 256 << 10;

/// How many lines wait for the link.
const LINES: usize = 64;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A message goes to the subscriptions that the server has when it is published. Without any it is
published to nobody, which is no error: see --wait. With --retain the server keeps it, also when
this program has ended, and later subscriptions receive it first.

Exit codes: 0 done; 1 the message is too long for the server, or it retains no more; 2 the payload is not valid; 4 the
server or the link is lost; 5 no subscription within --wait; 6 the server cannot be reached.")]
pub(crate) struct Options {
    #[command(flatten)]
    server: ServerArgs,
    /// The whole topic, or a pattern
    #[arg(value_name = "TOPIC")]
    topic: Pattern,
    /// `-` publishes each line of the standard input
    #[arg(value_name = "-", value_parser = ["-"], group = "payload")]
    lines: Option<String>,
    #[command(flatten)]
    payload: PayloadArgs,
    /// The lines of the standard input are JSON values
    #[arg(long, requires = "lines")]
    json_lines: bool,
    /// Retains the message: it replaces the retained message of its topic
    #[arg(long)]
    retain: bool,
    /// Retains the message for this time
    #[arg(long, value_name = "TIME", value_parser = duration)]
    retain_for: Option<Duration>,
    /// Removes the retained message of the topic, and publishes nothing
    #[arg(long, conflicts_with_all = ["payload", "retain", "retain_for", "repeat", "wait"])]
    unretain: bool,
    /// Publishes the message so many times
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "lines")]
    repeat: u64,
    /// Publishes so many messages a second at most
    #[arg(long, value_name = "R")]
    rate: Option<Rate>,
    /// Waits for slow subscriptions before each message, so long at most; then they miss it
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1s")]
    patience: Duration,
    /// Waits for a subscription, so long at most
    #[arg(long, value_name = "TIME", value_parser = duration)]
    wait: Option<Duration>,
}

/// What a subscription that is only asked for its answer may receive.
const NO_CREDIT: Credit = Credit {
    messages: 0,
    bytes: 0,
};

/// A line of the standard input, or its end.
type Line = Result<Option<Vec<u8>>, io::Error>;

pub(crate) fn run(options: &Options, is_json: bool) -> Result<(), Error> {
    // A payload that is not valid is found before connecting.
    let payload = options.payload.payload()?;
    if payload.is_none() && options.lines.is_none() && !options.unretain {
        return Err(Error::usage(
            "what is to be published? --text, --json-payload, --file, or - for lines",
        ));
    }
    let retained = options.retained_topic()?;
    let mut link: Link<Line> = options.server.open()?;
    if retained.is_some() && link.hello.features & FEATURE_REPLICATE == 0 {
        return Err(Error::new(Exit::Refused, "the server retains no messages"));
    }
    if let Some(time) = options.wait {
        wait_for_subscription(&mut link, options, Instant::now() + time)?;
    }
    let mut publisher = Publisher {
        options,
        retained,
        link,
        lines: VecDeque::new(),
        next: Instant::now(),
        published: 0,
        sent: 0,
        missed: 0,
    };
    match payload {
        Some(payload) => {
            for _ in 0..options.repeat {
                publisher.publish(payload.clone())?;
            }
        }
        None if options.unretain => publisher.unretain()?,
        None => publisher.publish_lines()?,
    }
    publisher.finish(is_json)
}

fn wait_for_subscription(
    link: &mut Link<Line>,
    options: &Options,
    deadline: Instant,
) -> Result<(), Error> {
    while link.known.interested(&options.topic).is_empty() {
        if let Step::Deadline = link.next(Some(deadline))? {
            let text = format!("nobody has subscribed to {} in time", options.topic);
            return Err(Error::new(Exit::TimedOut, text));
        }
    }
    Ok(())
}

impl Options {
    /// Returns the topic of which a message is retained or removed, if that is asked for.
    fn retained_topic(&self) -> Result<Option<Topic>, Error> {
        if !self.retain && !self.unretain && self.retain_for.is_none() {
            return Ok(None);
        }
        let Some(topic) = self.topic.as_topic() else {
            let text = "a message is retained on a topic, not on a pattern";
            return Err(Error::usage(text));
        };
        Ok(Some(topic.clone()))
    }
}

struct Publisher<'a> {
    options: &'a Options,
    /// The topic, if its message is to be retained or removed.
    retained: Option<Topic>,
    link: Link<Line>,
    lines: VecDeque<Line>,
    /// When the next message may be published.
    next: Instant,
    published: u64,
    /// Messages to subscriptions: sent, and missed for want of credit.
    sent: u64,
    missed: u64,
}

impl Publisher<'_> {
    fn publish(&mut self, payload: Payload) -> Result<(), Error> {
        let bytes = payload.bytes.len() as u64;
        let patience = self.next.max(Instant::now()) + self.options.patience;
        // The socket is read, too: subscriptions change, and credit comes.
        loop {
            match self.link.try_next()? {
                Some(Step::Input(line)) => self.lines.push_back(line),
                Some(_) => {}
                None if self.next > Instant::now() => self.link.pause(self.next),
                None if self.link.session.buffered() > MAX_QUEUED => {
                    self.link.pause(Instant::now() + CLOSE);
                }
                None if self.has_credit(bytes) || patience <= Instant::now() => break,
                None => self.link.pause(patience),
            }
        }
        if let Some(Rate(interval)) = self.options.rate {
            self.next += interval;
        }
        let to = self.link.known.interested(&self.options.topic);
        let Payload { codec, bytes } = payload;
        self.published += 1;
        if let Some(topic) = &self.retained {
            // A time beyond the clock is none.
            let end = |time| Instant::now().checked_add(time);
            let mut replica = Replica::new(topic.clone(), codec, bytes);
            replica.expires_at = self.options.retain_for.and_then(end);
            self.link.session.replicate(replica)?;
            self.link.flush();
            return Ok(());
        }
        let publication = Publication::new(self.options.topic.clone(), codec, bytes);
        match self.link.session.publish(&publication, &to) {
            Ok(sent) => {
                self.sent += sent as u64;
                self.missed += (to.len() - sent) as u64;
            }
            Err(error) => return Err(error.into()),
        }
        self.link.flush();
        Ok(())
    }

    /// Removes the retained message.
    fn unretain(&mut self) -> Result<(), Error> {
        if let Some(topic) = self.retained.clone() {
            self.link.session.replicate(Replica::removal(topic))?;
        }
        Ok(())
    }

    /// Waits until the server has what it is to retain.
    fn await_retained(&mut self) -> Result<(), Error> {
        // The answer to this comes after what it refuses.
        let topic = &self.options.topic;
        let asked = self.link.session.subscribe(topic, NO_CREDIT, false)?;
        let deadline = Instant::now() + CLOSE;
        loop {
            match self.link.next(Some(deadline))? {
                Step::Event(Event::Refused { status, text, .. }) => {
                    if let Some(error) = status_error(topic.as_str(), status, &text) {
                        return Err(error);
                    }
                }
                Step::Event(Event::Subscribed { id, .. }) if id == asked => return Ok(()),
                Step::Deadline => {
                    let text = "the server does not say whether it retains the message";
                    return Err(Error::new(Exit::Lost, text));
                }
                _ => {}
            }
        }
    }

    /// Returns whether no subscription would miss a message.
    fn has_credit(&self, bytes: u64) -> bool {
        if self.retained.is_some() {
            return true; // it needs none
        }
        let to = self.link.known.interested(&self.options.topic);
        let session = &self.link.session;
        to.into_iter().all(|id| session.has_credit(id, bytes))
    }

    fn publish_lines(&mut self) -> Result<(), Error> {
        let read = read_lines(self.link.sender())?;
        loop {
            let line = match self.lines.pop_front() {
                Some(line) => line,
                None => match self.link.next(None)? {
                    Step::Input(line) => line,
                    _ => continue,
                },
            };
            // One more may be read.
            let _ = read.recv();
            let failed = |error| Error::usage(format!("cannot read the standard input: {error}"));
            let Some(line) = line.map_err(failed)? else {
                return Ok(());
            };
            let payload = line_payload(self.options, line)?;
            self.publish(payload)?;
        }
    }

    fn finish(mut self, is_json: bool) -> Result<(), Error> {
        if self.retained.is_some() {
            self.await_retained()?;
        }
        let is_retained = self.retained.is_some();
        self.link.close(CLOSE)?;
        if is_json {
            let (published, sent, missed) = (self.published, self.sent, self.missed);
            let mut result = json!({"published": published, "sent": sent, "missed": missed});
            if is_retained {
                result = json!({"published": published, "retained": !self.options.unretain});
            }
            return print(&result.to_string());
        }
        if self.sent + self.missed == 0 && !is_retained {
            note("published to nobody: the server has no subscription for it");
        }
        if self.missed > 0 {
            note(&format!(
                "{} messages were missed by slow subscriptions",
                self.missed
            ));
        }
        Ok(())
    }
}

fn line_payload(options: &Options, line: Vec<u8>) -> Result<Payload, Error> {
    match String::from_utf8(line) {
        Ok(text) if options.json_lines => Payload::json(&text),
        Ok(text) => Ok(Payload::text(&text, options.payload.codec)),
        Err(_) => Err(Error::usage("a line is not UTF-8")),
    }
}

/// Reads lines in a thread. It waits while [`LINES`] of them are not taken from what is returned.
fn read_lines(sender: Sender<Line>) -> Result<Receiver<()>, Error> {
    let (read, taken) = mpsc::sync_channel(LINES);
    let run = move || {
        let mut stdin = io::stdin().lock();
        loop {
            let line = read_line(&mut stdin);
            let is_last = !matches!(line, Ok(Some(_)));
            if read.send(()).is_err() || !sender.send(line) || is_last {
                break;
            }
        }
    };
    let thread = thread::Builder::new().name("stdin".to_owned()).spawn(run);
    thread.map_err(|error| Error::usage(format!("cannot start a thread: {error}")))?;
    Ok(taken)
}

fn read_line(stdin: &mut impl BufRead) -> Line {
    let mut line = Vec::new();
    stdin.take(MAX_LINE + 1).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.len() as u64 > MAX_LINE {
        return Err(io::Error::other("a line is too long"));
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Ok(Some(line))
}
