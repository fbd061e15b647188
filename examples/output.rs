//! How the programs here write: nobody has to read what they say.
//!
//! | | the reader is slow, or stopped | there is no reader, or no space |
//! |---|---|---|
//! | [`log!`], [`status`]: lines on the standard error | lines are dropped, and their number is written later | lines are dropped |
//! | [`progress`]: lines on the standard output | the same | the same |
//! | [`say`]: what the standard output is for | waits for the reader, at most [`PATIENCE`], then an error | an error |
//!
//! One thread for each of the two writes, so no other thread can block on a write or fail in it. A panic is reported by the same way:
//! [`run`] replaces the hook of the standard library, which writes to the standard error by itself.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io::{self, Write},
    panic,
    process::ExitCode,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

/// How long [`say`] waits for a reader who takes nothing.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How long the end of the program waits for the lines of the log to be read.
const LAST_LINES: Duration = Duration::from_secs(1);

/// How many texts wait for the reader; further ones are dropped, or wait.
const BACKLOG: usize = 1024;

/// Longer lines of the log are cut, so that the backlog is bounded in bytes too.
const MAX_LINE: usize = 4096;

/// How often a full backlog is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Writes a line to the standard error. It never waits and never fails.
#[macro_export]
macro_rules! log {
    ($($argument:tt)*) => { $crate::log(format!($($argument)*)) };
}

/// Writes a line to the standard error, as the macro [`log!`] does.
pub fn log(line: impl Into<String>) {
    stderr().offer(line.into(), "\n");
}

/// Writes a text to the standard error as it is, without an end of line: what a terminal shows while one waits.
pub fn status(text: impl Into<String>) {
    stderr().offer(text.into(), "");
}

/// Writes a line to the standard output, unless its reader is too slow.
pub fn progress(line: impl Into<String>) {
    stdout().offer(line.into(), "\n");
}

/// Writes a text to the standard output, and waits until it is written.
///
/// # Errors
///
/// The standard output is closed, or takes nothing more, or nobody has read it for [`PATIENCE`].
pub fn say(text: impl Into<String>) -> Result<(), String> {
    stdout()
        .deliver(text.into(), PATIENCE)
        .map_err(|e| format!("cannot write to the standard output: {e}"))
}

/// Waits until the lines of the log are written, for a moment at most.
pub fn flush() {
    // An error is the reader's loss.
    let _ = stderr().deliver(String::new(), LAST_LINES);
    let _ = stdout().deliver(String::new(), LAST_LINES);
}

/// Runs a program, which returns whether all went well: its error and its panics are lines of the log.
pub fn run(name: &str, program: impl FnOnce() -> Result<bool, String>) -> ExitCode {
    panic::set_hook(Box::new(|panic| {
        let thread = thread::current();
        let backtrace = Backtrace::capture();
        let backtrace = match backtrace.status() {
            BacktraceStatus::Captured => format!("\n{backtrace}"),
            _ => String::new(),
        };
        log!(
            "thread '{}' {panic}{backtrace}",
            thread.name().unwrap_or("<unnamed>")
        );
    }));
    let _flush = FlushWhenDropped;
    match program() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            log!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Also when the program panics.
struct FlushWhenDropped;

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

/// The texts that a thread of their own writes.
struct Writer {
    texts: SyncSender<Text>,
    /// Since the last one that was not dropped.
    dropped: Arc<AtomicU64>,
}

struct Text {
    text: String,
    /// Receives how the write ended.
    written: Option<SyncSender<io::Result<()>>>,
}

impl Writer {
    fn start<W: Write + 'static>(name: &str, open: fn() -> W) -> Self {
        let (sender, texts) = sync_channel(BACKLOG);
        let dropped = Arc::<AtomicU64>::default();
        let lost = Arc::clone(&dropped);
        // Without a thread nothing is written, and `say` returns an error.
        let _ = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || write_all(&mut open(), &texts, &lost));
        Self {
            texts: sender,
            dropped,
        }
    }

    /// Drops the line if there is no room for it.
    fn offer(&self, mut line: String, end: &str) {
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
            // ORDERING: a count only; it pairs with nothing.
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits for room, and then until it is written.
    fn deliver(&self, text: String, patience: Duration) -> io::Result<()> {
        let deadline = Instant::now() + patience;
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
                    return Err(io::Error::other("there is no thread to do it"));
                }
                Err(TrySendError::Full(back)) => text = back,
            }
            if Instant::now() >= deadline {
                return Err(unread());
            }
            thread::sleep(LOOK_AGAIN);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        written.recv_timeout(left).unwrap_or_else(|_| Err(unread()))
    }
}

fn write_all(out: &mut impl Write, texts: &Receiver<Text>, dropped: &AtomicU64) {
    while let Ok(Text { text, written }) = texts.recv() {
        let result = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        // ORDERING: a count only; it pairs with nothing.
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let told = writeln!(out, "({lost} lines were dropped here, as nobody read them)");
            if told.and_then(|()| out.flush()).is_err() {
                dropped.fetch_add(lost, Ordering::Relaxed);
            }
        }
        if let Some(written) = written {
            // The program may have given up.
            let _ = written.send(result);
        }
    }
}
