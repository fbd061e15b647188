//! No example but the first depends on a reader of its output: each is run with standard streams
//! that are closed, full or stuck.

// Only there is a full device, and all of 127.0.0.0/8 is the loopback.
#![cfg(target_os = "linux")]

#[path = "kv/support/http.rs"]
#[allow(dead_code, reason = "the tests of kv use all of it")]
mod http;
mod process;

use std::{
    fs::File,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Command, Stdio},
    sync::atomic::{AtomicU8, Ordering},
    thread,
    time::{Duration, Instant},
};

use process::{Folder, KillOnDrop, program};

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
/// The service over UDP.
const RELAY: &str = "relay";
const GATEWAY: &str = "tcp-gateway";
/// Its client ends by itself, if there is a server.
const ECHO: &str = "udp-echo";
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
    table.extend([SERVICE, GATEWAY, RELAY, ECHO, NEEDS_READER]);
    examples.sort_unstable();
    table.sort_unstable();
    assert_eq!(examples, table);
}

#[test]
fn each_tool_ends_without_readers() {
    thread::scope(|scope| {
        for (name, arguments) in TOOLS {
            for (stdout, stderr) in cases() {
                scope.spawn(move || ends(name, arguments, stdout, stderr));
            }
        }
    });
}

/// A chat between terminals, of which this is the first.
#[test]
fn a_hosting_terminal_ends_without_readers() {
    let arguments = ["--host", "tcp:127.0.0.1:0", "--as", "alice"];
    thread::scope(|scope| {
        for (stdout, stderr) in cases() {
            scope.spawn(move || ends("chat", &arguments, stdout, stderr));
        }
    });
}

#[test]
fn the_echo_client_ends_without_readers() {
    let mut server = process::start(&program(ECHO), &["server", "--listen", "127.0.0.1:0"]);
    let mut stdout = BufReader::new(server.stdout.take().expect("a pipe"));
    let _server = KillOnDrop(server);
    let mut line = String::new();
    stdout.read_line(&mut line).expect("it can be read");
    let address = line.trim_end().strip_prefix("listening on ");
    // All of them together do not fill the buffer of the server's socket.
    let arguments = [
        "client",
        address.expect("an address"),
        "--window",
        "4",
        "--time",
        "4s",
    ];
    thread::scope(|scope| {
        for (stdout, stderr) in cases() {
            scope.spawn(move || ends(ECHO, &arguments, stdout, stderr));
        }
    });
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
        for (stdout, stderr) in cases() {
            scope.spawn(move || serves(stdout, stderr));
        }
    });
}

/// Imports, survives panics of the store, and stops, each of which is logged.
fn serves(stdout: Sink, stderr: Sink) {
    let what = format!("kv with {stdout:?} and {stderr:?}");
    let folder = Folder::new();
    let file = folder.path().join("kv.db");
    let db = file.to_str().expect("a plain path");
    let arguments = ["--chaos", "--db", db];
    let mut service = Server::start(SERVICE, &arguments, stdout, stderr, |address| {
        http::request(address, "GET", "/stats", b"").ok()
    });
    let address = service.address;
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
    service.stop(&what);
    let db = rusqlite::Connection::open(&file).expect("a database");
    let keys = db.query_row("SELECT count(*) FROM kv", [], |row| row.get(0));
    assert_eq!(keys, Ok(1500), "{what}");
}

#[test]
fn the_gateway_works_without_readers() {
    thread::scope(|scope| {
        for (stdout, stderr) in cases() {
            scope.spawn(move || gateway_serves(stdout, stderr));
        }
    });
}

/// Serves, survives a panic of the store, and stops, each of which is logged.
fn gateway_serves(stdout: Sink, stderr: Sink) {
    let what = format!("{GATEWAY} with {stdout:?} and {stderr:?}");
    let arguments = ["--db", ":memory:", "--panic-at", "1"];
    let mut gateway = Server::start(GATEWAY, &arguments, stdout, stderr, |address| {
        TcpStream::connect(address).ok()
    });
    let mut stream = TcpStream::connect(gateway.address).expect("it listens");
    stream
        .write_all(b"SET a x\r\nSET a y\r\nQUIT\r\n")
        .expect("it reads");
    let mut replies = String::new();
    stream.read_to_string(&mut replies).expect("it replies");
    assert!(replies.ends_with("+OK\r\n"), "{what}: {replies}");
    assert!(replies.starts_with("-ERR"), "{what}: {replies}");
    gateway.stop(&what);
}

#[test]
fn the_relay_works_without_readers() {
    thread::scope(|scope| {
        for (stdout, stderr) in cases() {
            scope.spawn(move || relays(stdout, stderr));
        }
    });
}

/// Answers a binding request, and stops.
fn relays(stdout: Sink, stderr: Sink) {
    let what = format!("relay with {stdout:?} and {stderr:?}");
    let client = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let pause = Some(Duration::from_millis(50));
    client.set_read_timeout(pause).expect("it can be set");
    let mut request = [0; 20];
    request[..8].copy_from_slice(&[0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42]);
    let mut response = [0; 512];
    let mut relay = Server::start(RELAY, &[], stdout, stderr, |address| {
        // Before it listens, the system may say so.
        let _ = client.send_to(&request, address);
        client.recv(&mut response).ok()
    });
    assert_eq!(response[..2], [1, 1], "{what}");
    relay.stop(&what);
}

/// An example that listens on a port of its own.
struct Server {
    process: KillOnDrop,
    address: SocketAddr,
    _readers: [Option<UnixStream>; 2],
}

impl Server {
    /// Starts it, and waits until it listens, which `probe` finds out.
    fn start<T>(
        name: &str,
        arguments: &[&str],
        stdout: Sink,
        stderr: Sink,
        mut probe: impl FnMut(SocketAddr) -> Option<T>,
    ) -> Self {
        let what = format!("{name} with {stdout:?} and {stderr:?}");
        let deadline = Instant::now() + TIMEOUT;
        let mut server = Self::spawn(name, arguments, stdout, stderr);
        while probe(server.address).is_none() {
            let end = server.process.0.try_wait().expect("it is our child");
            let waits = end.is_none() && Instant::now() < deadline;
            assert!(waits, "{what} does not listen: {end:?}");
            thread::sleep(Duration::from_millis(10));
        }
        server
    }

    fn spawn(name: &str, arguments: &[&str], stdout: Sink, stderr: Sink) -> Self {
        let (out, reader) = stdout.open();
        let (err, reader_of_errors) = stderr.open();
        let address = unused_address();
        let child = Command::new(program(name))
            .args(["--listen", &address.to_string()])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn();
        Self {
            process: KillOnDrop(child.expect("it starts")),
            address,
            _readers: [reader, reader_of_errors],
        }
    }

    fn stop(&mut self, what: &str) {
        process::signal(self.process.0.id(), "TERM");
        assert_eq!(self.process.wait(what, TIMEOUT).code(), Some(0), "{what}");
    }
}

/// Returns an address that nothing else uses, neither another test nor the system.
///
/// The host is one of the loopback's that only this process takes, and the system gives away no
/// port below 32,768 by itself. A free port of 127.0.0.1 would not do: the system may give it to
/// another socket before the server listens, and a probe takes that one for the server.
fn unused_address() -> SocketAddr {
    static RETURNED: AtomicU8 = AtomicU8::new(0);
    let [.., high, low] = std::process::id().to_be_bytes();
    let last = RETURNED.fetch_add(1, Ordering::Relaxed);
    assert!(last < u8::MAX, "too many servers");
    SocketAddr::from(([127, 64 | high & 63, low, last], 20_000))
}
