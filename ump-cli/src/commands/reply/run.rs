//! The loop of `ump reply`.

use std::{collections::VecDeque, io, process::ExitStatus, time::Instant};

use serde_json::{Map, Value as Json};
use ump::Executed;
use ump_router::{
    Bytes, Topic,
    link::{
        session::Event,
        wire::{Codec, Failure, Limits, Status},
    },
};

use super::{
    Options,
    jobs::{Jobs, Output},
};
use crate::{
    client::{Link, Step, status_error},
    exit::{Error, Exit},
    output::{Printer, Written, note},
    payload::{self, Payload},
    signals,
};

/// So many lines wait for a reader of the output. Further ones are left out.
const MAX_LINES: usize = 1024;

/// What other threads tell the loop.
#[derive(Debug)]
enum Input {
    /// A program has ended.
    Output(u64, io::Result<Output>),
    /// Lines were written.
    Printed(Written<()>),
    /// The command is to end.
    Stop,
}

/// A request that was not taken yet.
#[derive(Debug)]
struct Waiting {
    request: u64,
    codec: Codec,
    payload: Bytes,
}

struct Service {
    options: Options,
    /// The fixed reply.
    reply: Option<Payload>,
    link: Link<Input>,
    waiting: VecDeque<Waiting>,
    /// The codecs of requests whose programs run.
    running: Vec<(u64, Codec)>,
    jobs: Jobs,
    answered: u64,
    printer: Printer<()>,
    /// Lines that are not written.
    unwritten: usize,
    is_json: bool,
}

pub(crate) fn run(options: Options, is_json: bool) -> Result<(), Error> {
    let reply = options.payload.payload()?;
    if reply.is_none() && options.exec.is_none() {
        return Err(Error::usage(
            "what is the reply? --text, --json-payload, --file or --exec",
        ));
    }
    let mut link: Link<Input> = options.server.open()?;
    let sender = link.sender();
    signals::on_stop(move || {
        sender.send(Input::Stop);
    })?;
    let sender = link.sender();
    let printer = Printer::start(move |written| {
        sender.send(Input::Printed(written));
    })?;
    let claim = link.session.serve(&options.topic, options.stand_by)?;
    let mut service = Service {
        options,
        reply,
        link,
        waiting: VecDeque::new(),
        running: Vec::new(),
        jobs: Jobs::default(),
        answered: 0,
        printer,
        unwritten: 0,
        is_json,
    };
    let served = service.serve_claim(claim);
    drop(service.jobs);
    service.printer.finish()?;
    served?;
    service.link.leave();
    Ok(())
}

impl Service {
    fn serve_claim(&mut self, claim: u32) -> Result<(), Error> {
        loop {
            if self
                .options
                .count
                .is_some_and(|count| self.answered >= count)
            {
                return Ok(());
            }
            match self.link.next(None)? {
                Step::Event(Event::Served { id, status, text }) if id == claim => {
                    self.on_served(status, &text)?;
                }
                Step::Event(Event::Request {
                    request,
                    topic,
                    codec,
                    payload,
                    ..
                }) => {
                    self.print(&topic, codec, &payload);
                    self.waiting.push_back(Waiting {
                        request,
                        codec,
                        payload,
                    });
                }
                Step::Event(Event::Withdrawn { request }) => {
                    self.waiting.retain(|waiting| waiting.request != request);
                    self.running.retain(|(running, _)| *running != request);
                    self.jobs.kill(request);
                }
                Step::Input(Input::Output(request, output)) => self.on_output(request, output),
                Step::Input(Input::Stop | Input::Printed(Written::Failed)) => return Ok(()),
                Step::Input(Input::Printed(Written::Lines(lines))) => self.unwritten -= lines.len(),
                Step::Event(_) | Step::Told | Step::Deadline => {}
            }
            self.begin();
        }
    }

