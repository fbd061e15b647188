//! Disks that are full or hang, pipes that nobody reads, and programs that end.

mod common;

use std::{
    fs,
    io::{Read, Write},
    os::{fd::OwnedFd, unix::process::ExitStatusExt},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use common::{LONG, Shared, start};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tracing::{dispatcher::with_default, error, info, warn};
use ump_log::{Builder, File, Format, Guard, Sink, StartError};

const SHORT: Duration = Duration::from_millis(20);

/// The numbers of the lines `... n=NUMBER`, and what else there is.
fn numbers(lines: &[String]) -> (Vec<u64>, Vec<&str>) {
    let (mut numbers, mut others) = (Vec::new(), Vec::new());
    for line in lines {
        assert_eq!(line.get(26..28), Some("Z "), "a torn line: {line}");
        match line.rsplit_once(" n=").map(|(_, n)| n.parse()) {
            Some(Ok(n)) => numbers.push(n),
            _ => others.push(line.as_str()),
        }
    }
    (numbers, others)
}

#[test]
fn a_writer_that_hangs_stops_no_caller_and_says_what_was_dropped() {
    let (out, other) = (Shared::default(), Shared::default());
    let builder = Builder::new()
        .sink(Sink::writer(out.clone(), Format::Text).queue_bytes(4096))
        .sink(Sink::writer(other.clone(), Format::Text));
    let (dispatch, guard) = start(builder);
    out.stop(true);
    with_default(&dispatch, || {
        info!(n = 0);
        out.wait_until_blocked();
        for n in 1..1000 {
            info!(n);
        }
        for n in 1000..1003 {
            error!(n);
        }
    });
    let error = guard.flush(SHORT).expect_err("it hangs");
    assert_eq!(error.sinks.len(), 1, "{error}");
    // The other sink has all.
    assert_eq!(numbers(&other.lines()).0, (0..1003).collect::<Vec<_>>());
    let status = guard.status();
    let dropped = status[0].dropped;
    assert!(status[0].queued_bytes <= 4096, "{status:?}");
    assert_eq!((dropped.error, dropped.total()), (0, dropped.info));
    out.stop(false);
    guard.flush(LONG).expect("flushed");
    let lines = out.lines();
    let (written, reports) = numbers(&lines);
    let kept = 1000 - dropped.info;
    let expected: Vec<_> = (0..kept).chain(1000..1003).collect();
    assert_eq!(written, expected);
    // In its place: after the last that had room, before the first error.
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert!(
        lines[usize::try_from(kept).unwrap()]
            .contains(&format!("{} records dropped", dropped.info))
    );
    assert_eq!(guard.status()[0].queued_bytes, 0);
}

#[test]
fn a_full_disk_tears_no_line_and_the_others_are_told() {
    let (out, other) = (Shared::default(), Shared::default());
    let builder = Builder::new()
        .sink(Sink::writer(out.clone(), Format::Text).queue_bytes(64 * 1024))
        .sink(Sink::writer(other.clone(), Format::Text));
    let (dispatch, guard) = start(builder);
    out.room(Some(1000));
    with_default(&dispatch, || {
        for n in 0..100 {
            info!(n);
        }
    });
    let error = guard.flush(LONG).expect_err("it is full");
    assert_eq!(error.sinks[0].name, "writer");
    assert!(guard.status()[0].failure.is_some());
    assert_eq!(out.text().len(), 1000);
    for more in [1, 30, 500] {
        out.room(Some(more));
        guard.flush(LONG).expect_err("it is full again");
    }
    out.room(None);
    guard.flush(LONG).expect("flushed");
    assert_eq!(guard.status()[0].failure, None);
    guard.flush(LONG).expect("what it says of itself");
    let lines = out.lines();
    let (written, reports) = numbers(&lines);
    assert_eq!(written, (0..100).collect::<Vec<_>>());
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert!(
        reports[0].contains("could not be written for"),
        "{reports:?}"
    );
    let lines = other.lines();
    let (written, reports) = numbers(&lines);
    assert_eq!(written.len(), 100);
    assert_eq!(reports.len(), 1, "once for the whole time: {reports:?}");
    assert!(
        reports[0].contains("writer cannot be written: no storage space"),
        "{reports:?}"
    );
}

/// A small file system, or `None` where it cannot be mounted.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(at: &'a Path) -> Option<Self> {
        match mount("tmpfs", at, "tmpfs", MountFlags::empty(), Some(c"size=64k")) {
            Ok(()) => Some(Self(at)),
            Err(error) => {
                eprintln!("skipped: a small disk cannot be mounted here: {error}");
                None
            }
        }
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = unmount(self.0, UnmountFlags::DETACH);
    }
}

