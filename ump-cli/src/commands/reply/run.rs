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
    args::Reconnect,
    client::{Link, Step, Stream, status_error},
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
    /// There is another connection.
    Connected(Stream),
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

/// A request whose program runs.
#[derive(Debug)]
struct Running {
    /// The number of the program. Those of requests begin anew on each connection.
    job: u64,
    request: u64,
    codec: Codec,
}

struct Service {
    options: Options,
    /// The fixed reply.
    reply: Option<Payload>,
    link: Link<Input>,
    reconnect: Reconnect,
    claim: u32,
    waiting: VecDeque<Waiting>,
    running: Vec<Running>,
    jobs: Jobs,
    next_job: u64,
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
    let reconnect = Reconnect::new(&options.server, options.loss);
    let mut service = Service {
        options,
        reply,
        link,
        reconnect,
        claim,
        waiting: VecDeque::new(),
        running: Vec::new(),
        jobs: Jobs::default(),
        next_job: 0,
        answered: 0,
        printer,
        unwritten: 0,
        is_json,
    };
    let served = service.serve();
    drop(service.jobs);
    service.printer.finish()?;
    served?;
    service.link.leave();
    Ok(())
}

impl Service {
    fn serve(&mut self) -> Result<(), Error> {
        loop {
            if self
                .options
                .count
                .is_some_and(|count| self.answered >= count)
            {
                return Ok(());
            }
            let step = match self.link.next(None) {
                Ok(step) => step,
                Err(error) => {
                    self.on_loss(error)?;
                    continue;
                }
            };
            match step {
                Step::Event(Event::Served { id, status, text }) if id == self.claim => {
                    self.on_served(status, &text)?;
                }
                Step::Event(Event::Opened { .. }) => self.claim_again()?,
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
                    let jobs = &self.jobs;
                    self.running.retain(|running| {
                        if running.request == request {
                            jobs.kill(running.job);
                        }
                        running.request != request
                    });
                }
                Step::Input(Input::Output(job, output)) => self.on_output(job, output),
                Step::Input(Input::Connected(stream)) => self.link.reopen(stream)?,
                Step::Input(Input::Stop | Input::Printed(Written::Failed)) => return Ok(()),
                Step::Input(Input::Printed(Written::Lines(lines))) => self.unwritten -= lines.len(),
                Step::Event(_) | Step::Told | Step::Deadline => {}
            }
            self.begin();
        }
    }

    /// The requests have ended with the link.
    fn on_loss(&mut self, error: Error) -> Result<(), Error> {
        self.reconnect
            .lost(&mut self.link, error, Input::Connected)?;
        self.waiting.clear();
        for running in self.running.drain(..) {
            self.jobs.kill(running.job);
        }
        Ok(())
    }

    /// Claims the topic on a new connection. The hub may not know that the former one is lost.
    fn claim_again(&mut self) -> Result<(), Error> {
        let session = &mut self.link.session;
        let synced = session.synced();
        match synced.and_then(|()| session.serve(&self.options.topic, true)) {
            Ok(claim) => self.claim = claim,
            Err(rejected) => {
                let error = Error::from(rejected);
                if error.exit != Exit::Lost {
                    return Err(error);
                } // or the end of the connection comes next
            }
        }
        Ok(())
    }

    fn on_served(&mut self, status: Status, text: &str) -> Result<(), Error> {
        let topic = self.options.topic.as_str();
        if let Some(error) = status_error(topic, status, text) {
            return Err(error);
        }
        self.reconnect.succeeded();
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
                    let job = self.next_job;
                    self.next_job += 1;
                    let started = self.jobs.start(
                        job,
                        (command, self.options.topic.as_str()),
                        payload::to_input(codec, &payload),
                        max,
                        move |output| {
                            sender.send(Input::Output(job, output));
                        },
                    );
                    match started {
                        Ok(()) => self.running.push(Running {
                            job,
                            request,
                            codec,
                        }),
                        Err(error) => self.fail(request, &error),
                    }
                }
                (None, None) => {}
            }
        }
    }

    fn on_output(&mut self, job: u64, output: io::Result<Output>) {
        self.jobs.finish(job);
        let Some(index) = self.running.iter().position(|it| it.job == job) else {
            return; // the caller left
        };
        let Running { request, codec, .. } = self.running.swap_remove(index);
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
