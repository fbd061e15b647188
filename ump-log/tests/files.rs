//! Rotation, compression, the limit of all files, and names that others change.

mod common;

use std::{fs, io, path::Path, sync::Barrier, thread, time::Duration};

use common::{LONG, bytes_of_files, files, logged, start};
use rustix::process::{Pid, Signal, getpid, kill_process};
use tracing::{dispatcher::with_default, info};
use ump::Clock;
use ump_log::{Builder, File, Format, StartError};
use ump_server::TestClock;

const HOUR: Duration = Duration::from_secs(3600);

fn in_folder(folder: &Path) -> File {
    File::new(folder.join("a.log"), Format::Text)
}

/// Waits until all rotated files are compressed.
fn wait_for_compression(folder: &Path) {
    let is_plain = |entry: io::Result<fs::DirEntry>| {
        let path = entry.expect("an entry").path();
        !path.ends_with("a.log") && path.extension().is_none_or(|found| found != "gz")
    };
    while fs::read_dir(folder).expect("a folder").any(is_plain) {
        Clock::system().wait_until(std::time::Instant::now() + Duration::from_millis(5));
    }
}

#[test]
fn eight_threads_rotate_by_size_and_each_record_is_there_once_in_order() {
    const THREADS: usize = 8;
    const RECORDS: usize = 5_000;
    let folder = tempfile::tempdir().expect("a folder");
    let file = in_folder(folder.path()).rotate_bytes(64 * 1024).compress();
    let (dispatch, guard) =
        start(Builder::new().sink(ump_log::Sink::from(file).queue_bytes(256 << 20)));
    let barrier = Barrier::new(THREADS);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (dispatch, barrier) = (&dispatch, &barrier);
            scope.spawn(move || {
                barrier.wait();
                with_default(dispatch, || {
                    for n in 0..RECORDS {
                        info!(thread, n);
                    }
                });
            });
        }
    });
    guard.flush(LONG).expect("flushed");
    wait_for_compression(folder.path());
    let files = files(folder.path(), "a.log");
    assert!(files.len() > 20, "{}", files.len());
    let mut next = [0; THREADS];
    for (name, text) in &files {
        assert!(text.len() <= 64 * 1024 && text.ends_with('\n'), "{name}");
        assert!(
            text.len() > 60 * 1024 || name == "a.log",
            "{name} was rotated early"
        );
        for line in text.lines() {
            let (_, fields) = line.split_once("thread=").expect("a thread");
            let (thread, n) = fields.split_once(" n=").expect("a number");
            let thread: usize = thread.parse().expect("a number");
            assert_eq!(n.parse(), Ok(next[thread]), "thread {thread} in {name}");
            next[thread] += 1;
        }
    }
    assert_eq!(next, [RECORDS; THREADS]);
}

#[test]
fn a_period_begins_a_file_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = TestClock::new();
    let file = in_folder(folder.path()).rotate_every(HOUR);
    let (dispatch, guard) = start(Builder::new().sink(file).test_clock(&clock));
    with_default(&dispatch, || {
        for n in 0..4 {
            info!(n, part = 1);
            info!(n, part = 2);
            guard.flush(LONG).expect("flushed");
            // None for the third: nothing was written in that hour.
            clock.advance(if n == 1 { 2 * HOUR } else { HOUR });
        }
    });
    let files = files(folder.path(), "a.log");
    let lines: Vec<_> = files.iter().map(|(_, text)| text.lines().count()).collect();
    assert_eq!(lines, [2, 2, 2, 2], "{files:?}");
    for (n, (_, text)) in files.iter().enumerate() {
        assert!(
            text.lines().all(|line| line.contains(&format!(" n={n} "))),
            "{text}"
        );
    }
}

#[test]
fn the_limit_of_all_files_is_kept() {
    const CAP: u64 = 64 * 1024;
    let folder = tempfile::tempdir().expect("a folder");
    for compress in [false, true] {
        let mut file = in_folder(folder.path())
            .rotate_bytes(8 * 1024)
            .cap_bytes(CAP);
        if compress {
            file = file.compress();
        }
        logged(Builder::new().sink(file), |log| {
            for n in 0..10_000 {
                info!(n, "some text, so that files are rotated");
                if n % 50 == 0 {
                    log.flush(LONG).expect("flushed");
                    let bytes = bytes_of_files(folder.path());
                    assert!(bytes <= CAP, "{bytes}");
                }
            }
        });
    }
    wait_for_compression(folder.path());
    let files = files(folder.path(), "a.log");
    let last = files
        .last()
        .expect("a file")
        .1
        .lines()
        .last()
        .expect("a line");
    assert!(last.ends_with("n=9999"), "{last}");
    assert!(
        files.len() > 4,
        "no more is deleted than must be: {}",
        files.len()
    );
}

