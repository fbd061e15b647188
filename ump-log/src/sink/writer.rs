//! The loop of a sink: takes records from its queue, and writes them.
//!
//! It looks into the queue at intervals while there is something to do. If nothing came for some
//! intervals, it sleeps until it is woken. If writing fails, it keeps what is not written, and
//! tries again after a pause, at the same byte; meanwhile the queue fills and then drops.

use std::{
    io,
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tracing::Level;
use ump::Clock;
use ump_server::{Context, ReplyContext, Timers, thread};

use super::{Sink, pending::Pending};
use crate::{
    ports::{Command, Failure, Progress, Reporter, own_header, own_record},
    queue::{Chunk, Dropped, Item, Queue},
    record::{Encoder, Header, Record},
    suppress,
};

/// How often the queue is looked at.
const INTERVAL: Duration = Duration::from_millis(20);
/// After so many intervals without a record the loop sleeps until it is woken.
const IDLE_INTERVALS: u32 = 10;
/// The pause after the first attempt that failed. Each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Callers that wait for further records; more are refused.
const MOST_WAITERS: usize = 1024;

pub(crate) struct Writer<S> {
    sink: S,
    name: String,
    queue: Arc<Queue>,
    progress: Arc<Mutex<Progress>>,
    reporter: Reporter,
    pending: Pending,
    /// The records that are pending.
    chunk: Option<Chunk>,
    /// Set in `init`.
    timers: Option<(Timers<()>, Clock)>,
    /// A timer will come.
    is_armed: bool,
    idle: u32,
    failing: Option<Failing>,
    waiters: Vec<(u64, ump::ReplyContext<(), Failure>)>,
}

/// Attempts that fail, one after the other.
struct Failing {
    since: Option<Instant>,
    pause: Duration,
    error: Failure,
}

impl<S: Sink> Writer<S> {
    pub(crate) fn new(
        sink: S,
        name: String,
        queue: Arc<Queue>,
        progress: Arc<Mutex<Progress>>,
        reporter: Reporter,
    ) -> Self {
        Self {
            sink,
            name,
            queue,
            progress,
            reporter,
            pending: Pending::default(),
            chunk: None,
            timers: None,
            is_armed: false,
            idle: 0,
            failing: None,
            waiters: Vec::new(),
        }
    }

    /// Writes what is queued by now. Returns whether that was something.
    fn step(&mut self) -> Result<bool, Failure> {
        if self.sink.reopen_is_due() {
            self.reopen()?;
        }
        let count = self.queue.look();
        let is_something = count > 0 || !self.pending.is_written();
        self.write_pending()?;
        for _ in 0..count {
            let Some(chunk) = self.queue.pop() else { break };
            self.format(&chunk);
            self.chunk = Some(chunk);
            self.write_pending()?;
        }
        Ok(is_something)
    }

    fn format(&mut self, chunk: &Chunk) {
        let sink = &mut self.sink;
        let mut micros = self.reporter.calendar.micros();
        for item in chunk.items() {
            match item {
                Item::Record(record) => {
                    micros = record.header.micros;
                    self.pending.add(micros, |out| sink.format(&record, out));
                }
                Item::Dropped(dropped) => {
                    let (header, fields) = report_of(dropped, micros);
                    let (header, fields) = (&header, &*fields);
                    let record = Record { header, fields };
                    self.pending.add(micros, |out| sink.format(&record, out));
                }
            }
        }
    }

    fn write_pending(&mut self) -> Result<(), Failure> {
        while !self.pending.is_written() {
            let (sink, pending) = (&mut self.sink, &self.pending);
            // A writer of the program's may panic.
            match catch_unwind(AssertUnwindSafe(|| sink.write(pending))) {
                Ok(Ok(0)) => return Err("it takes no more bytes".into()),
                Ok(Ok(count)) => {
                    let records = self.pending.advance(count);
                    self.progress.lock().written += records as u64;
                }
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Err(error.to_string()),
                Err(_) => return Err("its writer panicked".into()),
            }
        }
        self.pending.clear();
        if let Some(chunk) = self.chunk.take() {
            self.queue.written(chunk);
        }
        self.answer_waiters();
        Ok(())
    }

    fn reopen(&mut self) -> Result<(), Failure> {
        self.pending.rewind();
        self.sink.reopen().map_err(|error| error.to_string())
    }

    /// Notes how an attempt went, and sees to the next one.
    fn settle(&mut self, attempt: Result<bool, Failure>) -> Result<(), Failure> {
        match attempt {
            Ok(is_something) => {
                if let Some(failing) = self.failing.take() {
                    self.progress.lock().failure = None;
                    self.say_recovered(&failing);
                }
                self.idle = if is_something { 0 } else { self.idle + 1 };
                if self.idle < IDLE_INTERVALS || !self.queue.sleep() {
                    self.arm(INTERVAL);
                }
                Ok(())
            }
            Err(error) => {
                let pause = if let Some(failing) = self.failing.take() {
                    let pause = (failing.pause * 2).min(LONGEST_PAUSE);
                    self.fail(failing.since, pause, &error);
                    pause
                } else {
                    let text = format!("{} cannot be written: {error}", self.name);
                    self.reporter.report(Level::ERROR, &text);
                    self.fail(self.now(), FIRST_PAUSE, &error);
                    FIRST_PAUSE
                };
                self.arm(pause);
                Err(error)
            }
        }
    }

    fn fail(&mut self, since: Option<Instant>, pause: Duration, error: &Failure) {
        let error = error.clone();
        self.progress.lock().failure = Some(error.clone());
        self.failing = Some(Failing {
            since,
            pause,
            error,
        });
    }

    /// Says in this log itself that there was a time without it.
    fn say_recovered(&self, failing: &Failing) {
        let lasted = match (failing.since, self.now()) {
            (Some(since), Some(now)) => now.saturating_duration_since(since),
            _ => Duration::ZERO,
        };
        let lasted = Duration::from_millis(u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX));
        let text = format!(
            "{} could not be written for {}: {}",
            self.name,
            humantime::format_duration(lasted),
            failing.error
        );
        let (header, fields) = own_record(&self.reporter.calendar, Level::WARN, &text);
        // The timer that is armed next finds it.
        let _ = self.queue.push(header, &fields);
    }

    fn now(&self) -> Option<Instant> {
        self.timers.as_ref().map(|(_, clock)| clock.now())
    }

    fn arm(&mut self, delay: Duration) {
        if let Some((timers, _)) = self.timers.as_ref().filter(|_| !self.is_armed) {
            timers.once(delay, ());
            self.is_armed = true;
        }
    }

    fn answer_waiters(&mut self) {
        if self.waiters.is_empty() {
            return;
        }
        let written = self.progress.lock().written;
        for (_, waiter) in self.waiters.extract_if_written(written) {
            let _ = waiter.reply(());
        }
    }
}

