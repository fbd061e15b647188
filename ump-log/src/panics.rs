//! The panic hook: makes a record of a panic, and waits until it is written.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    panic::{self, PanicHookInfo},
    thread,
};

use crate::suppress;

/// Adds a hook. `flush` waits until the record is written.
pub(crate) fn install(flush: impl Fn() + Send + Sync + 'static) {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        // On a thread that writes the log there is nobody to wait for.
        if !suppress::is_suppressed() {
            log(info);
            flush();
        }
        before(info);
    }));
}

fn log(info: &PanicHookInfo<'_>) {
    let payload = info.payload();
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a text");
    let thread = thread::current();
    let thread = thread.name().unwrap_or("<unnamed>");
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        tracing::error!(target: "panic", thread, location, %backtrace, "{message}");
    } else {
        tracing::error!(target: "panic", thread, location, "{message}");
    }
}