#[test]
fn a_lower_limit_is_kept_from_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    for day in 1..9 {
        let name = format!("a.log.2020010{day}T000000Z.0000");
        fs::write(folder.path().join(name), [b'x'; 1000]).expect("a file");
    }
    let file = in_folder(folder.path()).rotate_bytes(1000).cap_bytes(4000);
    let (_dispatch, _guard) = start(Builder::new().sink(file));
    let files = files(folder.path(), "a.log");
    let names: Vec<_> = files
        .iter()
        .map(|(name, _)| name.get(6..14).unwrap_or_default())
        .collect();
    assert_eq!(names, ["20200106", "20200107", "20200108", ""]);
}

#[test]
fn a_limit_that_cannot_be_kept_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let start = |file: File| {
        Builder::new()
            .sink(file)
            .start::<tracing_subscriber::Registry>()
            .map(drop)
    };
    let file = || in_folder(folder.path()).rotate_bytes(100);
    assert!(matches!(
        start(file().cap_bytes(199)),
        Err(StartError::Cap {
            cap: 199,
            least: 200,
            ..
        })
    ));
    assert!(matches!(
        start(file().compress().cap_bytes(200)),
        Err(StartError::Cap { least: 300, .. })
    ));
    assert!(matches!(
        start(in_folder(folder.path()).cap_bytes(1 << 40)),
        Err(StartError::Cap { .. })
    ));
    assert!(matches!(
        start(file().rotate_bytes(0)),
        Err(StartError::Zero(_))
    ));
    assert!(matches!(
        start(file().rotate_every(Duration::ZERO)),
        Err(StartError::Zero(_))
    ));
    assert!(start(file().compress().cap_bytes(300)).is_ok());
}

#[test]
fn a_record_larger_than_a_file_has_one_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = in_folder(folder.path()).rotate_bytes(1000);
    logged(Builder::new().sink(file), |_| {
        info!("before");
        info!(large = "x".repeat(5000));
        info!("after");
    });
    let lines: Vec<_> = files(folder.path(), "a.log")
        .iter()
        .map(|(_, text)| text.lines().count())
        .collect();
    assert_eq!(lines, [1, 1, 1]);
}

#[test]
fn a_run_continues_the_files_of_the_one_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.log");
    // It was killed within a record, and while it compressed.
    fs::write(&path, "2026-01-01 half a rec").expect("a file");
    let rotated = folder.path().join("a.log.20200101T000000Z.0000");
    fs::write(&rotated, "old\n").expect("a file");
    fs::write(rotated.with_extension("0000.gz.partial"), "half").expect("a file");
    logged(
        Builder::new().sink(in_folder(folder.path()).compress()),
        |_| info!("new"),
    );
    wait_for_compression(folder.path());
    let files = files(folder.path(), "a.log");
    assert_eq!(
        files[0],
        (
            "a.log.20200101T000000Z.0000.gz".to_owned(),
            "old\n".to_owned()
        )
    );
    let lines: Vec<_> = files[1].1.lines().collect();
    assert_eq!((lines.len(), lines[0]), (2, "2026-01-01 half a rec"));
}

#[test]
fn files_have_the_mode_that_was_chosen() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    logged(
        Builder::new().sink(in_folder(folder.path()).mode(0o600)),
        |_| info!("x"),
    );
    let metadata = fs::metadata(folder.path().join("a.log")).expect("a file");
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_hangup_after_a_rename_opens_the_file_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, renamed) = (folder.path().join("a.log"), folder.path().join("a.log.1"));
    let builder = Builder::new()
        .sink(in_folder(folder.path()))
        .reopen_on_hangup();
    logged(builder, |log| {
        info!("one");
        log.flush(LONG).expect("flushed");
        fs::rename(&path, &renamed).expect("renamed");
        info!("two"); // until the signal the old file is written
        log.flush(LONG).expect("flushed");
        let this: Pid = getpid();
        kill_process(this, Signal::HUP).expect("a signal");
        // The signal may be delivered on another thread, a little later.
        while !path.exists() {
            info!("three");
            log.flush(LONG).expect("flushed");
        }
        fs::rename(&path, folder.path().join("a.log.2")).expect("renamed");
        log.reopen(LONG).expect("opened");
        info!("four");
    });
    let old = fs::read_to_string(&renamed).expect("a file");
    assert!(old.contains("one") && old.contains("two"), "{old}");
    let between = fs::read_to_string(folder.path().join("a.log.2")).expect("a file");
    assert!(
        between.contains("three") && !between.contains("two"),
        "{between}"
    );
    let new = fs::read_to_string(&path).expect("a file");
    assert!(new.contains("four") && new.lines().count() == 1, "{new}");
}
