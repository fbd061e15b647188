//! Sessions with neighbours that are written by hand, over real sockets: those that misbehave.

use std::{
    fmt::Write as _,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
};

use crate::{
    plane::{Plane, TIMEOUT, eventually, ports},
    process::{KillOnDrop, Scratch, program, signal},
};

/// The neighbour is in AS 64497, and listens; the control plane connects to it.
struct Peer(TcpListener);

impl Peer {
    fn new(address: &str) -> Self {
        Self(TcpListener::bind((address, 0)).expect("a free port"))
    }

    /// Returns the arguments of a control plane that has it as a neighbour.
    fn arguments(&self, options: &str) -> Vec<String> {
        let address = self.0.local_addr().expect("it listens");
        let neighbor = format!("{address},64497{options}");
        [
            "--local-as",
            "64496",
            "--router-id",
            "192.0.2.1",
            "--neighbor",
            &neighbor,
        ]
        .map(str::to_owned)
        .to_vec()
    }

    /// Accepts the connection, and reads the OPEN.
    fn accept(&self) -> TcpStream {
        let (mut stream, _) = self.0.accept().expect("it connects");
        stream.set_read_timeout(Some(TIMEOUT)).expect("a socket");
        let (kind, body) = read(&mut stream).expect("an OPEN");
        assert_eq!(kind, 1);
        assert_eq!(body[..3], [4, 0xFB, 0xF0]); // version 4, AS 64496
        stream
    }

    /// Accepts the connection, and establishes the session.
    fn establish(&self) -> TcpStream {
        let mut stream = self.accept();
        write(&mut stream, 1, &[4, 0xFB, 0xF1, 0, 90, 192, 0, 2, 2, 0]);
        write(&mut stream, 4, &[]);
        assert_eq!(read(&mut stream).expect("a KEEPALIVE").0, 4);
        stream
    }
}

/// Reads a message: its kind and its body. `None` at the end of the stream.
fn read(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut header = [0; 19];
    stream.read_exact(&mut header).ok()?;
    assert_eq!(header[..16], [0xFF; 16]);
    let length = usize::from(u16::from_be_bytes([header[16], header[17]]));
    let mut body = vec![0; length - header.len()];
    stream.read_exact(&mut body).ok()?;
    Some((header[18], body))
}

fn write(stream: &mut TcpStream, kind: u8, body: &[u8]) {
    let mut message = vec![0xFF; 16];
    let length = u16::try_from(19 + body.len()).expect("a short message");
    message.extend(length.to_be_bytes());
    message.push(kind);
    message.extend(body);
    stream.write_all(&message).expect("it is open");
}

/// Reads to the notification, which is the last message.
#[track_caller]
fn notification(stream: &mut TcpStream) -> [u8; 2] {
    let mut last = None;
    while let Some(message) = read(stream) {
        last = Some(message);
    }
    match last.expect("a message") {
        (3, body) => [body[0], body[1]],
        other => panic!("{other:?}"),
    }
}

