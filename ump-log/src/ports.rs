//! The sinks as the threads see them that make records, and what a sink has to say about itself.

use std::{
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use parking_lot::Mutex;
use tracing::{Level, level_filters::LevelFilter};
use ump::Client;

use crate::{
    queue::Queue,
    record::{Encoder, Header},
    suppress,
    time::Calendar,
};

/// What the thread of a sink is asked.
#[derive(Debug)]
pub(crate) enum Command {
    /// There are records.
    Look,
    /// Write all records that were made before.
    Flush,
    Reopen,
    /// Reply when more than so many records are written.
    Exceeds(u64),
}

/// Why records are not written: the text of the error.
pub(crate) type Failure = String;

/// The way to a sink.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) name: String,
    pub(crate) level: LevelFilter,
    pub(crate) queue: Arc<Queue>,
    pub(crate) client: Client<Command, (), Failure>,
    pub(crate) progress: Arc<Mutex<Progress>>,
    /// It only keeps records in memory.
    pub(crate) is_tail: bool,
}

/// How far a sink is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    pub(crate) written: u64,
    pub(crate) failure: Option<Failure>,
}

impl Port {
    /// Hands a record to the sink. Never waits for it.
    #[inline]
    pub(crate) fn push(&self, header: Header, fields: &[u8]) {
        if header.level <= self.level && self.queue.push(header, fields) {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        // If the loop has ended, nobody writes: the queue drops when it is full.
        suppress::during(|| drop(self.client.post(Command::Look).if_room().wait()));
    }
}

/// All sinks.
pub(crate) type Ports = Vec<Port>;

/// Says something in the logs of the other sinks, or on standard error if there are none.
#[derive(Clone, Debug)]
pub(crate) struct Reporter {
    /// Set when all sinks are started. Weak, as a sink would keep the others alive.
    pub(crate) ports: Arc<OnceLock<Weak<Ports>>>,
    /// The index of the sink that reports, which gets no report.
    pub(crate) from: Option<usize>,
    pub(crate) calendar: Calendar,
}

/// A thread that writes to standard error is enough: it blocks if nobody reads.
static REPORTS_ON_STDERR: AtomicBool = AtomicBool::new(false);

impl Reporter {
    pub(crate) fn report(&self, level: Level, text: &str) {
        let Some(ports) = self.ports.get().and_then(Weak::upgrade) else {
            return on_stderr(text);
        };
        let (header, fields) = own_record(&self.calendar, level, text);
        let mut is_shown = false;
        for (n, port) in ports.iter().enumerate() {
            if Some(n) != self.from {
                port.push(header, &fields);
                is_shown |= !port.is_tail;
            }
        }
        if !is_shown {
            on_stderr(text);
        }
    }
}

/// Returns a record of this crate.
pub(crate) fn own_record(calendar: &Calendar, level: Level, text: &str) -> (Header, Vec<u8>) {
    let mut fields = Vec::new();
    Encoder::new(&mut fields, usize::MAX).text("message", text);
    (own_header(calendar.micros(), level), fields)
}

pub(crate) fn own_header(micros: u64, level: Level) -> Header {
    Header {
        micros,
        level,
        target: env!("CARGO_CRATE_NAME"),
        file: None,
        line: None,
    }
}

fn on_stderr(text: &str) {
    // ORDERING: pairs with nothing: only one thread gets `false`.
    if REPORTS_ON_STDERR.swap(true, Ordering::Relaxed) {
        return;
    }
    let text = format!("ump-log: {text}");
    let spawned = thread::Builder::new()
        .name("log-report".into())
        .spawn(move || {
            eprintln!("{text}");
            // ORDERING: pairs with nothing, as above.
            REPORTS_ON_STDERR.store(false, Ordering::Relaxed);
        });
    if spawned.is_err() {
        // ORDERING: pairs with nothing, as above.
        REPORTS_ON_STDERR.store(false, Ordering::Relaxed);
    }
}
