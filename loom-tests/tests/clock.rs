//! Models of virtual time. By the system's clock a deadline passes when the model says so. By a
//! manual clock it passes when the clock is advanced.
//!
//! The numbers in brackets are the invariants of `ump/src/time/manual.rs`.
#![cfg(loom)]

use std::{
    future::{Future, IntoFuture, poll_fn},
    pin::Pin,
    time::Duration,
};

use loom::thread;
use loom_tests::{NumberClient, NumberServer, answer, assert_settled, explore, explore_large};
use ump::{Builder, Clock, ManualClock, RequestError, WaitReply};

const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

fn channel(clock: &ManualClock) -> (NumberServer, NumberClient) {
    Builder::new().clock(clock.clock()).build().unwrap()
}

/// The future parks its thread while it is polled, and so consumes the park token.
#[test]
fn block_on_sees_a_wake_up_while_it_blocks() {
    explore_large(|| {
        let (server, client) = ump::channel::<u32, u32, ()>();
        let mut awaited = client.req_async(1).unwrap();
        let mut blocks = Some(client.req_async(2).unwrap());
        let server = thread::spawn(move || {
            let taken: Vec<_> = server.iter().take(2).collect();
            for (n, rctx) in taken {
                answer(n, rctx);
            }
        });
        let mut polls = 0;
        let future = poll_fn(|cx| {
            let poll = Pin::new(&mut awaited).poll(cx);
            polls += 1;
            // The first poll may come without a waker.
            if polls == 2 {
                assert_eq!(blocks.take().map(WaitReply::wait), Some(Ok(3)));
            }
            poll
        });
        assert_eq!(Clock::system().block_on(future, None), Some(Ok(2)));
        server.join().unwrap();
    });
}

/// [1]
#[test]
fn a_thread_that_falls_asleep_while_its_instant_passes_is_woken() {
    explore(|| {
        let manual = ManualClock::new();
        let clock = manual.clock();
        let until = manual.now() + WEEK;
        let sleeper = thread::spawn(move || clock.wait_until(until));
        manual.advance(WEEK);
        sleeper.join().unwrap();
        assert_eq!(manual.sleepers(), 0);
    });
}

/// [1]
#[test]
fn a_task_that_falls_asleep_while_its_instant_passes_is_woken() {
    explore(|| {
        let manual = ManualClock::new();
        let clock = manual.clock();
        let until = manual.now() + WEEK;
        let sleeper =
            thread::spawn(move || loom::future::block_on(clock.sleep_until(until)).unwrap());
        manual.advance(WEEK);
        sleeper.join().unwrap();
        assert_eq!(manual.sleepers(), 0);
    });
}

#[test]
fn wait_for_sleepers_is_woken_by_a_sleeper() {
    explore(|| {
        let manual = ManualClock::new();
        let clock = manual.clock();
        let until = manual.now() + WEEK;
        let sleeper = thread::spawn(move || clock.wait_until(until));
        manual.wait_for_sleepers(1);
        manual.advance(WEEK);
        sleeper.join().unwrap();
    });
}

#[test]
fn a_request_that_nobody_takes_ends_when_its_time_is_up() {
    explore(|| {
        let clock = ManualClock::new();
        let (server, client) = channel(&clock);
        let request = thread::spawn(move || client.request(1).timeout(WEEK).wait());
        clock.wait_for_sleepers(1);
        clock.advance(WEEK);
        let outcome = request.join().unwrap();
        assert!(matches!(outcome, Err(RequestError::TimeoutQueued(1))));
        assert_eq!(clock.sleepers(), 0);
        assert_settled(server.stats());
    });
}

#[test]
fn a_reply_and_the_end_of_the_time_race_for_one_outcome() {
    explore_large(|| {
        let clock = ManualClock::new();
        let (server, client) = channel(&clock);
        let deadline = clock.now() + WEEK;
        let request = thread::spawn(move || {
            let outcome = client.request(1).deadline(deadline).wait();
            (outcome, client)
        });
        let advancing = clock.clone();
        let advance = thread::spawn(move || advancing.advance(WEEK));
        if let Ok(Some((_, rctx))) = server.wait_deadline(deadline) {
            let _ = rctx.reply(2);
        }
        advance.join().unwrap();
        let (outcome, _client) = request.join().unwrap();
        assert!(matches!(
            outcome,
            Ok(2) | Err(RequestError::TimeoutQueued(1) | RequestError::TimeoutTaken)
        ));
        assert_eq!(clock.sleepers(), 0);
        assert_settled(server.stats());
    });
}

/// One sender waits for the room of an expired post. Another one only checks for room, and is
/// rejected if the first one is already in the wait queue.
#[test]
fn room_of_an_expired_post_goes_to_the_first_waiting_sender() {
    for awaits in [false, true] {
        explore(move || {
            let clock = ManualClock::new();
            let builder = Builder::new().clock(clock.clock()).capacity(1);
            let (server, client) = builder.build::<u32, u32, ()>().unwrap();
            client.post(1).timeout(WEEK).wait().unwrap();
            let other = client.clone();
            let waiting = thread::spawn(move || {
                let post = other.post(2);
                let posted = if awaits {
                    loom::future::block_on(post.into_future())
                } else {
                    post.wait()
                };
                posted.unwrap();
            });
            clock.advance(WEEK);
            if client.post(3).if_room().wait().is_ok() {
                assert_eq!(server.try_pop().unwrap().unwrap().0, 3);
            }
            // No other thread makes room for this sender.
            waiting.join().unwrap();
            assert_eq!(server.try_pop().unwrap().unwrap().0, 2);
            let stats = server.stats();
            assert_eq!(stats.timeout_queued, 1);
            assert_settled(stats);
        });
    }
}
