//! Messages that wait for a peer, which does not read or grants nothing.

use ump::ManualClock;
use ump_router::{
    RecvError, Router,
    link::wire::{Limits, Message},
};

use crate::{
    raw::{LIMITS, Raw, subscribe},
    support::{LONG, OtherPrice, await_told},
};

/// The resident memory of this process in bytes, if the system tells.
fn memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * 4096)
}

#[test]
fn a_peer_that_does_not_read_costs_bounded_memory() {
    // No time passes at the hub, which would give up a peer that does not read.
    let clock = ManualClock::new();
    let (hub, leaf) = (Router::with_clock(clock.clock()), crate::support::router());
    for router in [&hub, &leaf] {
        router.carry::<OtherPrice>().unwrap();
    }
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    let address = listener.address().to_string();
    let mut stalled = Raw::open(&address, LIMITS);
    let much = (1 << 40, 1 << 50);
    stalled.send(&[subscribe(1, "price/**", much)]).unwrap();
    await_told(&hub, "price/**");
    let mut all = leaf.subscribe::<OtherPrice>("x").unwrap();
    let link = leaf.connect(&address).unwrap();
    await_told(&hub, "price/x");
    let before = memory();
    // Of 160 MB in all, at most 4096 messages wait for a link, and some more in its session.
    let total = 16_000;
    let (mut seen, mut count) = (0, 0);
    for nth in 1..=total {
        let text = "x".repeat(10_000);
        hub.publish("x", OtherPrice { text }).wait().unwrap();
        // The good one is served meanwhile.
        while nth % 50 == 0 && seen < nth {
            match all.recv().wait_timeout(LONG) {
                Ok(message) => {
                    assert!(message.is_some(), "a message in time");
                    (seen, count) = (seen + 1, count + 1);
                }
                Err(RecvError::Missed(missed)) => seen += missed,
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert!(count > 0);
    if let (Some(before), Some(after)) = (before, memory()) {
        let grown = after.saturating_sub(before);
        assert!(grown < 100 << 20, "{grown} bytes more");
    }
    // It reads at last: what had no room is told.
    stalled.send(&[Message::Window { bytes: 1 << 40 }]).unwrap();
    let (mut received, mut missed) = (0, 0);
    while received + missed < total {
        let message = stalled.receive();
        let message = message.unwrap_or_else(|error| panic!("{received} {missed}: {error}"));
        match message.expect("an open link") {
            Message::Publish { .. } => received += 1,
            Message::Gap { missed: count, .. } => missed += count,
            _ => {}
        }
    }
    assert!(received > 0 && missed > 0);
    drop(link);
}

#[test]
fn what_waits_for_a_window_is_sent_when_it_comes() {
    // No time passes at the hub, so that no ping sets it going.
    let clock = ManualClock::new();
    let hub = Router::with_clock(clock.clock());
    hub.carry::<OtherPrice>().unwrap();
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    let limits = Limits {
        frame: 4096,
        window: 10_000,
        ..LIMITS
    };
    let mut peer = Raw::open(&listener.address().to_string(), limits);
    peer.send(&[subscribe(1, "price/**", (1 << 40, 1 << 50))])
        .unwrap();
    await_told(&hub, "price/**");
    let total = 4000;
    for _ in 0..total {
        let text = "x".repeat(1000);
        hub.publish("x", OtherPrice { text }).wait().unwrap();
    }
    // More than the session holds while it waits: what is in the queue behind it has to follow.
    let (mut granted, mut used, mut received) = (limits.window, 0, 0);
    while received < total {
        match peer.receive().unwrap().expect("an open link") {
            Message::Publish { to, payload, .. } => {
                received += 1;
                used += (8 + 7 + 4 * to.len() + payload.len()) as u64;
            }
            Message::Gap { missed, .. } => panic!("{missed} missed"),
            _ => {}
        }
        if granted - used < 2000 {
            granted += 300_000;
            peer.send(&[Message::Window { bytes: granted }]).unwrap();
        }
    }
}