trait ExtractWritten: Sized {
    /// Removes and returns the waiters for no more than `written` records, and forgets those that
    /// left.
    fn extract_if_written(&mut self, written: u64) -> Self;
}

impl ExtractWritten for Vec<(u64, ump::ReplyContext<(), Failure>)> {
    fn extract_if_written(&mut self, written: u64) -> Self {
        self.retain(|(_, waiter)| !waiter.is_cancelled());
        let (ready, rest) = std::mem::take(self)
            .into_iter()
            .partition(|(count, _)| *count < written);
        *self = rest;
        ready
    }
}

impl<S: Sink> thread::Service for Writer<S> {
    type Request = Command;
    type Reply = ();
    type Error = Failure;
    type Output = ();
    type Timer = ();

    fn init(&mut self, cx: &Context<Command, (), Failure, ()>) {
        suppress::this_thread();
        self.timers = Some((cx.timers(), cx.clock()));
    }

    fn handle(
        &mut self,
        command: Command,
        reply: ReplyContext<'_, (), Failure>,
    ) -> ControlFlow<()> {
        let outcome = match command {
            Command::Look if self.failing.is_some() => Ok(()), // the timer tries again
            Command::Look | Command::Flush => {
                let attempt = self.step();
                self.settle(attempt)
            }
            Command::Reopen => {
                let attempt = self.reopen().and_then(|()| self.step());
                self.settle(attempt)
            }
            Command::Exceeds(count) => {
                self.waiters.retain(|(_, waiter)| !waiter.is_cancelled());
                if count >= self.progress.lock().written {
                    if self.waiters.len() < MOST_WAITERS {
                        self.waiters.push((count, reply.detach()));
                    } else {
                        let _ = reply.fail("too many callers wait".into());
                    }
                    return ControlFlow::Continue(());
                }
                Ok(())
            }
        };
        let _ = reply.answer(outcome);
        ControlFlow::Continue(())
    }

    fn on_timer(&mut self, (): ()) -> ControlFlow<()> {
        self.is_armed = false;
        let attempt = self.step();
        let _ = self.settle(attempt);
        ControlFlow::Continue(())
    }

    fn term(&mut self, output: Option<()>) -> Option<()> {
        let _ = self.step();
        output
    }
}

/// Returns the record that says what is missing.
fn report_of(dropped: &Dropped, micros: u64) -> (Header, Vec<u8>) {
    let mut fields = Vec::new();
    let mut encoder = Encoder::new(&mut fields, usize::MAX);
    let total = dropped.total();
    let records = if total == 1 { "record" } else { "records" };
    encoder.text("message", &format!("{total} {records} dropped"));
    let levels = [
        ("error", dropped.error),
        ("warn", dropped.warn),
        ("info", dropped.info),
        ("debug", dropped.debug),
        ("trace", dropped.trace),
    ];
    for (name, count) in levels.into_iter().filter(|(_, count)| *count > 0) {
        encoder.number(name, count);
    }
    (own_header(micros, Level::WARN), fields)
}
