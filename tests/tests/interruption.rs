//! A waiting receiver returns when it is interrupted, in all ways of waiting.

use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tests::{CountingWaker, LONG, eventually, for_each, must_end, poll_with};
use ump::{Client, Error, Server, hooks::LoopView};

type Ends = (Server<u32, u32, ()>, Client<u32, u32, ()>);

/// A way of waiting that can be interrupted, with a distant end.
trait Limited {
    fn wait(server: &Server<u32, u32, ()>) -> Result<Option<u32>, Error<()>>;
}

macro_rules! limited {
    ($($kind:ident, |$server:ident| $wait:expr;)+) => {$(
        struct $kind;

        impl Limited for $kind {
            fn wait($server: &Server<u32, u32, ()>) -> Result<Option<u32>, Error<()>> {
                Ok($wait?.map(|(n, rctx)| {
                    let _ = rctx.reply(n);
                    n
                }))
            }
        }
    )+};
}

limited! {
    Endless, |server| server.wait_until(None);
    Until, |server| server.wait_until(Some(Instant::now() + LONG));
    Deadline, |server| server.wait_deadline(Instant::now() + LONG);
    Timeout, |server| server.wait_timeout(LONG);
    ForEver, |server| server.wait_timeout(Duration::MAX);
}

fn a_waiting_receiver_is_interrupted<L: Limited>() {
    let (server, _client): Ends = ump::channel();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| L::wait(&server));
        for _ in 0..20 {
            assert!(!waiting.is_finished());
            thread::yield_now();
        }
        server.interrupt();
        assert_eq!(waiting.join().unwrap(), Ok(None));
    });
}

fn a_later_receiver_does_not_sleep<L: Limited>() {
    let (server, _client): Ends = ump::channel();
    server.interrupt();
    assert_eq!(L::wait(&server), Ok(None));
}

fn kept_interruptions_do_not_accumulate<L: Limited>() {
    let (server, client): Ends = ump::channel();
    server.interrupt();
    server.interrupt();
    assert_eq!(L::wait(&server), Ok(None));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| L::wait(&server));
        for _ in 0..20 {
            assert!(!waiting.is_finished());
            thread::yield_now();
        }
        client.post(7).wait().unwrap();
        assert_eq!(waiting.join().unwrap(), Ok(Some(7)));
    });
}

fn a_request_precedes_an_interruption_which_is_kept<L: Limited>() {
    let (server, client): Ends = ump::channel();
    client.post(7).wait().unwrap();
    server.interrupt();
    assert_eq!(L::wait(&server), Ok(Some(7)));
    assert_eq!(L::wait(&server), Ok(None));
}

fn the_end_precedes_an_interruption<L: Limited>() {
    let (server, client): Ends = ump::channel();
    drop(client);
    server.interrupt();
    assert_eq!(L::wait(&server), Err(Error::ClientsDisappeared));
}

/// The order is that of a loop: first a flag, then the interruption.
fn a_flag_set_before_the_interruption_is_seen<L: Limited>() {
    for _ in 0..200 {
        let (server, client): Ends = ump::channel();
        let (flag, start) = (AtomicBool::new(false), Barrier::new(3));
        thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                while !flag.load(Ordering::Relaxed) {
                    L::wait(&server).unwrap();
                }
            });
            scope.spawn(|| {
                start.wait();
                client.post(7).wait().unwrap();
            });
            start.wait();
            flag.store(true, Ordering::Relaxed);
            server.interrupt();
        });
    }
}

fn no_request_is_lost<L: Limited>() {
    const REQUESTS: u32 = 500;
    let (server, client): Ends = ump::channel();
    let (done, empty) = (AtomicBool::new(false), AtomicU32::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            loop {
                match L::wait(&server) {
                    Ok(Some(_)) => {}
                    Ok(None) => {
                        empty.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(_) => break,
                }
            }
        });
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                server.interrupt();
                thread::yield_now();
            }
        });
        for n in 0..REQUESTS {
            assert_eq!(client.req(n), Ok(n));
        }
        eventually(|| empty.load(Ordering::Relaxed) > 0);
        done.store(true, Ordering::Relaxed);
        drop(client);
    });
}

