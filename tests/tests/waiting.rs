//! All ways of waiting, spinning or parked, on both ends, and the options that choose them.

use std::{
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use tests::{LONG, block_on, must_end};
use ump::{Builder, Client, Error, SendError, Server, Spin, ZeroCapacity};

const SPINS: [Spin; 5] = [
    Spin::Never,
    Spin::Adaptive,
    Spin::UpTo(Duration::ZERO),
    Spin::UpTo(Duration::from_micros(1)),
    Spin::UpTo(Duration::from_millis(2)),
];

fn echo(server: Server<u32, u32, ()>, asynchronous: bool) -> thread::JoinHandle<u32> {
    thread::spawn(move || {
        let mut count = 0;
        if asynchronous {
            block_on(async {
                while let Ok((n, rctx)) = server.async_wait().await {
                    let _ = rctx.reply(n + 1);
                    count += 1;
                }
            });
        } else {
            for (n, rctx) in &server {
                let _ = rctx.reply(n + 1);
                count += 1;
            }
        }
        count
    })
}

/// Makes requests in every way: in a row, so that both ends are awake, and with pauses, so that
/// they sleep.
fn ask(client: &Client<u32, u32, ()>) -> u32 {
    let mut asked = 0;
    for pause in [false, true] {
        for n in 0..if pause { 5 } else { 200 } {
            if pause {
                thread::sleep(Duration::from_millis(1));
            }
            assert_eq!(client.req(n), Ok(n + 1));
            assert_eq!(block_on(client.areq(n)), Ok(n + 1));
            assert_eq!(client.req_async(n).unwrap().wait(), Ok(n + 1));
            let reply = client.request(n).timeout(LONG).wait();
            assert_eq!(reply.unwrap(), n + 1);
            let reply = block_on(client.request(n).timeout(LONG).urgent());
            assert_eq!(reply.unwrap(), n + 1);
            asked += 5;
        }
    }
    asked
}

#[test]
fn every_way_of_waiting_answers_every_way_of_asking() {
    must_end(|| {
        for spin in SPINS {
            for asynchronous in [false, true] {
                for capacity in [usize::MAX, 1] {
                    let ends = Builder::new().spin(spin).capacity(capacity).build();
                    let (server, client) = ends.unwrap();
                    let server = echo(server, asynchronous);
                    let asked = ask(&client);
                    let stats = client.stats();
                    assert_eq!(stats.replied, u64::from(asked));
                    assert_eq!(stats.accepted, stats.ended());
                    drop(client);
                    assert_eq!(server.join().unwrap(), asked);
                }
            }
        }
    });
}

#[test]
fn a_spin_bound_beyond_the_clock_is_accepted() {
    must_end(|| {
        let spin = Spin::UpTo(Duration::MAX);
        let (server, client) = Builder::new().spin(spin).build::<(), (), ()>().unwrap();
        let server = thread::spawn(move || server.wait().map(|_| ()));
        drop(client);
        assert_eq!(server.join().unwrap(), Err(Error::ClientsDisappeared));
    });
}

#[test]
fn the_usual_channel_is_unbounded_and_adapts() {
    assert_eq!(Spin::default(), Spin::Adaptive);
    let (_server, client) = Builder::default().build::<(), (), ()>().unwrap();
    assert_eq!(client.capacity(), None);
}

#[test]
fn a_builder_sets_the_capacity() {
    let refused = Builder::new().capacity(0).build::<(), (), ()>();
    assert_eq!(refused.unwrap_err(), ZeroCapacity);
    let (server, client) = Builder::new().capacity(1).build::<u8, (), ()>().unwrap();
    assert_eq!((server.capacity(), client.capacity()), (Some(1), Some(1)));
    client.post(1).wait().unwrap();
    let full = client.post(2).if_room().wait();
    assert!(matches!(full, Err(SendError::Full(2))));
}

/// The test is repeated from the start, because workers race most when they start and stop
/// waiting.
#[test]
fn a_request_is_taken_by_one_worker_only() {
    const EACH: u32 = 50;
    must_end(|| {
        for _ in 0..300 {
            let (server, client) = ump::channel::<(usize, u32), u32, ()>();
            let taken = Mutex::new(Vec::new());
            thread::scope(|scope| {
                let server = Arc::new(server);
                for _ in 0..3 {
                    let (server, taken) = (Arc::clone(&server), &taken);
                    scope.spawn(move || {
                        while let Ok(((caller, n), rctx)) = server.wait() {
                            taken.lock().unwrap().push((caller, n));
                            rctx.reply(n).unwrap();
                        }
                    });
                }
                drop(server);
                for caller in 0..4 {
                    let client = client.clone();
                    scope.spawn(move || {
                        for n in 0..EACH {
                            assert_eq!(client.req((caller, n)), Ok(n));
                        }
                    });
                }
                drop(client);
            });
            let mut taken = taken.into_inner().unwrap();
            taken.sort_unstable();
            let asked = (0..4).flat_map(|caller| (0..EACH).map(move |n| (caller, n)));
            assert_eq!(taken, asked.collect::<Vec<_>>());
        }
    });
}
