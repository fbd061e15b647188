//! With a manual clock a week passes at once, but not before it is advanced: see `ManualClock`.

mod block_on;
mod deadlines;
mod sleepers;
mod waits;

use std::{
    future::{Future, IntoFuture, poll_fn},
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    task::{Context, Poll},
    thread,
    time::{Duration, Instant},
};

use tests::{
    CountingWaker, Hook, block_on, eventually, must_end, poll_once, poll_with, stats_with,
};
use ump::{
    Builder, Client, Clock, Gather, ManualClock, ReplyContext, RequestError, SendError, Server,
    Sleep, WaitReply,
};

const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const MOMENT: Duration = Duration::from_nanos(1);
const NEARLY: Duration = WEEK.checked_sub(MOMENT).unwrap();

type Ends = (Server<u32, u32, ()>, Client<u32, u32, ()>);
type Submitted = WaitReply<u32, (), RequestError<u32, ()>>;

fn channel(clock: &ManualClock) -> Ends {
    Builder::new().clock(clock.clock()).build().unwrap()
}

/// A channel with no room.
fn full(clock: &ManualClock) -> Ends {
    let builder = Builder::new().clock(clock.clock()).capacity(1);
    let (server, client) = builder.build().unwrap();
    client.post(0).wait().unwrap();
    (server, client)
}

fn submit(client: &Client<u32, u32, ()>, timeout: Duration) -> Submitted {
    client.request(1).timeout(timeout).submit().wait().unwrap()
}

/// A taken request and its pending reply.
fn taken(clock: &ManualClock, timeout: Duration) -> (ReplyContext<u32, ()>, Submitted) {
    let (server, client) = channel(clock);
    let reply = submit(&client, timeout);
    (server.wait().unwrap().1, reply)
}

fn is_too_late<R>(outcome: &Result<R, RequestError<u32, ()>>) -> bool {
    matches!(outcome, Err(RequestError::TimeoutQueued(1)))
}

#[test]
fn time_does_not_go_back() {
    let clock = ManualClock::new();
    let start = clock.now();
    clock.advance(WEEK);
    clock.advance_to(start);
    assert_eq!(clock.now(), start + WEEK);
    assert_eq!(clock.clock().now(), start + WEEK);
}

#[test]
#[should_panic(expected = "a time so far ahead")]
fn a_clock_is_not_advanced_beyond_its_range() {
    ManualClock::new().advance(Duration::MAX);
}

#[test]
fn channels_go_by_the_clock_they_were_made_with() {
    let clock = ManualClock::new();
    let (server, client) = channel(&clock);
    assert!(server.clock().is_manual() && client.clone().clock().is_manual());
    assert!(client.weak().upgrade().unwrap().clock().is_manual());
    let (server, client): Ends = ump::channel();
    assert!(!server.clock().is_manual() && !client.clock().is_manual());
    assert!(!Clock::default().is_manual());
}

#[test]
fn a_gathering_goes_by_the_clock_of_its_requests() {
    must_end(|| {
        let (by_nobody, by_system): Ends = ump::channel();
        let clock = ManualClock::new();
        let (_server, client) = channel(&clock);
        let mut replies = Gather::from_iter([(0, by_system.req_async(0).unwrap())]);
        assert!(replies.wait_timeout(MOMENT).is_none());
        drop(by_nobody);
        assert!(replies.wait().is_some());
        // The system clock was not used.
        replies.push(1, client.req_async(1).unwrap());
        let waits = thread::spawn(move || replies.wait_timeout(WEEK).is_none());
        clock.wait_for_sleepers(1);
        clock.advance(WEEK);
        assert!(waits.join().unwrap());
    });
}
