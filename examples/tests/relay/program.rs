//! The program, over real sockets: with the client of coturn, with a thousand allocations, and
//! killed.

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, UdpSocket},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    process::{KillOnDrop, program, signal},
    stun::{
        Class, Integrity, Key, Message, Method, PasswordAlgorithm, TransactionId, Writer,
        attribute::Attribute,
    },
};

/// Far more than anything here takes.
const TIMEOUT: Duration = Duration::from_secs(90);

/// The server, with a console.
struct Relay {
    process: KillOnDrop,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Relay {
    fn start(arguments: &[&str]) -> Self {
        let child = Command::new(program("relay"))
            .args(["--user", "alice:secret", "--console"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut process = KillOnDrop(child.expect("it starts"));
        let stdin = process.0.stdin.take().expect("a pipe");
        let stdout = process.0.stdout.take().expect("a pipe");
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        stdout.read_line(&mut line).expect("it can be read");
        let address = line.trim().strip_prefix("listening on ");
        let address = address.unwrap_or_else(|| panic!("{line:?}"));
        Self {
            process,
            stdin,
            stdout,
            address: address.parse().expect("an address"),
        }
    }

    /// Executes a command whose answer is one line.
    fn execute(&mut self, command: &str) -> String {
        writeln!(self.stdin, "{command}").expect("it reads");
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("it answers");
        line.trim().to_owned()
    }

    /// Returns the numbers of allocations and of relayed sockets of its only worker.
    fn counts(&mut self) -> (usize, usize) {
        let line = self.execute("workers");
        let numbers = line.split(|c: char| !c.is_ascii_digit());
        let numbers: Vec<usize> = numbers.filter_map(|it| it.parse().ok()).collect();
        match numbers[..] {
            [0, allocations, sockets] => (allocations, sockets),
            _ => panic!("{line:?}"),
        }
    }

    fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.process.0.id());
        fs::read_dir(folder).map_or(0, Iterator::count)
    }

    /// Waits until something is so.
    fn wait_until(&mut self, what: &str, is_so: impl Fn(&mut Self) -> bool) {
        let deadline = Instant::now() + TIMEOUT;
        while !is_so(self) {
            assert!(Instant::now() < deadline, "not within a minute: {what}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn terminate(mut self) {
        signal(self.process.0.id(), "TERM");
        let status = self.process.wait("the relay", TIMEOUT);
        assert_eq!(status.code(), Some(0));
    }
}

/// A client with a socket of its own.
struct Client {
    socket: UdpSocket,
    key: Key,
    nonce: Option<Vec<u8>>,
    transactions: u8,
}

impl Client {
    fn new(server: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.connect(server).expect("an address");
        let pause = Some(Duration::from_millis(500));
        socket.set_read_timeout(pause).expect("it can be set");
        Self {
            socket,
            key: Key::long_term(PasswordAlgorithm::Md5, "alice", "relay", "secret"),
            nonce: None,
            transactions: 0,
        }
    }

    /// Sends a request until it is answered. Returns the code of the error, or zero.
    fn exchange(&mut self, method: Method, attributes: &[(Attribute, &[u8])]) -> u16 {
        self.transactions += 1;
        let transaction = TransactionId([self.transactions; 12]);
        let mut request = Writer::new(method, Class::Request, transaction);
        for (kind, value) in attributes {
            request = request.attribute(*kind, value);
        }
        if let Some(nonce) = &self.nonce {
            request = request
                .attribute(Attribute::USERNAME, b"alice")
                .attribute(Attribute::REALM, b"relay")
                .attribute(Attribute::NONCE, nonce)
                .integrity(Integrity::Sha1, &self.key);
        }
        let request = request.finish_with_fingerprint();
        let mut buffer = [0; 2_048];
        for _ in 0..20 {
            self.socket.send(&request).expect("it can be sent");
            let Ok(length) = self.socket.recv(&mut buffer) else {
                continue;
            };
            let response = Message::parse(&buffer[..length]).expect("a message");
            if response.transaction != transaction {
                continue;
            }
            if let Some(nonce) = response.get(Attribute::NONCE) {
                self.nonce = Some(nonce.to_vec());
            }
            return match response.get(Attribute::ERROR_CODE) {
                Some(code) => u16::from(code[2]) * 100 + u16::from(code[3]),
                None => 0,
            };
        }
        panic!("no response");
    }

    fn allocate(&mut self) -> u16 {
        let udp: (Attribute, &[u8]) = (Attribute::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
        assert_eq!(self.exchange(Method::ALLOCATE, &[udp]), 401);
        self.exchange(Method::ALLOCATE, &[udp])
    }
}

/// Returns where a program of Debian is, or says that the test is skipped.
fn installed(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|folder| folder.join(name));
    let found = found.into_iter().find(|file| file.is_file());
    if found.is_none() {
        println!("skipped: {name} is not installed");
    }
    found
}

/// Runs the client of coturn against the server. Returns what it prints.
fn run_client(client: &PathBuf, server: SocketAddr, arguments: &[&str]) -> String {
    let child = Command::new(client)
        .args(["-u", "alice", "-w", "secret", "-c", "-n", "20", "-z", "5"])
        .args(arguments)
        .args(["-p", &server.port().to_string()])
        .arg(server.ip().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = KillOnDrop(child.expect("it starts"));
    let output = read_in_background(&mut child.0);
    let status = child.wait("turnutils_uclient", TIMEOUT);
    let output = output.join().expect("it is read");
    assert!(status.success(), "{status}: {output}");
    output
}

fn read_in_background(child: &mut Child) -> thread::JoinHandle<String> {
    let stdout = child.stdout.take().expect("a pipe");
    thread::spawn(move || {
        let lines = BufReader::new(stdout).lines().map_while(Result::ok);
        lines.collect::<Vec<_>>().join("\n")
    })
}

#[test]
fn the_client_of_coturn_talks_to_itself() {
    let Some(client) = installed("turnutils_uclient") else {
        return;
    };
    // By channels, then by indications; with long data, and with more requests.
    let arguments = [
        &["-y", "-m", "4"][..],
        &["-y", "-m", "4", "-s"],
        &["-y", "-m", "2", "-l", "1000"],
        &["-y", "-m", "2", "-G"],
    ];
    for (workers, runs) in [("1", &arguments[..1]), ("3", &arguments[..])] {
        let relay = Relay::start(&[
            "--listen",
            "127.0.0.1:0",
            "--allow-loopback-peers",
            "--workers",
            workers,
        ]);
        for arguments in runs {
            let output = run_client(&client, relay.address, arguments);
            assert!(
                output.contains("Total lost packets 0 "),
                "{arguments:?}: {output}"
            );
        }
        relay.terminate();
    }
}

#[test]
fn the_client_of_coturn_talks_over_ipv6() {
    let Some(client) = installed("turnutils_uclient") else {
        return;
    };
    if UdpSocket::bind("[::1]:0").is_err() {
        println!("skipped: there is no IPv6 here");
        return;
    }
    let relay = Relay::start(&["--listen", "[::1]:0", "--allow-loopback-peers"]);
    let output = run_client(&client, relay.address, &["-y", "-m", "2", "-x"]);
    assert!(output.contains("Total lost packets 0 "), "{output}");
    relay.terminate();
}

#[test]
fn the_client_of_coturn_talks_to_an_echo() {
    let (Some(client), Some(peer)) = (installed("turnutils_uclient"), installed("turnutils_peer"))
    else {
        return;
    };
    // No other test has a socket on this address, which could take the port.
    let free = UdpSocket::bind("127.0.0.5:0").and_then(|it| it.local_addr());
    let port = free.expect("a free port").port().to_string();
    let peer = Command::new(peer)
        .args(["-L", "127.0.0.5", "-p", &port])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _peer = KillOnDrop(peer.expect("it starts"));
    let relay = Relay::start(&["--listen", "127.0.0.1:0", "--allow-loopback-peers"]);
    for arguments in [
        &["-m", "3", "-e", "127.0.0.5", "-r", &port][..],
        &["-m", "3", "-s", "-e", "127.0.0.5", "-r", &port],
    ] {
        let output = run_client(&client, relay.address, arguments);
        assert!(output.contains("Total lost packets 0 "), "{output}");
    }
    relay.terminate();
}

#[test]
fn peers_on_the_host_are_refused_by_default() {
    let relay = Relay::start(&["--listen", "127.0.0.1:0"]);
    let mut client = Client::new(relay.address);
    assert_eq!(client.allocate(), 0);
    // 127.0.0.1:80, combined with the cookie.
    let peer = [0, 1, 0x21, 0x42, 0x5E, 0x12, 0xA4, 0x43];
    let peer: (Attribute, &[u8]) = (Attribute::XOR_PEER_ADDRESS, &peer);
    assert_eq!(client.exchange(Method::CREATE_PERMISSION, &[peer]), 403);
    relay.terminate();
}

#[test]
fn many_allocations_come_and_expire() {
    // The limit of descriptors may be a thousand as well.
    let count = 900;
    let mut relay = Relay::start(&[
        "--listen",
        "127.0.0.1:0",
        "--workers",
        "1",
        "--user-allocations",
        "1000",
        "--lifetime",
        "20s",
        "--max-lifetime",
        "20s",
    ]);
    let before = relay.descriptors();
    let mut last = None;
    let mut made = 0;
    while made < count {
        let mut client = Client::new(relay.address);
        match client.allocate() {
            0 => made += 1,
            // The port is that of a client before, whose socket is closed.
            437 => continue,
            code => panic!("{code}"),
        }
        last = Some(client);
    }
    let (allocations, sockets) = relay.counts();
    assert_eq!(allocations, sockets);
    assert!(allocations > 0);
    let mut last = last.expect("there is one");
    let deleted = last.exchange(Method::REFRESH, &[(Attribute::LIFETIME, &[0; 4])]);
    assert_eq!(deleted, 0);
    relay.wait_until("all have expired", |relay| relay.counts() == (0, 0));
    if before > 0 {
        assert_eq!(relay.descriptors(), before);
    }
    relay.terminate();
}

#[test]
fn draining_refuses_the_new_and_waits_for_the_old() {
    let mut relay = Relay::start(&["--listen", "127.0.0.1:0", "--drain-timeout", "1h"]);
    let mut client = Client::new(relay.address);
    assert_eq!(client.allocate(), 0);
    assert_eq!(relay.execute("drain"), "draining");
    assert_eq!(Client::new(relay.address).allocate(), 508);
    signal(relay.process.0.id(), "TERM");
    assert_eq!(
        client.exchange(Method::REFRESH, &[(Attribute::LIFETIME, &[0; 4])]),
        0
    );
    let status = relay.process.wait("the relay", TIMEOUT);
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_killed_server_is_started_again_at_once() {
    let first = Relay::start(&["--listen", "127.0.0.1:0"]);
    let address = first.address;
    let mut client = Client::new(address);
    assert_eq!(client.allocate(), 0);
    signal(first.process.0.id(), "KILL");
    drop(first);
    let again = Relay::start(&["--listen", &address.to_string()]);
    // Its nonce is that of the server before.
    assert_eq!(client.exchange(Method::REFRESH, &[]), 438);
    assert_eq!(client.exchange(Method::REFRESH, &[]), 437);
    client.nonce = None;
    assert_eq!(client.allocate(), 0);
    again.terminate();
}

#[test]
fn an_address_in_use_and_a_bad_argument_are_told() {
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let address = taken.local_addr().expect("an address").to_string();
    for (arguments, code, text) in [
        (&["--listen", &address][..], 1, "cannot listen on"),
        (&["--listen", "0.0.0.0:0"], 1, "give --relay"),
        (&["--user", "alice"], 2, "--user"),
        (&["--workers", "0"], 2, "--workers"),
    ] {
        let arguments = if arguments.contains(&"--listen") {
            arguments.to_vec()
        } else {
            [&["--listen", "127.0.0.1:0"], arguments].concat()
        };
        let end = crate::process::run(&program("relay"), &arguments, b"");
        assert_eq!(end.code, Some(code), "{end:?}");
        assert!(end.stderr.contains(text), "{end:?}");
    }
}
