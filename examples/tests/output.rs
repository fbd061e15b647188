//! No example but the first depends on a reader of its output: each is run with standard streams
//! that are closed, full or stuck.

#![cfg(unix)]

#[path = "kv/support/http.rs"]
#[allow(dead_code, reason = "the tests of kv use all of it")]
mod http;
mod process;

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    net::{SocketAddr, TcpListener},
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use process::{KillOnDrop, program};

/// Far more than anything here takes.
const TIMEOUT: Duration = Duration::from_secs(90);

/// The examples that end by themselves, with their arguments.
const TOOLS: [(&str, &[&str]); 4] = [
    ("quickstart", &[]),
    ("control-plane", &[]),
    ("chat", &[]),
    ("soak", &["1s"]),
];
const SERVICE: &str = "kv";
/// The first program, which prints with `println!` and so needs a reader: see the README.
const NEEDS_READER: &str = "store";

/// The other end of a standard stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sink {
    /// Accepts everything.
    Null,
    /// A pipe without a reader.
    Gone,
    /// A full disk.
    Full,
    /// A full pipe that is not read.
    Stuck,
}

const BAD: [Sink; 3] = [Sink::Gone, Sink::Full, Sink::Stuck];

impl Sink {
    /// Opens the stream, and returns its reader if there is one.
    fn open(self) -> (Stdio, Option<UnixStream>) {
        let (mut ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        match self {
            Self::Null => (Stdio::null(), None),
            Self::Gone => {
                drop(theirs);
                (Stdio::from(OwnedFd::from(ours)), None)
            }
            Self::Full => {
                let full = File::options().write(true).open("/dev/full");
                (Stdio::from(full.expect("it is there")), None)
            }
            Self::Stuck => {
                ours.set_nonblocking(true).expect("it can be set");
                for chunk in [&[b'x'; 4096][..], b"x"] {
                    while ours.write(chunk).is_ok() {}
                }
                let error = ours.write(b"x").expect_err("it is full");
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                ours.set_nonblocking(false).expect("it can be set");
                (Stdio::from(OwnedFd::from(ours)), Some(theirs))
            }
        }
    }
}

/// Returns all pairs in which one stream or both are bad.
fn cases() -> impl Iterator<Item = (Sink, Sink)> {
    let bad = BAD.into_iter();
    bad.flat_map(|bad| [(Sink::Null, bad), (bad, Sink::Null), (bad, bad)])
}

#[test]
fn every_example_is_in_the_table() {
    let manifest = include_str!("../Cargo.toml");
    let examples = manifest.split("[[example]]").skip(1).map(|section| {
        let name = section
            .lines()
            .find_map(|line| line.strip_prefix("name = "));
        name.expect("an example has a name").trim_matches('"')
    });
    let mut examples: Vec<_> = examples.collect();
    let mut table: Vec<_> = TOOLS.iter().map(|(name, _)| *name).collect();
    table.extend([SERVICE, NEEDS_READER]);
    examples.sort_unstable();
    table.sort_unstable();
    assert_eq!(examples, table);
}

#[test]
fn each_tool_ends_without_readers() {
    for (name, arguments) in TOOLS {
        thread::scope(|scope| {
            for (stdout, stderr) in cases() {
                scope.spawn(move || ends(name, arguments, stdout, stderr));
            }
        });
    }
}

/// Checks the exit code: 0 if the standard output accepted everything, otherwise 1.
fn ends(name: &str, arguments: &[&str], stdout: Sink, stderr: Sink) {
    let what = format!("{name} with {stdout:?} and {stderr:?}");
    let (out, _reader) = stdout.open();
    let (err, _reader_of_errors) = stderr.open();
    let child = Command::new(program(name))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .spawn();
    let code = KillOnDrop(child.expect("it starts"))
        .wait(&what, TIMEOUT)
        .code();
    let expected = i32::from(stdout != Sink::Null);
    assert_eq!(code, Some(expected), "{what}");
}

#[test]
fn the_service_works_without_readers() {
    thread::scope(|scope| {
        for (number, (stdout, stderr)) in cases().enumerate() {
            scope.spawn(move || serves(number, stdout, stderr));
        }
    });
}

/// Imports, survives panics of the store, and stops, each of which is logged.
fn serves(number: usize, stdout: Sink, stderr: Sink) {
    let what = format!("kv with {stdout:?} and {stderr:?}");
    let file = format!("output-{}-{number}.db", std::process::id());
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
    let (out, _reader) = stdout.open();
    let (err, _reader_of_errors) = stderr.open();
    let address = free_address();
    let child = Command::new(program(SERVICE))
        .args(["--chaos", "--listen", &address.to_string(), "--db"])
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .spawn();
    let mut service = KillOnDrop(child.expect("it starts"));
    let deadline = Instant::now() + TIMEOUT;
    while http::request(address, "GET", "/stats", b"").is_err() {
        assert!(Instant::now() < deadline, "{what} does not listen");
        thread::sleep(Duration::from_millis(10));
    }
    let ask = |method: &str, path: &str, body: &[u8]| {
        let answer = http::request(address, method, path, body);
        answer.unwrap_or_else(|e| panic!("{what}: {e}")).status
    };
    for n in 0..1500 {
        let line = format!("{{\"key\":\"k{n}\",\"value\":\"v\"}}");
        assert_eq!(ask("POST", "/import", line.as_bytes()), 200, "{what}");
        if n % 500 == 0 {
            assert_eq!(ask("POST", "/debug/crash", b""), 500, "{what}");
            assert_eq!(ask("POST", "/import", b"nonsense"), 400, "{what}");
        }
    }
    process::signal(service.0.id(), "TERM");
    assert_eq!(service.wait(&what, TIMEOUT).code(), Some(0), "{what}");
    let db = rusqlite::Connection::open(&file).expect("a database");
    let keys = db.query_row("SELECT count(*) FROM kv", [], |row| row.get(0));
    assert_eq!(keys, Ok(1500), "{what}");
    for suffix in ["", "-lock", "-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{suffix}", file.display()));
    }
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address")
}