#[test]
fn a_disk_that_is_really_full_loses_nothing_that_has_room_in_the_queue() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(_disk) = SmallDisk::mount(folder.path()) else {
        return;
    };
    let (path, filler) = (folder.path().join("a.log"), folder.path().join("filler"));
    let builder = Builder::new()
        .sink(File::new(&path, Format::Text))
        .tail(10, Format::Text);
    let (dispatch, guard) = start(builder);
    let mut file = fs::File::create(&filler).expect("a file");
    while file.write_all(&[0; 4096]).is_ok() {}
    with_default(&dispatch, || {
        for n in 0..2000 {
            info!(n);
        }
        let error = guard.flush(LONG).expect_err("the disk is full");
        assert!(error.to_string().contains("No space left"), "{error}");
        drop(file);
        fs::remove_file(&filler).expect("removed");
        // The records have no room on the whole disk, so some are written. (The space is free a
        // little later if a process that is being started has the file open.)
        while fs::metadata(&path).expect("a log").len() < 60_000 {
            guard.flush(LONG).expect_err("the disk is full again");
        }
    });
    let text = fs::read_to_string(&path).expect("a log");
    let whole: Vec<_> = text
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .map(|line| line.trim_end().to_owned())
        .collect();
    let (written, others) = numbers(&whole);
    assert_eq!(written, (0..written.len() as u64).collect::<Vec<_>>());
    assert!(
        written.len() > 500 && others.is_empty(),
        "{} {others:?}",
        written.len()
    );
}

#[test]
fn dev_full_is_reported() {
    let builder = Builder::new()
        .sink(File::new("/dev/full", Format::Text))
        .tail(10, Format::Text);
    let (dispatch, guard) = start(builder.flush_timeout(LONG));
    with_default(&dispatch, || warn!("no room"));
    let error = guard.flush(LONG).expect_err("full");
    assert!(
        error.to_string().contains("/dev/full (No space left"),
        "{error}"
    );
    let tail = guard.tail().expect("a tail");
    tail.after(1).wait().expect("a report");
    assert!(
        tail.last(1).lines[0]
            .text
            .contains("/dev/full cannot be written")
    );
}

#[test]
fn what_cannot_be_opened_is_an_error_at_the_start() {
    let start = |sink: Sink| match Builder::new()
        .sink(sink)
        .start::<tracing_subscriber::Registry>()
    {
        Err(StartError::Open { path, error }) => (path, error.kind()),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("opened"),
    };
    let (path, kind) = start(File::new("/nowhere/a.log", Format::Text).into());
    assert_eq!(
        (path.to_str(), kind),
        (Some("/nowhere/a.log"), std::io::ErrorKind::NotFound)
    );
    let (path, _) = start(Sink::journald_at("/nowhere/socket", "test"));
    assert_eq!(path.to_str(), Some("/nowhere/socket"));
}

/// Runs a function of this file in a process of its own.
fn in_child(task: &str, path: &Path, stderr: Stdio) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["child", "--exact", "--nocapture"]);
    command
        .env("LOG_TASK", task)
        .env("LOG_PATH", path)
        .stdout(Stdio::null())
        .stderr(stderr);
    command
}