for_each!(
    wait_until_nothing = Endless,
    wait_until = Until,
    wait_deadline = Deadline,
    wait_timeout = Timeout,
    wait_timeout_for_ever = ForEver
    => {
        a_waiting_receiver_is_interrupted,
        a_later_receiver_does_not_sleep,
        kept_interruptions_do_not_accumulate,
        a_request_precedes_an_interruption_which_is_kept,
        the_end_precedes_an_interruption,
        a_flag_set_before_the_interruption_is_seen,
        no_request_is_lost,
    }
);

/// Each waiter signals before it sleeps, and is interrupted until it has returned.
#[test]
fn all_waiting_receivers_are_interrupted() {
    must_end(|| {
        let (server, client): Ends = ump::channel();
        let server = Arc::new(server);
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let server = Arc::clone(&server);
                thread::spawn(move || server.wait_until(None).map(|job| job.is_some()))
            })
            .collect();
        while !workers.iter().all(thread::JoinHandle::is_finished) {
            server.interrupt();
            thread::yield_now();
        }
        for worker in workers {
            assert_eq!(worker.join().unwrap(), Ok(false));
        }
        drop(client);
    });
}

#[test]
fn a_plain_receiver_is_not_interrupted() {
    must_end(|| {
        let (server, client): Ends = ump::channel();
        let server = Arc::new(server);
        let waits = Arc::clone(&server);
        let waiting = thread::spawn(move || waits.wait().map(|(n, _)| n));
        let counter = CountingWaker::new();
        let mut stream = server.stream();
        let mut task = std::future::poll_fn(|cx| stream.poll_wait(cx));
        assert!(poll_with(&mut task, &counter).is_pending());
        server.interrupt();
        for _ in 0..20 {
            assert!(!waiting.is_finished());
            thread::yield_now();
        }
        assert_eq!(counter.wakes(), 0);
        // The interruption was kept all the time.
        assert!(server.wait_until(None).unwrap().is_none());
        client.post(7).wait().unwrap();
        client.post(7).wait().unwrap();
        assert_eq!(waiting.join().unwrap(), Ok(7));
    });
}

#[test]
fn a_passed_deadline_consumes_the_interruption() {
    let (server, client): Ends = ump::channel();
    server.interrupt();
    assert!(server.wait_deadline(Instant::now()).unwrap().is_none());
    must_end(move || {
        thread::scope(|scope| {
            let waiting = scope.spawn(|| server.wait_until(None).map(|job| job.is_some()));
            for _ in 0..20 {
                assert!(!waiting.is_finished());
                thread::yield_now();
            }
            client.post(7).wait().unwrap();
            assert_eq!(waiting.join().unwrap(), Ok(true));
        });
    });
}

// ---- workers that share a server

#[test]
fn workers_that_count_interruptions_miss_none() {
    let (server, _client): Ends = ump::channel();
    let raised = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut seen = 0;
                while seen < 100 {
                    let known = LoopView::new(&server).interruptions();
                    seen = raised.load(Ordering::Relaxed);
                    if seen < 100 {
                        assert_eq!(
                            LoopView::new(&server)
                                .wait_since(known, None)
                                .unwrap()
                                .map(|_| ()),
                            None
                        );
                    }
                }
            });
        }
        for _ in 0..100 {
            raised.fetch_add(1, Ordering::Relaxed);
            server.interrupt();
        }
    });
}

#[test]
fn a_known_interruption_interrupts_no_receiver() {
    let (server, client): Ends = ump::channel();
    server.interrupt();
    client.post(7).wait().unwrap();
    let known = LoopView::new(&server).interruptions();
    assert_eq!(
        LoopView::new(&server)
            .wait_since(known, None)
            .unwrap()
            .unwrap()
            .0,
        7
    );
    assert!(
        LoopView::new(&server)
            .wait_since(known, Some(Instant::now()))
            .unwrap()
            .is_none()
    );
    assert_eq!(LoopView::new(&server).interruptions(), known);
}
