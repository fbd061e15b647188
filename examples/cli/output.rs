//! Output that never blocks a program for long, whatever becomes of its readers.
//!
//! | | the reader is slow or stopped | there is no reader, or no space |
//! |---|---|---|
//! | [`log!`](crate::log!), [`status`]: the standard error | lines are dropped, and counted later | lines are dropped |
//! | [`progress`]: the standard output | the same | the same |
//! | [`print`]: results on the standard output | waits for up to [`WRITE_TIMEOUT`], then an error | an error |
//!
//! Each stream has its own thread that writes, so no other thread can block on a write or fail in
//! it. A panic is reported in the same way: [`log_panics`] replaces the hook of the standard
//! library, which writes to the standard error by itself.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io::{self, Write},
    panic,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

/// How long [`print()`] waits for a reader that reads nothing.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long [`flush`] waits for the last lines to be read.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// How many texts are queued for a stream.
const QUEUE_LENGTH: usize = 1024;

/// The longest line of the log, in bytes: so the queue is bounded in bytes too.
const MAX_LINE: usize = 4096;

/// How often a full queue is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);

/// Writes a line to the standard error. Never blocks and never fails.
#[macro_export]
macro_rules! log {
    ($($argument:tt)*) => { $crate::log(format!($($argument)*)) };
}

/// Writes a line to the standard error, as the macro [`log!`](crate::log!) does.
pub fn log(line: impl Into<String>) {
    stderr().try_write(line.into(), "\n");
}

/// Writes a text to the standard error without a line end, for a status line on a terminal.
pub fn status(text: impl Into<String>) {
    stderr().try_write(text.into(), "");
}

/// Writes a line to the standard output, or drops it if the reader is too slow.
pub fn progress(line: impl Into<String>) {
    stdout().try_write(line.into(), "\n");
}

/// Writes a text to the standard output, and waits until it is written.
///
/// # Errors
///
/// Returns an error if the standard output is closed or full, or if its reader has read nothing for
/// [`WRITE_TIMEOUT`].
pub fn print(text: impl Into<String>) -> Result<(), String> {
    stdout()
        .write(text.into(), WRITE_TIMEOUT)
        .map_err(|e| format!("cannot write to the standard output: {e}"))
}

/// Waits until the queued lines are written, for a second at most.
pub fn flush() {
    // If it fails, the reader misses lines, as it may at any time.
    let _ = stderr().write(String::new(), FLUSH_TIMEOUT);
    let _ = stdout().write(String::new(), FLUSH_TIMEOUT);
}

/// Replaces the panic hook by one that writes to the log.
pub(crate) fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let thread = thread::current();
        let backtrace = Backtrace::capture();
        let backtrace = match backtrace.status() {
            BacktraceStatus::Captured => format!("\n{backtrace}"),
            _ => String::new(),
        };
        let name = thread.name().unwrap_or("<unnamed>");
        log(format!("thread '{name}' {panic}{backtrace}"));
    }));
}

/// Flushes at the end of the program, also when it panics.
pub(crate) struct FlushWhenDropped;

impl Drop for FlushWhenDropped {
    fn drop(&mut self) {
        flush();
    }
}

fn stdout() -> &'static Writer {
    static STDOUT: OnceLock<Writer> = OnceLock::new();
    STDOUT.get_or_init(|| Writer::start("stdout", io::stdout))
}

fn stderr() -> &'static Writer {
    static STDERR: OnceLock<Writer> = OnceLock::new();
    STDERR.get_or_init(|| Writer::start("stderr", io::stderr))
}

/// The queue of a thread that writes to one stream.
struct Writer {
    texts: SyncSender<Text>,
    /// Counts the lines dropped since the last one that was written.
    dropped: Arc<AtomicU64>,
}

struct Text {
    text: String,
    /// Receives the result of the write.
    written: Option<SyncSender<io::Result<()>>>,
}

impl Writer {
    fn start<W: Write + 'static>(name: &str, open: fn() -> W) -> Self {
        let (sender, texts) = sync_channel(QUEUE_LENGTH);
        let dropped = Arc::<AtomicU64>::default();
        let lost = Arc::clone(&dropped);
        // Without a thread nothing is written, and `print` returns an error.
        let _ = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || write_all(&mut open(), &texts, &lost));
        Self {
            texts: sender,
            dropped,
        }
    }

    /// Queues the line, or drops it if the queue is full.
    fn try_write(&self, mut line: String, end: &str) {
        let cut = (0..=MAX_LINE.min(line.len()))
            .rev()
            .find(|&at| line.is_char_boundary(at));
        line.truncate(cut.unwrap_or(0));
        line.push_str(end);
        let text = Text {
            text: line,
            written: None,
        };
        if self.texts.try_send(text).is_err() {
            // ORDERING: pairs with nothing; a count.
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until the queue has room, and then until the text is written.
    fn write(&self, text: String, timeout: Duration) -> io::Result<()> {
        let deadline = Instant::now() + timeout;
        let unread = || io::Error::new(io::ErrorKind::TimedOut, "nobody reads it");
        let (sender, written) = sync_channel(1);
        let mut text = Text {
            text,
            written: Some(sender),
        };
        loop {
            match self.texts.try_send(text) {
                Ok(()) => break,
                Err(TrySendError::Disconnected(_)) => {
                    return Err(io::Error::other("the writing thread could not start"));
                }
                Err(TrySendError::Full(back)) => text = back,
            }
            if Instant::now() >= deadline {
                return Err(unread());
            }
            thread::sleep(RETRY_INTERVAL);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        written.recv_timeout(left).unwrap_or_else(|_| Err(unread()))
    }
}

fn write_all(out: &mut impl Write, texts: &Receiver<Text>, dropped: &AtomicU64) {
    while let Ok(Text { text, written }) = texts.recv() {
        let result = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        // ORDERING: pairs with nothing; a count.
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let note = writeln!(out, "({lost} lines were dropped here, as nobody read them)");
            if note.and_then(|()| out.flush()).is_err() {
                // ORDERING: pairs with nothing; a count.
                dropped.fetch_add(lost, Ordering::Relaxed);
            }
        }
        if let Some(written) = written {
            // The program may have timed out.
            let _ = written.send(result);
        }
    }
}
