//! No class of events, and no socket, keeps the others waiting.

use std::{
    io::{Read as _, Write as _},
    net::Shutdown,
    os::unix::net::UnixStream,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use ump_server::net::{Event, Interest, Source};

use crate::support::{Cx, Echo, Loop, World, eventually, pattern};

/// Runs `test` while four connections flood the loop, each reading its echo.
fn under_a_flood_of_bytes(host: &Loop<Echo>, test: impl FnOnce()) {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..4 {
            let mut stream = host.connect();
            let mut reading = stream.try_clone().unwrap();
            let is_over = &is_over;
            scope.spawn(move || {
                let chunk = pattern(4096);
                while !is_over.load(Relaxed) {
                    stream.write_all(&chunk).unwrap();
                }
                stream.shutdown(Shutdown::Write).unwrap();
            });
            scope.spawn(move || std::io::copy(&mut reading, &mut std::io::sink()).unwrap());
        }
        test();
        is_over.store(true, Relaxed);
    });
}

#[test]
fn a_flood_of_bytes_starves_no_request_timer_or_connection() {
    let host = Loop::spawn(|cx| {
        cx.timers().every(Duration::from_millis(1), 0);
        Echo::new(cx)
    });
    under_a_flood_of_bytes(&host, || {
        for _ in 0..100 {
            host.with(|_| ());
        }
        let before = host.with(|echo| echo.timers);
        eventually(&host, "timers", move |echo| echo.timers > before + 20);
        for _ in 0..10 {
            let mut peer = host.connect();
            peer.write_all(b"x").unwrap();
            peer.read_exact(&mut [0]).unwrap();
        }
    });
    host.end();
}

#[test]
fn a_flood_of_requests_starves_no_socket_or_timer() {
    let host = Loop::spawn(|cx| {
        cx.timers().every(Duration::from_millis(1), 0);
        Echo::new(cx)
    });
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !is_over.load(Relaxed) {
                    // Without waiting for replies, so that the queue is never empty for long.
                    let job = || Box::new(|_: &mut Echo| ()) as crate::support::Job<Echo>;
                    let all: Vec<_> = (0..100)
                        .map(|_| host.client.req_async(job()).unwrap())
                        .collect();
                    for reply in all {
                        reply.wait().unwrap();
                    }
                }
            });
        }
        for _ in 0..20 {
            let mut peer = host.connect();
            for _ in 0..20 {
                peer.write_all(b"x").unwrap();
                peer.read_exact(&mut [0]).unwrap();
            }
        }
        let before = host.with(|echo| echo.timers);
        eventually(&host, "timers", move |echo| echo.timers > before + 20);
        is_over.store(true, Relaxed);
    });
    host.end();
}

#[test]
fn a_flood_of_timers_starves_no_socket_or_request() {
    let host = Loop::spawn(|cx| {
        for _ in 0..64 {
            cx.timers().every(Duration::from_nanos(1), 0); // always due
        }
        Echo::new(cx)
    });
    let mut peer = host.connect();
    for _ in 0..50 {
        peer.write_all(b"x").unwrap();
        peer.read_exact(&mut [0]).unwrap();
        host.with(|_| ());
    }
    host.end();
}

#[test]
fn busy_sockets_take_turns() {
    let (log, order) = std::sync::mpsc::channel();
    let host = Loop::spawn(move |cx| {
        let mut echo = Echo::new(cx);
        echo.room = 1;
        echo.log = Some(log.clone());
        echo
    });
    let mut peers: Vec<_> = (0..3).map(|_| host.connect()).collect();
    eventually(&host, "accepted", |echo| echo.accepted == 3);
    // All of it comes while the loop is busy.
    host.with({
        let mut peers: Vec<_> = peers.iter().map(|peer| peer.try_clone().unwrap()).collect();
        move |_| {
            for peer in &mut peers {
                peer.write_all(&[0; 100]).unwrap();
            }
        }
    });
    for peer in &mut peers {
        peer.read_exact(&mut [0; 100]).unwrap();
    }
    let order: Vec<_> = order.try_iter().collect();
    for turn in order.chunks(3).take(90) {
        let [a, b, c] = turn else {
            panic!("{} events", order.len())
        };
        assert!(a != b && b != c && c != a, "one had two turns: {turn:?}");
    }
    host.end();
}

/// A source that refills itself: it is always readable.
struct Refilling {
    source: Source<UnixStream>,
    other_end: UnixStream,
    echo: Echo,
    events: u64,
}

impl World for Refilling {
    fn on_socket(&mut self, event: Event) {
        match event {
            Event::Readable(id) if id == self.source.id() => {
                self.events += 1;
                let read = (self.source).read_with(|mut source| source.read(&mut [0; 8]));
                assert_eq!(read.unwrap(), 1);
                self.other_end.write_all(&[0]).unwrap();
            }
            other => self.echo.on_socket(other),
        }
    }
}

#[test]
fn a_source_that_refills_itself_starves_nothing() {
    starves_nothing(Loop::spawn(refilling));
}

#[cfg(feature = "tokio-net")]
#[test]
fn a_source_that_refills_itself_starves_nothing_on_a_task() {
    starves_nothing(Loop::spawn_on(crate::support::runtime(), refilling));
}

fn refilling(cx: &Cx<Refilling>) -> Refilling {
    let (source, mut other_end) = UnixStream::pair().unwrap();
    source.set_nonblocking(true).unwrap();
    other_end.write_all(&[0]).unwrap();
    Refilling {
        source: cx.sockets().source(source, Interest::Read).unwrap(),
        other_end,
        echo: Echo::new(cx),
        events: 0,
    }
}

fn starves_nothing(host: Loop<Refilling>) {
    let address = host.with(|world| world.echo.listener.local_addr().unwrap());
    let mut peer = crate::support::connect(address);
    for _ in 0..100 {
        peer.write_all(b"x").unwrap();
        peer.read_exact(&mut [0]).unwrap();
        host.with(|_| ());
    }
    assert!(host.with(|world| world.events) > 100);
    host.end();
}