fn texts(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

/// An UPDATE of 10.0.0.0/8 and 11.0.0.0/8, by two octets.
const UPDATE: &[u8] = &[
    0, 0, 0, 18, 0x40, 1, 1, 0, 0x40, 2, 4, 2, 1, 0xFB, 0xF1, 0x40, 3, 4, 192, 0, 2, 2, 8, 10, 8,
    11,
];

#[test]
fn garbage_is_answered_with_a_notification() {
    let peer = Peer::new("127.0.0.2");
    let mut plane = Plane::start(&texts(&peer.arguments("")));
    let mut stream = peer.accept();
    // Also if more of it comes than is read.
    stream.write_all(&vec![b'x'; 100_000]).expect("it is open");
    assert_eq!(notification(&mut stream), [1, 1]);
    // It tries again.
    let mut stream = peer.establish();
    write(&mut stream, 2, UPDATE);
    plane.wait_for(
        "lookup 10.1.2.3",
        "10.0.0.0/8 via 192.0.2.2 from 127.0.0.2, path 64497",
    );
    // A faulty origin withdraws the routes, and the session stays.
    let mut faulty = UPDATE.to_vec();
    faulty[7] = 9;
    write(&mut stream, 2, &faulty);
    plane.wait_for("lookup 10.1.2.3", "matches nothing");
    plane.wait_for("show neighbours", "1 faults");
    // An impossible prefix ends the session.
    write(&mut stream, 2, &[0, 0, 0, 0, 33, 1, 2, 3, 4, 5]);
    assert_eq!(notification(&mut stream), [3, 10]);
    plane.quit();
}

#[test]
fn a_neighbour_with_too_many_prefixes_loses_its_session() {
    let peer = Peer::new("127.0.0.2");
    let mut plane = Plane::start(&texts(&peer.arguments(",max-prefixes=1")));
    let mut stream = peer.establish();
    write(&mut stream, 2, UPDATE);
    assert_eq!(notification(&mut stream), [6, 1]);
    plane.wait_for("lookup 10.1.2.3", "matches nothing");
    plane.quit();
}

#[test]
fn a_connection_of_a_stranger_is_closed() {
    let peer = Peer::new("127.0.0.2");
    // No other test has a socket on this address, which could take the port.
    let [port] = ports("127.0.0.5").expect("a free port");
    let listen = format!("127.0.0.5:{port}");
    let mut arguments = peer.arguments("");
    arguments.extend(["--listen".to_owned(), listen.clone()]);
    let plane = Plane::start(&texts(&arguments));
    let mut stream = eventually("it listens", || {
        TcpStream::connect(&listen).map_err(|error| error.to_string())
    });
    stream.set_read_timeout(Some(TIMEOUT)).expect("a socket");
    let mut received = Vec::new();
    let _ = stream.read_to_end(&mut received); // the end, or a reset
    assert!(received.is_empty(), "{received:?}");
    plane.quit();
}

#[test]
fn a_neighbour_that_reads_nothing_delays_no_other() {
    let [slow, quick] = ["127.0.0.2", "127.0.0.3"].map(Peer::new);
    // Each route has a path of its own, and so a message of its own: 16 MB.
    let mut routes = String::new();
    for number in 0..30_000_u32 {
        let [_, a, b, c] = (number << 4).to_be_bytes();
        let (first, path) = (number + 1, " 64501".repeat(120));
        let _ = writeln!(
            routes,
            "BGP4MP|1|A|192.0.2.9|64500|12.{a}.{b}.{c}/32|64500 {first}{path}|IGP|192.0.2.9|100|0||NAG||"
        );
    }
    let file = Scratch::new(routes.as_bytes());
    let mut arguments = slow.arguments("");
    arguments.extend(quick.arguments("")[4..].to_vec());
    arguments.push(file.path().to_owned());
    let mut plane = Plane::start(&texts(&arguments));
    let stuck = slow.establish();
    let mut stream = quick.establish();
    let mut received = 0;
    while received < 30_000 {
        let (kind, body) = read(&mut stream).expect("the session stays");
        received += u32::from(kind == 2 && body.len() > 4);
    }
    let answer = plane.execute("show neighbours");
    let is_told_all = |address: &str| {
        let line = answer.lines().find(|line| line.starts_with(address));
        let line = line.filter(|line| line.contains(" established "));
        let line = line.unwrap_or_else(|| panic!("{address} has no session: {answer}"));
        line.contains(" 30000 out")
    };
    assert!(
        is_told_all("127.0.0.3") && !is_told_all("127.0.0.2"),
        "{answer}"
    );
    drop(stuck);
    plane.quit();
}

/// Reads the next UPDATE that is not the end of a table.
#[track_caller]
fn update(stream: &mut TcpStream) -> Vec<u8> {
    loop {
        let (kind, body) = read(stream).expect("the session stays");
        if kind == 2 && body.len() > 4 {
            return body;
        }
    }
}

#[test]
fn a_route_is_withdrawn_when_its_next_hop_is_lost() {
    let topology = Scratch::new(b"self edge\nlink edge west 10\nnetwork west 192.0.2.0/24\n");
    let routes =
        Scratch::new(b"BGP4MP|1|A|192.0.2.9|64500|10.0.0.0/8|64500|IGP|192.0.2.9|100|0||NAG||\n");
    let peer = Peer::new("127.0.0.2");
    let mut arguments = peer.arguments("");
    let more = ["--topology", topology.path(), routes.path()];
    arguments.extend(more.map(str::to_owned));
    let mut plane = Plane::start(&texts(&arguments));
    let mut stream = peer.establish();
    assert!(update(&mut stream).ends_with(&[8, 10]));
    for _ in 0..3 {
        plane.execute("link edge west down");
        assert_eq!(update(&mut stream), [0, 2, 8, 10, 0, 0]);
        plane.execute("link edge west 5");
        let announced = update(&mut stream);
        assert!(announced.starts_with(&[0, 0]) && announced.ends_with(&[8, 10]));
    }
    plane.quit();
}

#[test]
fn a_signal_ends_the_sessions() {
    let peer = Peer::new("127.0.0.2");
    let child = Command::new(program("control-plane"))
        .args(peer.arguments(""))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("it starts");
    let mut child = KillOnDrop(child);
    let mut stream = peer.establish();
    signal(child.0.id(), "TERM");
    assert_eq!(notification(&mut stream), [6, 2]);
    let status = child.wait("the control plane", TIMEOUT);
    assert!(status.success(), "{status}");
}

#[test]
fn a_bad_neighbour_is_explained() {
    let with = |neighbor: &str| {
        let arguments = [
            "--local-as",
            "64496",
            "--router-id",
            "192.0.2.1",
            "--neighbor",
            neighbor,
        ];
        crate::run(&arguments, "")
    };
    for (neighbor, reason) in [
        ("nowhere,64497", "it begins with an address"),
        ("127.0.0.2", "the AS is missing"),
        ("127.0.0.2,0", "is not the number of a system"),
        ("127.0.0.2,64497,active", "unknown option \"active\""),
        (
            "127.0.0.2,64497,max-prefixes=many",
            "is not a number of prefixes",
        ),
    ] {
        let end = with(neighbor);
        assert_eq!(end.code, Some(2), "{neighbor}: {end:?}");
        assert!(end.stderr.contains(reason), "{neighbor}: {end:?}");
    }
    let end = crate::run(&["--neighbor", "127.0.0.2,64497"], "");
    assert_eq!(end.code, Some(2), "{end:?}");
    assert!(end.stderr.contains("--local-as"), "{end:?}");
}
