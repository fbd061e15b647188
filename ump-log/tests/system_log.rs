//! journald and syslog, by a socket of the test.

mod common;

use std::{collections::HashMap, os::unix::net::UnixDatagram, path::PathBuf, process};

use common::{LONG, logged, start};
use tracing::{debug, dispatcher::with_default, error, info, info_span};
use ump_log::{Builder, Format, Sink};

struct Daemon {
    socket: UnixDatagram,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Daemon {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        Self {
            socket,
            path,
            _folder: folder,
        }
    }

    fn receive(&self) -> Vec<u8> {
        let mut bytes = vec![0; 1 << 20];
        let length = self.socket.recv(&mut bytes).expect("a datagram");
        bytes.truncate(length);
        bytes
    }
}

/// Reads a datagram of journald's protocol.
fn fields(mut bytes: &[u8]) -> HashMap<String, String> {
    let mut fields = HashMap::new();
    while !bytes.is_empty() {
        let end = bytes
            .iter()
            .position(|byte| matches!(byte, b'=' | b'\n'))
            .expect("a name");
        let name = String::from_utf8(bytes[..end].to_vec()).expect("a name");
        let (start, length) = if bytes[end] == b'=' {
            let rest = &bytes[end + 1..];
            (
                end + 1,
                rest.iter().position(|byte| *byte == b'\n').expect("an end"),
            )
        } else {
            let length = bytes[end + 1..end + 9].try_into().expect("a length");
            (
                end + 9,
                usize::try_from(u64::from_le_bytes(length)).expect("a length"),
            )
        };
        let value = String::from_utf8(bytes[start..start + length].to_vec()).expect("UTF-8");
        assert_eq!(bytes[start + length], b'\n');
        assert!(fields.insert(name, value).is_none());
        bytes = &bytes[start + length + 1..];
    }
    fields
}

#[test]
fn journald_gets_fields() {
    let daemon = Daemon::new();
    logged(
        Builder::new().sink(Sink::journald_at(&daemon.path, "shop")),
        |_| {
            let _span = info_span!("request", id = 7).entered();
            error!(target: "orders", { article.name = "green\ntea", count = 3 }, "sold\nout");
        },
    );
    let fields = fields(&daemon.receive());
    let expected = [
        ("PRIORITY", "3"),
        ("SYSLOG_IDENTIFIER", "shop"),
        ("TARGET", "orders"),
        ("MESSAGE", "sold\nout"),
        ("CODE_FILE", file!()),
        ("F_ARTICLE_NAME", "green\ntea"),
        ("F_COUNT", "3"),
        ("SPAN_NAME", "request"),
        ("F_ID", "7"),
    ];
    for (name, value) in expected {
        assert_eq!(fields.get(name).map(String::as_str), Some(value), "{name}");
    }
}

#[test]
fn a_large_record_fits_in_a_datagram() {
    let daemon = Daemon::new();
    logged(
        Builder::new().sink(Sink::journald_at(&daemon.path, "shop")),
        |_| {
            let large = "x".repeat(1_000_000);
            info!(
                a = large,
                b = large,
                c = large,
                d = large,
                e = large,
                f = large,
                g = 1,
                "large"
            );
        },
    );
    let fields = fields(&daemon.receive());
    assert_eq!(fields["F_A"].len(), 32 * 1024);
    let cut: usize = fields["F_UMP_LOG_CUT_BYTES"].parse().expect("a number");
    assert!(cut > 1_000_000, "{cut}");
}

#[test]
fn syslog_gets_a_line() {
    let daemon = Daemon::new();
    let sink = Sink::syslog_at(&daemon.path, "shop", 3);
    logged(Builder::new().filter("debug").sink(sink), |_| {
        debug!(target: "orders", count = 3, "sold\nout");
        error!(target: "orders", large = "é".repeat(10_000));
    });
    let line = String::from_utf8(daemon.receive()).expect("UTF-8");
    assert_eq!(
        line,
        format!("<31>shop[{}]: orders: sold\\nout count=3", process::id())
    );
    let line = String::from_utf8(daemon.receive()).expect("UTF-8");
    assert!(
        line.starts_with("<27>shop[") && line.len() < 8300,
        "{}",
        line.len()
    );
    assert!(line.contains(" ump_log.cut_bytes="), "{}", &line[8100..]);
}

#[test]
fn a_daemon_that_is_started_anew_gets_what_waited() {
    let daemon = Daemon::new();
    let builder = Builder::new()
        .sink(Sink::syslog_at(&daemon.path, "shop", 1))
        .tail(9, Format::Text);
    let (dispatch, guard) = start(builder);
    let receive = |socket: &UnixDatagram| {
        let mut bytes = [0; 1000];
        let length = socket.recv(&mut bytes).expect("a datagram");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    with_default(&dispatch, || info!("one"));
    guard.flush(LONG).expect("flushed");
    assert!(receive(&daemon.socket).ends_with("one"));
    let Daemon { socket, path, .. } = &daemon;
    socket
        .shutdown(std::net::Shutdown::Both)
        .expect("shut down");
    std::fs::remove_file(path).expect("removed");
    with_default(&dispatch, || info!("two"));
    guard.flush(LONG).expect_err("there is no daemon");
    let socket = UnixDatagram::bind(path).expect("a socket");
    guard.flush(LONG).expect("flushed");
    assert!(receive(&socket).ends_with("two"));
}
