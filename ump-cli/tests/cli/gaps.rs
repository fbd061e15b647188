//! A hub that tells `ump sub` more than its reader reads.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    thread,
    time::Instant,
};

use ump_router::{
    Bytes,
    link::{
        session::{Config, Event, Publication, Session},
        wire::{Codec, GoodbyeReason, Status},
    },
};

use crate::support::LIMIT;

/// More than a pipe holds, as lines.
const GAPS: u64 = 20_000;

struct Peer {
    session: Session,
    socket: TcpStream,
}

impl Peer {
    fn accept(listener: &TcpListener) -> Self {
        let socket = listener.accept().unwrap().0;
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        let session = Session::new(Instant::now(), Config::default());
        Self { session, socket }
    }

    /// Returns the next event.
    fn next(&mut self) -> Event {
        loop {
            self.flush();
            if let Some(event) = self.session.poll_event() {
                return event;
            }
            assert!(self.read(), "the end of the connection");
        }
    }

    /// Accepts the next subscription, and tells that there is nothing else.
    fn subscribed(&mut self) -> u32 {
        loop {
            match self.next() {
                Event::Subscribe { id, .. } => {
                    let answered = self.session.answer_subscribe(id, Status::Accepted, "");
                    answered.unwrap();
                    return id;
                }
                Event::Opened { .. } => self.session.synced().unwrap(),
                _ => {}
            }
        }
    }

    /// Closes the session, and waits for the answer.
    fn close(mut self) {
        self.session.close(Instant::now(), GoodbyeReason::Done, "");
        self.flush();
        while !self.session.is_finished() && self.read() {}
    }

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
    let mut peer = Peer::accept(&listener);
    let id = peer.subscribed();
    for _ in 0..GAPS {
        peer.session.missed(&[id], 1);
        peer.flush();
    }
    // It says goodbye when it has seen all, though nobody reads its output.
    peer.close();
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

/// Otherwise each connection would bring more lines for a reader that does not read.
#[test]
fn a_new_connection_waits_for_the_lines_of_the_last_one() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp:{}", listener.local_addr().unwrap());
    let mut child = Command::new(env!("CARGO_BIN_EXE_ump"))
        .args(["sub", "--on", &address, "a/**", "-n", "1001"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut peer = Peer::accept(&listener);
    let id = peer.subscribed();
    // More than a pipe holds.
    let payload = Bytes::from(vec![b'x'; 1000]);
    let message = Publication::new("a/b".parse().unwrap(), Codec::Raw, payload);
    for _ in 0..1000 {
        peer.session.publish(&message, &[id]).unwrap();
        peer.flush();
    }
    peer.close();

    let mut peer = Peer::accept(&listener);
    while !matches!(peer.next(), Event::Opened { .. }) {}
    peer.session.synced().unwrap();
    peer.session.serve(&"any".parse().unwrap(), false).unwrap();
    loop {
        match peer.next() {
            Event::Served { .. } => break,
            Event::Subscribe { .. } => panic!("nobody has read the lines"),
            _ => {}
        }
    }
    let mut stdout = child.stdout.take().unwrap();
    let reader = thread::spawn(move || {
        let mut lines = String::new();
        stdout.read_to_string(&mut lines).unwrap();
        lines
    });
    let id = peer.subscribed();
    peer.session.publish(&message, &[id]).unwrap();
    peer.flush();
    let lines = reader.join().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let is_gap = |line: &&str| *line == "# messages may be missing: a/**";
    let gaps = lines.lines().filter(is_gap).count();
    assert_eq!((gaps, lines.lines().count()), (1, 1002));
}