    fn on_served(&self, status: Status, text: &str) -> Result<(), Error> {
        let topic = self.options.topic.as_str();
        if let Some(error) = status_error(topic, status, text) {
            return Err(error);
        }
        if !self.options.quiet {
            let verb = if status == Status::StandingBy {
                "stands by for"
            } else {
                "serves"
            };
            note(&format!(
                "{verb} {topic} on {}",
                self.options.server.address
            ));
        }
        Ok(())
    }

    /// Prints a request.
    fn print(&mut self, topic: &Topic, codec: Codec, payload: &Bytes) {
        if self.unwritten >= MAX_LINES {
            return;
        }
        self.unwritten += 1;
        let line = if self.is_json {
            let mut object = Map::new();
            object.insert("topic".to_owned(), Json::from(topic.as_str()));
            payload::fields(&mut object, codec, payload);
            Json::Object(object).to_string()
        } else {
            payload::one_line(&format!("{topic} {}", payload::line(codec, payload)))
        };
        self.printer.line(line, ());
    }

    /// Takes requests that wait, and executes them.
    fn begin(&mut self) {
        while self.jobs.len() < self.options.jobs as usize {
            let Some(next) = self.waiting.pop_front() else {
                return;
            };
            let Waiting {
                request,
                codec,
                payload,
            } = next;
            if !self.link.session.take(Instant::now(), request) {
                continue; // nobody waits for it
            }
            match (&self.reply, &self.options.exec) {
                (Some(reply), _) => {
                    // The caller may have left.
                    let _ = self
                        .link
                        .session
                        .reply(request, reply.codec, Ok(&reply.bytes));
                    self.answered += 1;
                }
                (None, Some(command)) => {
                    let sender = self.link.sender();
                    // The limit of the hub may be any.
                    let frame = self.link.hello.limits.frame.min(Limits::default().frame);
                    let max = u64::from(frame) + 1; // a line end is left out
                    let started = self.jobs.start(
                        request,
                        (command, self.options.topic.as_str()),
                        payload::to_input(codec, &payload),
                        max,
                        move |output| {
                            sender.send(Input::Output(request, output));
                        },
                    );
                    match started {
                        Ok(()) => self.running.push((request, codec)),
                        Err(error) => self.fail(request, &error),
                    }
                }
                (None, None) => {}
            }
        }
    }

    fn on_output(&mut self, request: u64, output: io::Result<Output>) {
        self.jobs.finish(request);
        let Some(index) = self.running.iter().position(|it| it.0 == request) else {
            return; // the caller left
        };
        let (_, codec) = self.running.swap_remove(index);
        let output = match output {
            Ok(output) => output,
            Err(error) => return self.fail(request, &error),
        };
        if output.is_too_long {
            let text = "the output of the command is too long";
            return self.end(request, Failure::TooLarge, Executed::Yes, text);
        }
        let payload = if output.status.success() {
            payload::from_output(codec, self.options.json_output, output.stdout)
        } else {
            Err(Error::new(
                Exit::Refused,
                reason(output.status, &output.stderr),
            ))
        };
        let session = &mut self.link.session;
        // The caller may have left, or gets the failure that the reply is too long.
        let _ = match payload {
            Ok(Payload { codec, bytes }) => session.reply(request, codec, Ok(&bytes)),
            Err(error) => {
                let refusal = Payload::text(&error.text, None);
                session.reply(request, refusal.codec, Err(&refusal.bytes))
            }
        };
        self.answered += 1;
    }

    /// Ends a request whose program could not be run.
    fn fail(&mut self, request: u64, error: &io::Error) {
        let text = format!("the command cannot be run: {error}");
        self.end(request, Failure::NoReply, Executed::No, &text);
    }

    /// Ends a request without a reply.
    fn end(&mut self, request: u64, failure: Failure, executed: Executed, text: &str) {
        note(text);
        // The caller may have left.
        let session = &mut self.link.session;
        let _ = session.fail(request, failure, executed, text);
        self.answered += 1;
    }
}

/// Why a program has refused: what it wrote to its standard error, or else how it ended.
fn reason(status: ExitStatus, stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let text = text.trim_end();
    if text.is_empty() {
        format!("the command failed: {status}")
    } else {
        text.to_owned()
    }
}
