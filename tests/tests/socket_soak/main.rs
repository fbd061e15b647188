//! A soak of a loop with sockets: connections that come, go, stall, close one half and are reset,
//! with requests, timers, rebuilt handlers and datagrams beside. When all is quiet again, as many
//! descriptors are open and as much memory is in use as after the warm-up.
//!
//! It takes two seconds. `SOCKET_SOAK=600` makes that 600: `SOCKET_SOAK=600 cargo test --release -p
//! tests --test socket_soak -- --nocapture`.

#![cfg(target_os = "linux")]

mod gateway;
mod peers;
mod rng;

use std::{
    fmt, fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use tests::{LONG, Meter};
use ump_server::{OnPanic, Refused, Restart, thread::Builder};

use crate::{
    gateway::{Client, Gateway, Op, Sites},
    peers::{Counts, Targets},
    rng::Rng,
};

#[global_allocator]
static METER: Meter = Meter::new();

/// The memory that may be more: caches of threads and of the allocator's users.
const GROWTH: usize = 64 * 1024;
const PEERS: u64 = 8;

/// The resources of the process at a quiet moment.
struct Usage {
    descriptors: usize,
    bytes: usize,
    resident_kib: usize,
    sockets: usize,
}

impl Usage {
    fn now(client: &Client) -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.unwrap().trim().trim_end_matches(" kB");
        Self {
            descriptors: fs::read_dir("/proc/self/fd").unwrap().count(),
            sockets: client.req(Op::Sockets).unwrap(),
            resident_kib: resident.parse().unwrap(),
            // Last: the others allocate.
            bytes: METER.live(),
        }
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            descriptors,
            bytes,
            resident_kib,
            sockets,
        } = self;
        write!(
            f,
            "{descriptors} descriptors, {sockets} of them sockets of the loop; {bytes} bytes \
             allocated, {resident_kib} KiB resident"
        )
    }
}

/// Waits until the handler has no connections, and so many sockets as it listens with.
fn settle(client: &Client) {
    let until = Instant::now() + LONG;
    while client.req(Op::Sockets) != Ok(gateway::LISTENING) {
        assert!(Instant::now() < until, "connections are left");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Runs peers and requests for this time, until all have ended.
fn phase(time: Duration, targets: &Targets, client: &Client, rng: &mut Rng, counts: &Counts) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..PEERS {
            let (mut rng, stop) = (rng.fork(), &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    peers::run(targets, &mut rng, counts);
                }
            });
        }
        let (mut rng, stop) = (rng.fork(), &stop);
        scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                gateway::ask(client, targets, &mut rng, counts);
            }
        });
        thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
    });
    settle(client);
}

/// Prints no message of the panics that are asked for.
fn silence_expected_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref() != Some(&gateway::PANIC) {
            before(info);
        }
    }));
}

#[test]
fn connections_leave_neither_descriptors_nor_memory() {
    let seconds = std::env::var("SOCKET_SOAK").map_or(2, |it| it.parse().unwrap());
    let time = Duration::from_secs(seconds);
    let sites = Sites::new();
    let restart = Restart::new()
        .limit(u32::MAX, Duration::from_secs(1))
        .pause(Duration::from_millis(1), Duration::from_millis(1));
    let made = sites.clone();
    let (client, handle) = Builder::new()
        .name("gateway")
        .on_panic(OnPanic::Restart(restart))
        .spawn_with(move |cx| Gateway::new(cx, &made).map_err(|_| Refused))
        .unwrap();
    silence_expected_panics();
    let targets = sites.targets();
    let counts = Counts::default();
    let mut rng = Rng::new(seconds);

    // Twice: what is made once is made by then.
    phase(time / 8, &targets, &client, &mut rng, &counts);
    phase(time / 8, &targets, &client, &mut rng, &counts);
    let warm = Usage::now(&client);
    let begun = Instant::now();
    phase(time, &targets, &client, &mut rng, &counts);
    let end = Usage::now(&client);
    println!("{:?}: {counts}", begun.elapsed());
    println!("after the warm-up: {warm}\nat the end:        {end}");

    assert_eq!(end.sockets, warm.sockets);
    assert_eq!(end.descriptors, warm.descriptors);
    let grown = end.bytes.saturating_sub(warm.bytes);
    assert!(grown <= GROWTH, "{grown} bytes more");
    counts.assert_all_occurred();
    drop((client, targets));
    handle.join().unwrap();
}
