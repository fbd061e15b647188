//! What a program does with its log while it runs, and at its end.

use std::{
    fmt,
    ops::Deref,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tracing_subscriber::EnvFilter;
use ump::{RequestError, WaitReply};

use crate::{
    error::{FilterError, FlushError, Unwritten},
    panics,
    ports::{Command, Failure, Port, Ports},
    queue::Dropped,
    sink::tail::Tail,
};

/// Controls a log. Clones control the same.
#[derive(Clone)]
pub struct LogHandle {
    pub(crate) ports: Arc<Ports>,
    pub(crate) filter: Arc<Filter>,
    pub(crate) tail: Option<Tail>,
}

/// The filter, and the way to replace it in the layer.
pub(crate) struct Filter {
    pub(crate) text: Mutex<String>,
    pub(crate) replace: Box<dyn Fn(EnvFilter) -> Result<(), FilterError> + Send + Sync>,
}

/// The state of a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SinkStatus {
    /// The path of a file, or the kind of the sink, such as `stderr`.
    pub name: String,
    /// Records that were written, those of the log about itself included.
    pub written: u64,
    /// Records that found no room in the queue.
    pub dropped: Dropped,
    /// Bytes of records that are not yet written: at most those of the queue.
    pub queued_bytes: usize,
    /// Why writing fails at present.
    pub failure: Option<String>,
}

impl LogHandle {
    /// Replaces the filter: from now on it decides which records are made. `directives` is a list
    /// such as `info,shop::orders=debug,[request{id=7}]=trace`: see [`EnvFilter`].
    ///
    /// This looks at each place in the program that makes records, and may take some milliseconds.
    ///
    /// # Errors
    /// [`FilterError`]; then the filter stays.
    pub fn set_filter(&self, directives: &str) -> Result<(), FilterError> {
        let filter = parse_filter(directives)?;
        let mut text = self.filter.text.lock();
        (self.filter.replace)(filter)?;
        directives.clone_into(&mut text);
        Ok(())
    }

    /// Returns the filter as it was set last.
    #[must_use]
    pub fn filter(&self) -> String {
        self.filter.text.lock().clone()
    }

    /// Waits until all records that were made before are handed to the operating system, at most
    /// for `timeout`. (This is not `fsync`: records survive the end of the program, but not that
    /// of the machine.)
    ///
    /// # Errors
    /// [`FlushError`]: a sink fails, or is not ready in time. Its records stay in its queue. A sink
    /// that fails is not waited for.
    pub fn flush(&self, timeout: Duration) -> Result<(), FlushError> {
        self.ask_all(timeout, || Command::Flush)
    }

    /// Opens files and sockets anew, by name, after they were renamed or deleted by another
    /// program, at most for `timeout`. Writes what is queued before.
    ///
    /// # Errors
    /// As of [`flush`](Self::flush).
    pub fn reopen(&self, timeout: Duration) -> Result<(), FlushError> {
        self.ask_all(timeout, || Command::Reopen)
    }

    /// Returns the last records, if the builder was given [a tail](crate::Builder::tail).
    #[must_use]
    pub fn tail(&self) -> Option<Tail> {
        self.tail.clone()
    }

    /// Returns the state of each sink, in the order of the builder. Never waits for a sink.
    #[must_use]
    pub fn status(&self) -> Vec<SinkStatus> {
        let status = |port: &Port| {
            let progress = port.progress.lock().clone();
            SinkStatus {
                name: port.name.clone(),
                written: progress.written,
                failure: progress.failure,
                dropped: port.queue.dropped(),
                queued_bytes: port.queue.used(),
            }
        };
        self.ports.iter().map(status).collect()
    }

    /// Adds a panic hook: each panic becomes a record of the level `ERROR` and the target `panic`,
    /// and the panicking thread waits until it is written, at most for `timeout`. Then the hook
    /// runs that was there before, which by default writes to standard error, and may block there.
    ///
    /// The record has the message, the name of the thread and the place; with `RUST_BACKTRACE` set,
    /// a backtrace.
    pub fn install_panic_hook(&self, timeout: Duration) {
        let handle = self.clone();
        // Nobody is left who could be told.
        panics::install(move || drop(handle.flush(timeout)));
    }

    /// Asks all sinks at once, and waits for each.
    fn ask_all(&self, timeout: Duration, command: impl Fn() -> Command) -> Result<(), FlushError> {
        let deadline = |port: &Port| {
            let now: Instant = port.client.clock().now();
            now.checked_add(timeout).unwrap_or(now)
        };
        let ask = |port: &Port| -> Result<Asked, String> {
            let Port { client, .. } = port;
            let request = client.request(command()).deadline(deadline(port));
            request.submit().wait().map_err(|error| error.to_string())
        };
        let asked: Vec<_> = self.ports.iter().map(|port| (port, ask(port))).collect();
        let mut sinks = Vec::new();
        for (port, asked) in asked {
            let outcome = asked.and_then(|reply| match reply.wait() {
                Ok(()) => Ok(()),
                Err(RequestError::App(cause)) => Err(cause),
                Err(error) => Err(error.to_string()),
            });
            if let Err(cause) = outcome {
                let name = port.name.clone();
                sinks.push(Unwritten { name, cause });
            }
        }
        if sinks.is_empty() {
            Ok(())
        } else {
            Err(FlushError { sinks })
        }
    }
}

type Asked = WaitReply<(), Failure, RequestError<Command, Failure>>;

pub(crate) fn parse_filter(directives: &str) -> Result<EnvFilter, FilterError> {
    let parsed = EnvFilter::builder().parse(directives);
    parsed.map_err(|error| FilterError::Syntax(error.to_string()))
}

impl fmt::Debug for LogHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogHandle")
            .field("filter", &self.filter())
            .finish_non_exhaustive()
    }
}

/// Flushes the log when it is dropped: keep it until the end of `main`.
///
/// Dropped, it waits until all records that were made before are written, at most for the time that
/// [the builder](crate::Builder::flush_timeout) was given, by default two seconds. If the process
/// ends by [`std::process::exit`], or is killed, the last 20 ms may be lost: call
/// [`flush`](LogHandle::flush) before the former.
///
/// It dereferences to the [`LogHandle`]. The log goes on after it: records are written as long as
/// the subscriber lives.
#[derive(Debug)]
#[must_use = "dropped at once, it does not flush the log at the end of the program"]
pub struct Guard {
    pub(crate) handle: LogHandle,
    pub(crate) timeout: Duration,
}

impl Guard {
    /// Returns a handle that can be cloned, and kept elsewhere.
    #[must_use]
    pub fn handle(&self) -> LogHandle {
        self.handle.clone()
    }
}

impl Deref for Guard {
    type Target = LogHandle;

    fn deref(&self) -> &LogHandle {
        &self.handle
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Nobody is left who could be told; a sink that fails has said so.
        let _ = self.handle.flush(self.timeout);
    }
}
