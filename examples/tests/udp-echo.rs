//! The server and the client of `udp-echo` as processes, against each other and against peers that
//! misbehave.

#![cfg(unix)]

mod process;

use std::{
    io::{BufRead, BufReader},
    net::{SocketAddr, UdpSocket},
    process::ChildStdout,
    sync::mpsc,
    thread,
    time::Duration,
};

use process::{End, KillOnDrop, program, run, signal, start};

/// Far more than anything here takes.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A running server, and the rest of its output.
struct Server {
    process: KillOnDrop,
    stdout: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Server {
    fn start(listen: &str, arguments: &[&str]) -> Self {
        let arguments = [&["server", "--listen", listen], arguments].concat();
        let mut process = KillOnDrop(start(&program("udp-echo"), &arguments));
        let mut stdout = BufReader::new(process.0.stdout.take().expect("a pipe"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("it can be read");
        let address = line.trim_end().strip_prefix("listening on ");
        let address = address.unwrap_or_else(|| panic!("it says: {line}"));
        Self {
            process,
            stdout,
            address: address.parse().expect("an address"),
        }
    }

    /// Waits for the end, and returns the lines of its output.
    fn end(mut self) -> Vec<String> {
        let status = self.process.wait("the server", TIMEOUT);
        assert_eq!(status.code(), Some(0));
        let lines = self.stdout.lines();
        lines.map(|line| line.expect("it writes UTF-8")).collect()
    }
}

fn client(server: SocketAddr, arguments: &[&str]) -> End {
    let server = server.to_string();
    let arguments = [&["client", &server], arguments].concat();
    run(&program("udp-echo"), &arguments, b"")
}

#[track_caller]
fn assert_contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

/// Sends some datagrams of each size, which all come back.
fn all_come_back(listen: &str) {
    let server = Server::start(listen, &[]);
    for size in ["8", "64", "1400", "65507"] {
        // One at a time, as the system may drop large ones that nobody has received yet.
        let end = client(
            server.address,
            &[
                "--count",
                "200",
                "--window",
                "1",
                "--timeout",
                "60s",
                "--size",
                size,
            ],
        );
        assert_eq!(
            (end.code, end.stderr.as_str()),
            (Some(0), ""),
            "{}",
            end.stdout
        );
        let parts = [
            "200 packets in",
            "came back, 0 lost, 0 not sent, 0 late",
            "p99 ",
        ];
        assert_contains(&end.stdout, &parts);
    }
    signal(server.process.0.id(), "TERM");
    let lines = server.end();
    let summary = lines.last().expect("a summary");
    assert_contains(summary, &["800 packets in", "0 could not be sent"]);
}

#[test]
fn all_come_back_by_ipv4() {
    all_come_back("127.0.0.1:0");
}

#[test]
fn all_come_back_by_ipv6() {
    if UdpSocket::bind("[::1]:0").is_err() {
        println!("skipped: there is no IPv6 here");
        return;
    }
    all_come_back("[::1]:0");
}

#[test]
fn both_print_a_rate_each_second_and_end_in_time() {
    let server = Server::start("127.0.0.1:0", &[]);
    let end = client(server.address, &["--time", "2500ms", "--window", "8"]);
    assert_eq!(
        (end.code, end.stderr.as_str()),
        (Some(0), ""),
        "{}",
        end.stdout
    );
    let lines: Vec<_> = end.stdout.lines().collect();
    assert_contains(lines[0], &["sending 64 bytes to 127.0.0.1:", "8 at a time"]);
    assert_contains(
        lines[1],
        &[
            " s  ",
            " packets/s  ",
            " MB/s  ",
            " lost  latency in µs: p50 ",
            ", max ",
        ],
    );
    signal(server.process.0.id(), "INT");
    let lines = server.end();
    assert_contains(&lines[0], &[" s  ", " packets/s  ", " MB/s"]);
}

#[test]
fn a_signal_ends_the_client_with_a_summary() {
    let server = Server::start("127.0.0.1:0", &[]);
    let address = server.address.to_string();
    let mut child = start(&program("udp-echo"), &["client", &address]);
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut text = String::new();
    while !text.contains("packets/s") {
        assert_ne!(
            stdout.read_line(&mut text).expect("it can be read"),
            0,
            "{text}"
        );
    }
    signal(child.id(), "TERM");
    assert_eq!(
        KillOnDrop(child).wait("the client", TIMEOUT).code(),
        Some(0)
    );
    for line in stdout.lines() {
        text += &line.expect("it writes UTF-8");
    }
    assert_contains(&text, &["came back", "p50"]);
}

#[test]
fn the_server_ends_after_its_count() {
    let server = Server::start("127.0.0.1:0", &["--count", "10"]);
    let end = client(server.address, &["--count", "10"]);
    assert_eq!(end.code, Some(0), "{end:?}");
    assert_contains(server.end().last().expect("a summary"), &["10 packets in"]);
}

#[test]
fn what_the_peer_drops_repeats_and_invents_is_counted() {
    let peer = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = peer.local_addr().expect("it is bound");
    peer.set_read_timeout(Some(TIMEOUT)).expect("it can be set");
    let (done, is_done) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut buffer = [0; 100];
            for number in 0..12_u64 {
                let (length, from) = peer.recv_from(&mut buffer).expect("it comes");
                let (datagram, answer) = (&buffer[..length], |bytes: &[u8]| {
                    peer.send_to(bytes, from).expect("it can be sent");
                });
                match number % 4 {
                    0 => {} // lost
                    1 => (answer(datagram), answer(datagram)).0,
                    2 => (answer(datagram), answer(b"too short")).0,
                    _ => (answer(datagram), answer(&[0xff; 16])).0,
                }
            }
            is_done.recv().expect("the client ends first");
        });
        let flags = [
            "--count",
            "12",
            "--size",
            "16",
            "--window",
            "1",
            "--timeout",
            "2s",
        ];
        let end = client(address, &flags);
        done.send(()).expect("the peer waits");
        assert_eq!(
            (end.code, end.stderr.as_str()),
            (Some(0), ""),
            "{}",
            end.stdout
        );
        let parts = [
            "9 packets in",
            "came back, 3 lost, 0 not sent, 3 late or twice",
            " invalid",
        ];
        assert_contains(&end.stdout, &parts);
    });
}

