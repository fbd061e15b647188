//! Streams whose events are suspended while a thread waits for them by itself.

use std::{
    cell::Cell,
    io::{ErrorKind, Read as _, Write as _},
    net::TcpListener as StdTcpListener,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream as StdUnixStream,
    },
    sync::{Arc, mpsc::Receiver},
    task::Waker,
    thread,
    time::{Duration, Instant},
};

use ump_server::net::{AdaptiveSpin, Event, Parker};

use crate::support::{ANY_PORT, Loop, Recorder, next, recorder};

/// Waits, by itself, until there is something to read.
fn park(stream: &impl AsFd) {
    let parker = Parker::new().unwrap();
    while !parker.park(stream.as_fd(), None).unwrap() {}
}

/// Asserts that the loop has no event, when it has done all that it knows of.
fn assert_none<K: Send + 'static>(host: &Loop<Recorder<K>>, events: &Receiver<Event>) {
    for _ in 0..200 {
        host.with(|_| ()); // a loop that is awake asks its selector after 64 requests
    }
    let event = events.try_recv();
    assert!(event.is_err(), "{event:?}");
}

/// The tests of one kind of streams.
macro_rules! tests {
    ($kind:ident, $adopt:ident, $pair:expr) => {
        mod $kind {
            use super::*;

            #[test]
            fn a_suspended_stream_reports_nothing_and_loses_nothing() {
                let (ours, mut peer) = $pair;
                let (host, events) = recorder(|sockets| sockets.clone());
                let stream = Arc::new(host.with(|world| world.kept.$adopt(ours).unwrap()));
                assert_none(&host, &events);
                for byte in 0..100 {
                    stream.suspend_events();
                    stream.suspend_events(); // it is already
                    peer.write_all(&[byte]).unwrap();
                    park(&stream);
                    if byte == 0 {
                        assert_none(&host, &events);
                    }
                    let mut buffer = [0; 8];
                    if byte % 2 == 0 {
                        assert_eq!(stream.read_now(&mut buffer).unwrap(), 1);
                        stream.resume_events();
                    } else {
                        stream.resume_events();
                        stream.resume_events(); // it is already
                        assert!(matches!(next(&events), Event::Readable(id) if id == stream.id()));
                        // The event comes again until the byte is read.
                        while stream.read(&mut buffer).is_err() {}
                        host.with(|_| ());
                        while events.try_recv().is_ok() {}
                    }
                    assert_eq!(buffer[0], byte);
                    let rest = stream.read_now(&mut buffer);
                    assert_eq!(rest.unwrap_err().kind(), ErrorKind::WouldBlock);
                }
                // The loop may have applied a report that was older than the last read of this
                // thread: a read in the loop itself ends that.
                let same = Arc::clone(&stream);
                let rest = host.with(move |_| same.read_now(&mut [0; 8]));
                assert_eq!(rest.unwrap_err().kind(), ErrorKind::WouldBlock);
                while events.try_recv().is_ok() {}
                assert_none(&host, &events);
                drop(peer);
                assert!(matches!(next(&events), Event::Readable(id) if id == stream.id()));
                host.end();
            }

            #[test]
            fn room_to_write_is_reported_after_a_suspension() {
                let (ours, mut peer) = $pair;
                let (host, events) = recorder(|sockets| sockets.clone());
                let stream = host.with(|world| world.kept.$adopt(ours).unwrap());
                stream.suspend_events();
                let chunk = vec![7; 1 << 16];
                let mut written = 0;
                while let Ok(count) = stream.write(&chunk) {
                    written += count;
                }
                let reader = thread::spawn(move || {
                    let mut received = vec![0; written];
                    peer.read_exact(&mut received).unwrap();
                    assert!(received.iter().all(|byte| *byte == 7));
                    peer
                });
                stream.resume_events();
                assert!(matches!(next(&events), Event::Writable(id) if id == stream.id()));
                drop(reader.join().unwrap());
                host.end();
            }

            #[test]
            fn a_stream_may_be_dropped_while_it_is_suspended() {
                let (host, events) = recorder(|sockets| sockets.clone());
                for _ in 0..10 {
                    let (ours, mut peer) = $pair;
                    let stream = host.with(|world| world.kept.$adopt(ours).unwrap());
                    stream.suspend_events();
                    peer.write_all(b"never read").unwrap();
                    drop(stream);
                }
                // One whose descriptor is likely to be that of the last.
                let (ours, mut peer) = $pair;
                let stream = host.with(|world| world.kept.$adopt(ours).unwrap());
                peer.write_all(b"read").unwrap();
                assert!(matches!(next(&events), Event::Readable(id) if id == stream.id()));
                host.end();
            }
        }
    };
}

