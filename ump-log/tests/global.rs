//! With a log that is global, so that its own threads have it as well.

mod common;

use std::{fmt, sync::LazyLock};

use common::{LONG, Shared};
use tracing::{info, info_span};
use ump_log::{Builder, Format, Guard, Sink, StartError};

fn global() -> &'static (Shared, Guard) {
    static GLOBAL: LazyLock<(Shared, Guard)> = LazyLock::new(|| {
        let out = Shared::default();
        let builder = Builder::new().sink(Sink::writer(Recursive(out.clone()), Format::Text));
        let guard = builder.init().expect("the first global subscriber");
        (out, guard)
    });
    &GLOBAL
}

/// Makes a record while it is formatted.
struct Talkative;

impl fmt::Debug for Talkative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        info!(inner = true, "within");
        f.write_str("done")
    }
}

#[test]
fn a_record_within_a_record_loses_neither() {
    let out = global().0.clone();
    info!(value = ?Talkative, "around");
    global().1.flush(LONG).expect("flushed");
    let lines = out.lines();
    let has = |text: &str| lines.iter().any(|line| line.ends_with(text));
    assert!(has("within inner=true"), "{lines:?}");
    assert!(has("around value=done"), "{lines:?}");
}

/// Makes a record while the log is written.
struct Recursive(Shared);

impl std::io::Write for Recursive {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _span = info_span!("writing").entered();
        info!("a record of the writer");
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn records_of_the_writers_thread_are_not_logged() {
    let (out, guard) = global();
    info!("first");
    for _ in 0..3 {
        guard.flush(LONG).expect("flushed");
    }
    assert_eq!(out.text().matches("first").count(), 1);
    assert!(
        !out.text().contains("a record of the writer"),
        "{}",
        out.text()
    );
}

#[test]
fn there_is_one_global_subscriber() {
    let _ = global();
    assert!(matches!(Builder::new().init(), Err(StartError::Subscriber)));
}