#[test]
fn a_client_without_a_server_says_so() {
    // It keeps the port, and accepts nothing, as it is connected with itself.
    let kept = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = kept.local_addr().expect("it is bound");
    kept.connect(address).expect("it can be connected");
    let end = client(address, &["--count", "3", "--timeout", "100ms"]);
    assert_eq!(end.code, Some(1), "{end:?}");
    assert_contains(&end.stdout, &["0 packets in", "3 lost", "no answers"]);
    if cfg!(target_os = "linux") {
        assert_contains(
            &end.stderr,
            &["udp-echo: no answer from 127.0.0.1:", "refused"],
        );
        assert_eq!(end.stderr.lines().count(), 1, "{}", end.stderr);
    }
}

#[test]
fn what_cannot_be_is_explained() {
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let end = run(&program("udp-echo"), &["server", "--listen", &address], b"");
    assert_eq!(end.code, Some(1), "{end:?}");
    assert_contains(
        &end.stderr,
        &["udp-echo: cannot bind", &address, "use port 0"],
    );
    for (arguments, reason) in [
        (&["client", "127.0.0.1"][..], "invalid socket address"),
        (&["client", "--size", "7"], "7 is not in 8..=65507"),
        (&["client", "--size", "65508"], "not in 8..=65507"),
        (&["client", "--window", "0"], "not in 1..=65536"),
        (&["client", "--count", "0"], "0"),
        (&["client", "--timeout", "0s"], "must be from 1ms"),
        (&["sever"], "server"),
        (&[], "Usage"),
    ] {
        let end = run(&program("udp-echo"), arguments, b"");
        assert_eq!(end.code, Some(2), "{arguments:?}: {end:?}");
        assert_contains(&end.stderr, &[reason]);
    }
}
