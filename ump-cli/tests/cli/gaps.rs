//! A hub that tells `ump sub` of one gap after the other.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    time::Instant,
};

use ump_router::link::{
    session::{Config, Event, Session},
    wire::{GoodbyeReason, Status},
};

use crate::support::LIMIT;

/// More than a pipe holds, as lines.
const GAPS: u64 = 20_000;

struct Peer {
    session: Session,
    socket: TcpStream,
}

impl Peer {
    /// Sends what is queued.
    fn flush(&mut self) {
        loop {
            let bytes = self.session.transmit(Instant::now());
            if bytes.is_empty() {
                return;
            }
            let count = self.socket.write(bytes).unwrap();
            self.session.sent(Instant::now(), count);
        }
    }

    /// Reads once. Returns whether it is not the end.
    fn read(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let count = self.socket.read(&mut buffer).unwrap();
        let mut rest = &buffer[..count];
        while !rest.is_empty() && !self.session.is_finished() {
            let used = self.session.receive(Instant::now(), rest);
            rest = &rest[used..];
        }
        count > 0
    }
}

#[test]
fn gaps_are_joined_while_a_line_waits() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp:{}", listener.local_addr().unwrap());
    let mut child = Command::new(env!("CARGO_BIN_EXE_ump"))
        .args(["sub", "--on", &address, "a/**", "--once"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let socket = listener.accept().unwrap().0;
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let session = Session::new(Instant::now(), Config::default());
    let mut peer = Peer { session, socket };
    let id = loop {
        peer.flush();
        match peer.session.poll_event() {
            Some(Event::Subscribe { id, .. }) => break id,
            Some(Event::Opened { .. }) => peer.session.synced().unwrap(),
            Some(_) => {}
            None => assert!(peer.read()),
        }
    };
    peer.session
        .answer_subscribe(id, Status::Accepted, "")
        .unwrap();
    for _ in 0..GAPS {
        peer.session.missed(&[id], 1);
        peer.flush();
    }
    peer.session.close(Instant::now(), GoodbyeReason::Done, "");
    peer.flush();
    // It says goodbye when it has seen all, though nobody reads its output.
    while !peer.session.is_finished() && peer.read() {}
    let mut lines = String::new();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_to_string(&mut lines).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(4));
    let missed = lines.lines().map(|line| {
        let count = line.strip_prefix("# ").and_then(|it| it.split_once(' '));
        count.unwrap().0.parse::<u64>().unwrap()
    });
    assert_eq!(missed.sum::<u64>(), GAPS, "{lines}");
    assert!((lines.lines().count() as u64) < GAPS / 2);
}