/// What the processes of the tests do.
#[test]
fn child() {
    let Ok(task) = std::env::var("LOG_TASK") else {
        return;
    };
    let path = std::env::var_os("LOG_PATH").expect("a path");
    let file = File::new(path, Format::Text);
    let init = |builder: Builder| -> Guard { builder.init().expect("a log") };
    match &*task {
        "panic" => {
            let guard = init(Builder::new().sink(file));
            guard.install_panic_hook(LONG);
            for n in 0..1000 {
                info!(n);
            }
            std::thread::Builder::new()
                .name("worker".into())
                .spawn(|| {
                    std::panic::set_hook(chain_abort());
                    panic!("out of {}", "luck");
                })
                .expect("a thread")
                .join()
                .expect_err("it panics");
        }
        "unread" => {
            // Nobody reads standard error: it fills, and its thread blocks.
            let guard = init(
                Builder::new()
                    .sink(file)
                    .sink(Sink::stderr(Format::Text).queue_bytes(64 * 1024)),
            );
            for n in 0..20_000 {
                info!(n);
                if n % 1000 == 0 {
                    let _ = guard.flush(Duration::ZERO);
                }
            }
            guard
                .flush(Duration::from_millis(200))
                .expect_err("standard error blocks");
            let _ = std::io::stdout().flush();
            drop(guard);
            std::process::exit(7);
        }
        "hang" => {
            // The file is a pipe that nobody reads: once it is full, writing never ends.
            let guard = init(Builder::new().sink(file).flush_timeout(SHORT));
            guard.install_panic_hook(SHORT);
            for n in 0..10_000 {
                info!(n);
            }
            std::thread::spawn(|| panic!("while the disk hangs"))
                .join()
                .expect_err("it panics");
            drop(guard);
        }
        "exit" => {
            let _guard = init(Builder::new().sink(file));
            for n in 0..1000 {
                info!(n);
            }
        }
        other => panic!("no task {other}"),
    }
}

/// A hook that ends the process after the hook that is there now.
fn chain_abort() -> Box<dyn Fn(&std::panic::PanicHookInfo<'_>) + Send + Sync> {
    let before = std::panic::take_hook();
    Box::new(move |info| {
        before(info);
        std::process::abort();
    })
}

#[test]
fn a_program_that_panics_and_aborts_has_its_last_records_in_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.log");
    let status = in_child("panic", &path, Stdio::null())
        .status()
        .expect("a process");
    assert_eq!(status.signal(), Some(6), "{status}");
    let text = fs::read_to_string(&path).expect("a log");
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    let (written, others) = numbers(&lines);
    assert_eq!(written, (0..1000).collect::<Vec<_>>());
    let last = others.last().expect("the panic");
    assert!(
        last.contains("ERROR panic: out of luck thread=worker location=ump-log/tests/faults.rs:"),
        "{last}"
    );
}

#[test]
fn a_program_that_ends_has_its_last_records_in_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.log");
    assert!(
        in_child("exit", &path, Stdio::null())
            .status()
            .expect("a process")
            .success()
    );
    let text = fs::read_to_string(&path).expect("a log");
    assert_eq!(text.lines().count(), 1000);
}

#[test]
fn a_disk_that_hangs_keeps_no_program_from_ending() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.log");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, mode).expect("a pipe");
    assert!(
        in_child("hang", &path, Stdio::null())
            .status()
            .expect("a process")
            .success()
    );
}

#[test]
fn an_unread_pipe_stops_neither_the_program_nor_its_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.log");
    let (reader, writer): (OwnedFd, OwnedFd) = rustix::pipe::pipe().expect("a pipe");
    let mut process = in_child("unread", &path, Stdio::from(writer))
        .spawn()
        .expect("a process");
    // It ends although nobody reads.
    let status = process.wait().expect("it ends");
    assert_eq!(status.code(), Some(7));
    let text = fs::read_to_string(&path).expect("a log");
    assert_eq!(
        text.lines().filter(|line| line.contains(" n=")).count(),
        20_000
    );
    let mut pipe = String::new();
    fs::File::from(reader)
        .read_to_string(&mut pipe)
        .expect("text");
    assert!(
        pipe.contains(" n=0\n"),
        "it was written until it was full: {} bytes",
        pipe.len()
    );
}
