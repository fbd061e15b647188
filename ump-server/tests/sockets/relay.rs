//! Two loops that send to each other, with queues of one request: neither blocks.

use std::{
    io::{ErrorKind, Write as _},
    os::unix::net::UnixStream as StdUnixStream,
    sync::mpsc,
    thread,
    time::Duration,
};

use ump_server::{
    Client, Refused, Timers,
    net::{Event, UnixStream},
    thread::Builder,
    ump::SendError,
};

use crate::support::{Job, Loop, World, eventually};

/// Passes each byte of its socket on to the other loop. If that has no room, it parks the byte, and
/// reads no more until the byte is accepted.
struct Relay {
    source: UnixStream,
    other: Option<Client<Job<Relay>, (), Refused>>,
    parked: Option<Job<Relay>>,
    timers: Timers<u32>,
    received: usize,
}

impl Relay {
    fn pass_on(&mut self, job: Job<Self>) {
        let other = self.other.as_ref().expect("it was introduced");
        match other.request(job).if_room().post().wait() {
            Ok(()) => self.source.resume_reading(),
            Err(SendError::Full(job)) => {
                self.parked = Some(job);
                self.source.pause_reading();
                self.timers.once(Duration::from_micros(100), 0);
            }
            Err(_) => {}
        }
    }
}

impl World for Relay {
    fn on_socket(&mut self, event: Event) {
        if let Event::Readable(_) = event {
            match self.source.read(&mut [0]) {
                Ok(0) => self.source.pause_reading(),
                Ok(_) => self.pass_on(Box::new(|relay: &mut Relay| relay.received += 1)),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
    }

    fn on_timer(&mut self, _: u32) {
        if let Some(job) = self.parked.take() {
            self.pass_on(job);
        }
    }
}

#[test]
fn loops_with_full_queues_do_not_block_each_other() {
    const BYTES: usize = 2_000;
    let make = || {
        let (source, peer) = StdUnixStream::pair().unwrap();
        let mut source = Some(source);
        let host = Loop::spawn_by(Builder::new().capacity(1), move |cx| Relay {
            source: cx.sockets().adopt_unix(source.take().unwrap()).unwrap(),
            other: None,
            parked: None,
            timers: cx.timers(),
            received: 0,
        });
        (host, peer)
    };
    let ((one, mut to_one), (two, mut to_two)) = (make(), make());
    let (client_one, client_two) = (one.client.clone(), two.client.clone());
    one.with(move |relay| relay.other = Some(client_two));
    two.with(move |relay| relay.other = Some(client_one));
    let (done, finished) = mpsc::channel();
    for peer in [&mut to_one, &mut to_two] {
        let mut peer = peer.try_clone().unwrap();
        let done = done.clone();
        thread::spawn(move || {
            peer.write_all(&[0; BYTES]).unwrap();
            done.send(()).unwrap();
        });
    }
    for host in [&one, &two] {
        eventually(host, "all bytes", |relay| relay.received == BYTES);
    }
    finished.iter().take(2).for_each(drop);
    // Each holds a client of the other.
    one.with(|relay| relay.other = None);
    two.with(|relay| relay.other = None);
    one.end();
    two.end();
}