fn tcp_pair() -> (std::net::TcpStream, std::net::TcpStream) {
    let listener = StdTcpListener::bind(ANY_PORT).unwrap();
    let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener.accept().unwrap().0, peer)
}

tests!(tcp, adopt_tcp, tcp_pair());
tests!(unix, adopt_unix, StdUnixStream::pair().unwrap());

#[test]
fn a_parker_is_woken_before_and_during_its_wait() {
    let (silent, _peer) = StdUnixStream::pair().unwrap();
    let parker = Arc::new(Parker::new().unwrap());
    let waker = Waker::from(Arc::clone(&parker));
    for _ in 0..100 {
        waker.wake_by_ref();
        waker.wake_by_ref();
        assert!(!parker.park(silent.as_fd(), None).unwrap());
    }
    for _ in 0..100 {
        let waker = waker.clone();
        let other = thread::spawn(move || waker.wake());
        assert!(!parker.park(silent.as_fd(), None).unwrap());
        other.join().unwrap();
    }
}

#[test]
fn a_parker_returns_at_its_time_and_at_the_end_of_the_stream() {
    let (waited, peer) = StdUnixStream::pair().unwrap();
    let parker = Parker::new().unwrap();
    assert!(!parker.park(waited.as_fd(), Some(Instant::now())).unwrap());
    drop(peer);
    let waited = OwnedFd::from(waited);
    assert!(parker.park(waited.as_fd(), None).unwrap());
}

#[test]
fn a_parker_that_stays_awake_ends_its_wait_by_the_same_events() {
    let (waited, mut peer) = StdUnixStream::pair().unwrap();
    let parker = Arc::new(Parker::new().unwrap());
    let spin = AdaptiveSpin::new();
    let park = |until| parker.park_adaptive(&spin, waited.as_fd(), until);
    assert!(!park(Some(Instant::now())).unwrap());
    for _ in 0..100 {
        let waker = Waker::from(Arc::clone(&parker));
        waker.wake_by_ref();
        assert!(!park(None).unwrap());
        let other = thread::spawn(move || waker.wake());
        assert!(!park(None).unwrap());
        other.join().unwrap();
    }
    let other = thread::spawn(move || {
        peer.write_all(&[1]).unwrap();
        peer
    });
    while !park(None).unwrap() {}
    drop(other.join().unwrap());
    assert!(park(None).unwrap());
}

#[test]
fn two_parkers_that_stay_awake_answer_each_other() {
    const ROUNDS: usize = 2_000;
    let (here, there) = StdUnixStream::pair().unwrap();
    let answer = |mut stream: StdUnixStream, begins: bool| {
        let (parker, spin) = (Parker::new().unwrap(), AdaptiveSpin::new());
        let mut byte = [0];
        if begins {
            stream.write_all(&byte).unwrap();
        }
        for _ in 0..ROUNDS {
            while !parker.park_adaptive(&spin, stream.as_fd(), None).unwrap() {}
            stream.read_exact(&mut byte).unwrap();
            byte[0] = byte[0].wrapping_add(1);
            stream.write_all(&byte).unwrap();
        }
        (byte[0], stream) // the peer may still write
    };
    let other = thread::spawn(move || answer(there, false));
    let (mine, _stream) = answer(here, true);
    let (theirs, _stream) = other.join().unwrap();
    assert_eq!(theirs.wrapping_add(1), mine);
}

/// Waits in vain, with checks that take a microsecond. Returns how many there were.
fn checks_in_vain(spin: &AdaptiveSpin) -> u32 {
    let checks = Cell::new(0);
    let found = spin.until(|| {
        checks.set(checks.get() + 1);
        let start = Instant::now();
        while start.elapsed() < Duration::from_micros(1) {}
        false
    });
    assert!(!found);
    checks.get()
}

#[test]
fn spinning_is_bounded_by_time_however_costly_a_check_is() {
    // 20 µs, and 100 µs once, as no wait was in vain before.
    let checks = checks_in_vain(&AdaptiveSpin::new());
    assert!(checks <= 200, "{checks}");
}

#[test]
fn spinning_in_vain_ends() {
    let spin = AdaptiveSpin::new();
    for _ in 0..300 {
        checks_in_vain(&spin);
    }
    let checks = checks_in_vain(&spin);
    assert!(checks <= 5, "{checks}");
}
