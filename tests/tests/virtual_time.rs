//! With a manual clock a week passes at once, but not before it is advanced: see `ManualClock`.

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

/// Makes tests of waits. Each wait runs on a thread of its own, with the ends that `scene` makes
/// from a clock. It returns true if it ended correctly when a week has passed.
macro_rules! a_week_passes {
    ($($test:ident: $scene:expr, |$ends:pat_param| $wait:expr;)+) => {$(
        #[test]
        fn $test() {
            must_end(|| {
                let clock = ManualClock::new();
                let end = clock.now() + WEEK;
                let ends = $scene(&clock);
                let waits = thread::spawn(move || {
                    let $ends = ends;
                    $wait
                });
                clock.wait_for_sleepers(1);
                clock.advance(NEARLY);
                eventually(|| clock.next_wake() == Some(end));
                assert!(!waits.is_finished());
                clock.advance(MOMENT);
                assert!(waits.join().unwrap());
                assert_eq!((clock.sleepers(), clock.now()), (0, end));
            });
        }
    )+};
}

mod blocking {
    use super::*;

    a_week_passes! {
        a_request_that_nobody_takes: channel, |(_server, client)| {
            is_too_late(&client.request(1).timeout(WEEK).wait())
        };
        a_request_with_a_deadline: channel, |(_server, client)| {
            let deadline = client.clock().now() + WEEK;
            is_too_late(&client.request(1).deadline(deadline).wait())
        };
        a_request_that_nobody_answers: |clock: &_| taken(clock, WEEK), |(_rctx, reply)| {
            matches!(reply.wait(), Err(RequestError::TimeoutTaken))
        };
        a_request_that_waits_for_room: full, |(_server, client)| {
            is_too_late(&client.request(1).timeout(WEEK).wait())
        };
        a_post_that_waits_for_room: full, |(_server, client)| {
            matches!(client.post(1).timeout(WEEK).wait(), Err(SendError::TimeoutQueued(1)))
        };
        a_wait_for_a_reply_with_a_timeout: channel, |(_server, client)| {
            client.req_async(1).unwrap().wait_timeout(WEEK).is_err()
        };
        a_wait_for_a_reply_with_a_deadline: channel, |(_server, client)| {
            let deadline = client.clock().now() + WEEK;
            client.req_async(1).unwrap().wait_deadline(deadline).is_err()
        };
        a_wait_for_longer_than_the_request_has: channel, |(_server, client)| {
            let outcome = submit(&client, WEEK).wait_timeout(2 * WEEK);
            is_too_late(&outcome.expect("it has ended"))
        };
        a_wait_for_many_replies: channel, |(_server, client)| {
            let mut replies = Gather::from_iter([((), client.req_async(1).unwrap())]);
            replies.wait_timeout(WEEK).is_none()
        };
        a_wait_for_many_of_which_one_has_a_deadline: channel, |(_server, client)| {
            let mut replies = Gather::from_iter([((), submit(&client, WEEK))]);
            is_too_late(&replies.wait().expect("it has ended").1)
        };
        a_wait_for_a_request: channel, |(server, _client)| {
            server.wait_timeout(WEEK).unwrap().is_none()
        };
        a_wait_for_a_request_with_a_deadline: channel, |(server, _client)| {
            let deadline = server.clock().now() + WEEK;
            server.wait_deadline(deadline).unwrap().is_none()
        };
        a_wait_for_the_caller_to_leave: |clock: &_| taken(clock, 2 * WEEK), |(mut rctx, _reply)| {
            !rctx.wait_cancelled(WEEK)
        };
        a_wait_for_the_callers_deadline: |clock: &_| taken(clock, WEEK), |(mut rctx, _reply)| {
            rctx.wait_cancelled(2 * WEEK)
        };
        a_thread_that_sleeps: ManualClock::clock, |clock| {
            let end = clock.now() + WEEK;
            clock.wait_until(end);
            clock.now() == end
        };
    }
}

mod asynchronous {
    use super::*;

    a_week_passes! {
        a_request_that_nobody_takes: channel, |(_server, client)| {
            is_too_late(&block_on(client.request(1).timeout(WEEK)))
        };
        a_request_that_nobody_answers: |clock: &_| taken(clock, WEEK), |(_rctx, reply)| {
            matches!(block_on(reply), Err(RequestError::TimeoutTaken))
        };
        a_request_that_waits_for_room: full, |(_server, client)| {
            is_too_late(&block_on(client.request(1).timeout(WEEK)))
        };
        a_submission_that_waits_for_room: full, |(_server, client)| {
            let submitted = block_on(client.request(1).timeout(WEEK).submit());
            matches!(submitted, Err(SendError::TimeoutQueued(1)))
        };
        a_post_that_waits_for_room: full, |(_server, client)| {
            matches!(block_on(client.post(1).timeout(WEEK)), Err(SendError::TimeoutQueued(1)))
        };
        a_wait_for_many_of_which_one_has_a_deadline: channel, |(_server, client)| {
            let mut replies = Gather::from_iter([((), submit(&client, WEEK))]);
            is_too_late(&tests::ends::next(&mut replies).expect("it has ended").1)
        };
        a_wait_for_the_callers_deadline: |clock: &_| taken(clock, WEEK), |(mut rctx, _reply)| {
            block_on(rctx.cancelled());
            rctx.is_cancelled()
        };
        a_task_that_sleeps: ManualClock::clock, |clock| {
            let end = clock.now() + WEEK;
            block_on(clock.sleep_until(end)).unwrap();
            clock.now() == end
        };
    }
}

#[test]
fn a_request_that_is_overdue_is_not_handed_out() {
    let clock = ManualClock::new();
    let (server, client) = channel(&clock);
    let reply = submit(&client, WEEK);
    let post = client.post(2).timeout(WEEK).wait();
    assert!(post.is_ok());
    clock.advance(WEEK);
    assert!(server.try_pop().unwrap().is_none());
    assert!(is_too_late(&reply.wait()));
    assert_eq!(
        server.stats(),
        stats_with(|s| (s.accepted, s.timeout_queued) = (2, 2))
    );
}

#[test]
fn a_request_that_is_nearly_overdue_is_handed_out() {
    let clock = ManualClock::new();
    let (server, client) = channel(&clock);
    let reply = submit(&client, WEEK);
    clock.advance(NEARLY);
    let (_, rctx) = server.try_pop().unwrap().expect("it is in time");
    assert!(!rctx.is_cancelled());
    rctx.reply(7).unwrap();
    assert_eq!(reply.wait().unwrap(), 7);
}

#[test]
fn a_handler_sees_that_the_deadline_has_passed() {
    let clock = ManualClock::new();
    let (rctx, _reply) = taken(&clock, WEEK);
    clock.advance(WEEK);
    assert!(rctx.is_cancelled());
}

#[test]
fn a_request_dropped_after_its_deadline_timed_out() {
    let clock = ManualClock::new();
    let (rctx, reply) = taken(&clock, WEEK);
    clock.advance(WEEK);
    drop(rctx);
    assert!(matches!(reply.wait(), Err(RequestError::TimeoutTaken)));
}

#[test]
fn a_glance_at_a_reply_minds_the_deadline() {
    let clock = ManualClock::new();
    let (_server, client) = channel(&clock);
    let reply = submit(&client, WEEK).try_get().unwrap_err();
    clock.advance(WEEK);
    assert!(is_too_late(&reply.try_get().expect("it has ended")));
}

#[test]
fn a_request_late_from_the_start_is_not_made() {
    let clock = ManualClock::new();
    let (server, client) = channel(&clock);
    let request = client.request(1).timeout(WEEK);
    clock.advance(WEEK);
    assert!(is_too_late(&request.wait()));
    assert_eq!(server.stats(), stats_with(|s| s.refused = 1));
}

#[test]
fn the_time_of_the_system_does_not_matter() {
    let clock = ManualClock::new();
    let (server, client) = channel(&clock);
    let reply = submit(&client, MOMENT);
    let start = Instant::now();
    eventually(|| start.elapsed() > Duration::from_millis(1));
    assert!(reply.try_get().is_err(), "dropped, it is cancelled");
    assert_eq!(
        server.stats(),
        stats_with(|s| (s.accepted, s.cancelled_queued) = (1, 1))
    );
}

#[test]
fn sleepers_wake_in_order_at_their_instants() {
    let clock = ManualClock::new();
    let start = clock.now();
    let log = Arc::new(Mutex::new(Vec::new()));
    let days = [5_u32, 2, 6, 2, 1];
    let sleeps: Vec<_> = (0..)
        .zip(days)
        .map(|(name, day)| {
            let (log, times) = (Arc::clone(&log), clock.clone());
            let waker = Hook::on_wake(move || {
                let day = (times.now() - start).as_secs() / 86_400;
                log.lock().unwrap().push((name, day));
            });
            let mut sleep = clock.clock().sleep_until(start + day * (WEEK / 7));
            let polled = pin!(&mut sleep).poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            sleep
        })
        .collect();
    assert_eq!(clock.next_wake(), Some(start + WEEK / 7));
    clock.advance(WEEK);
    assert_eq!(
        *log.lock().unwrap(),
        [(4, 1), (1, 2), (3, 2), (0, 5), (2, 6)]
    );
    assert_eq!((clock.sleepers(), clock.next_wake()), (0, None));
    drop(sleeps);
}

#[test]
fn threads_are_woken_in_the_order_of_their_instants() {
    must_end(|| {
        let clock = ManualClock::new();
        let (woken, order) = mpsc::channel();
        let threads: Vec<_> = [3, 1, 2]
            .into_iter()
            .map(|days| {
                let (clock, woken) = (clock.clock(), woken.clone());
                thread::spawn(move || {
                    clock.wait_until(clock.now() + days * (WEEK / 7));
                    woken.send(days).unwrap();
                })
            })
            .collect();
        clock.wait_for_sleepers(3);
        for days in 1..=3 {
            clock.advance_to(clock.next_wake().expect("somebody sleeps"));
            assert_eq!(order.recv().unwrap(), days);
        }
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

/// Sleeps for a day, and starts the next sleep in the waker, like a task whose executor runs it at
/// once.
fn sleep_by_the_day(clock: &ManualClock, days: &Arc<Mutex<Vec<Sleep>>>) {
    let mut sleep = clock.clock().sleep_until(clock.now() + WEEK / 7);
    let waker = {
        let (clock, days) = (clock.clone(), Arc::clone(days));
        Hook::on_wake(move || {
            assert_eq!(clock.now(), days.lock().unwrap().last().unwrap().deadline());
            sleep_by_the_day(&clock, &days);
        })
    };
    let polled = pin!(&mut sleep).poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    days.lock().unwrap().push(sleep);
}

#[test]
fn one_advance_wakes_a_sleeper_again() {
    let clock = ManualClock::new();
    let days = Arc::default();
    sleep_by_the_day(&clock, &days);
    let eighth = clock.now() + 8 * (WEEK / 7);
    clock.advance(WEEK);
    // The sleeps are dropped outside the lock, like their wakers.
    let days = std::mem::take(&mut *days.lock().unwrap());
    assert_eq!((days.len(), clock.next_wake()), (8, Some(eighth)));
}

#[test]
fn a_sleep_that_is_dropped_leaves_nothing_behind() {
    let clock = ManualClock::new();
    let counter = CountingWaker::new();
    let mut sleep = clock.clock().sleep_until(clock.now() + WEEK);
    assert_eq!(clock.sleepers(), 0, "nothing before the first poll");
    assert!(poll_with(&mut sleep, &counter).is_pending());
    assert_eq!((clock.sleepers(), counter.wakers()), (1, 1));
    drop(sleep);
    assert_eq!(
        (clock.sleepers(), counter.wakers(), clock.next_wake()),
        (0, 0, None)
    );
    clock.advance(WEEK);
    assert_eq!(counter.wakes(), 0);
}

#[test]
fn ended_deadline_futures_leave_no_timer() {
    let clock = ManualClock::new();
    let (server, client) = channel(&clock);
    let mut request = client.request(1).timeout(WEEK).into_future();
    assert!(poll_once(&mut request).is_pending());
    assert!(poll_once(&mut request).is_pending());
    assert_eq!(clock.sleepers(), 1);
    drop(request);
    assert_eq!(clock.sleepers(), 0);

    let mut request = client.request(1).timeout(WEEK).into_future();
    assert!(poll_once(&mut request).is_pending());
    assert!(poll_once(&mut request).is_pending());
    server.wait().unwrap().1.reply(2).unwrap();
    assert!(matches!(poll_once(&mut request), Poll::Ready(Ok(2))));
    assert_eq!(clock.sleepers(), 0);

    let (mut rctx, _reply) = taken(&clock, WEEK);
    let mut cancelled = rctx.cancelled();
    assert!(poll_once(&mut cancelled).is_pending());
    assert_eq!(clock.sleepers(), 1);
    drop(cancelled);
    assert_eq!(clock.sleepers(), 0);
}

#[test]
fn a_thread_woken_otherwise_leaves_no_timer() {
    must_end(|| {
        let clock = ManualClock::new();
        let (server, client) = channel(&clock);
        let asks = thread::spawn(move || client.request(1).timeout(WEEK).wait().unwrap());
        clock.wait_for_sleepers(1);
        server.wait().unwrap().1.reply(2).unwrap();
        assert_eq!(asks.join().unwrap(), 2);
        assert_eq!(clock.sleepers(), 0);
    });
}

#[test]
fn a_sleep_polled_by_another_task_wakes_the_latest() {
    let clock = ManualClock::new();
    let (first, second) = (CountingWaker::new(), CountingWaker::new());
    let mut sleep = clock.clock().sleep_until(clock.now() + WEEK);
    assert!(poll_with(&mut sleep, &first).is_pending());
    assert!(poll_with(&mut sleep, &second).is_pending());
    assert_eq!((clock.sleepers(), first.wakers()), (1, 0));
    clock.advance(WEEK);
    assert_eq!((first.wakes(), second.wakes()), (0, 1));
    assert!(poll_with(&mut sleep, &second).is_ready());
}

#[test]
fn a_sleep_until_a_past_instant_is_ready_at_once() {
    let clock = ManualClock::new();
    assert!(poll_once(&mut clock.clock().sleep_until(clock.now())).is_ready());
    clock.clock().wait_until(clock.now());
    let system = Clock::system();
    assert!(poll_once(&mut system.sleep_until(system.now())).is_ready());
    system.wait_until(system.now());
}

#[test]
fn wakers_may_use_the_clock_in_any_way() {
    must_end(|| {
        let clock = ManualClock::new();
        let counter = CountingWaker::new();
        let mut later = clock.clock().sleep_until(clock.now() + 2 * WEEK);
        assert!(poll_with(&mut later, &counter).is_pending());
        let within = clock.clone();
        let waker = Hook::on_wake(move || {
            assert_eq!(within.sleepers(), 1);
            within.advance(WEEK);
        });
        let mut sleep = clock.clock().sleep_until(clock.now() + WEEK);
        let polled = pin!(&mut sleep).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        let end = clock.now() + 2 * WEEK;
        clock.advance(WEEK);
        assert_eq!(
            (counter.wakes(), clock.now()),
            (1, end),
            "time does not go back"
        );
    });
}

#[test]
fn a_waker_that_is_dropped_may_use_the_clock() {
    must_end(|| {
        let clock = ManualClock::new();
        let mut sleep = clock.clock().sleep_until(clock.now() + WEEK);
        let within = clock.clone();
        let waker = Hook::on_drop(move || assert!(within.sleepers() <= 1));
        let polled = pin!(&mut sleep).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        assert!(poll_once(&mut sleep).is_pending());
        drop(sleep);
    });
}

#[test]
fn a_panicking_waker_does_not_stop_other_wake_ups() {
    let clock = ManualClock::new();
    let counter = CountingWaker::new();
    let until = clock.now() + WEEK;
    let mut first = clock.clock().sleep_until(until);
    let waker = Hook::on_wake(|| std::panic::resume_unwind(Box::new("on purpose")));
    assert!(
        pin!(&mut first)
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    let mut second = clock.clock().sleep_until(until);
    assert!(poll_with(&mut second, &counter).is_pending());
    clock.advance(WEEK);
    assert_eq!(counter.wakes(), 1);
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
#[should_panic(expected = "further than the clock can tell")]
fn a_clock_is_not_advanced_beyond_its_range() {
    ManualClock::new().advance(Duration::MAX);
}

#[test]
fn a_timeout_beyond_a_manual_clock_is_no_deadline() {
    let clock = ManualClock::new();
    let (server, client) = channel(&clock);
    let reply = submit(&client, Duration::MAX);
    assert_eq!(server.wait().unwrap().1.deadline(), None);
    assert!(matches!(reply.wait(), Err(RequestError::NoReply(_))));
}

#[test]
fn one_knows_when_enough_have_fallen_asleep() {
    must_end(|| {
        let clock = ManualClock::new();
        let mut sleeps: Vec<_> = (1..=3)
            .map(|n| clock.clock().sleep_until(clock.now() + n * WEEK))
            .collect();
        clock.wait_for_sleepers(0);
        let watch = |count| {
            let clock = clock.clone();
            thread::spawn(move || clock.wait_for_sleepers(count))
        };
        let (two, three) = (watch(2), watch(3));
        sleeps[..2].iter_mut().for_each(|sleep| {
            assert!(poll_once(sleep).is_pending());
        });
        two.join().unwrap();
        assert!(!three.is_finished());
        assert!(poll_once(&mut sleeps[2]).is_pending());
        three.join().unwrap();
    });
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

#[test]
fn block_on_drives_a_future_until_its_deadline() {
    let manual = ManualClock::new();
    let clock = manual.clock();
    let (start, deadline) = (clock.now(), clock.now() + WEEK);
    let driver = thread::spawn(move || {
        // The first future completes, because its waker is woken. The second never completes, so
        // the call ends at the deadline.
        let slept = clock.block_on(clock.sleep_until(start + NEARLY), Some(deadline));
        slept.expect("in time").unwrap();
        let never = clock.block_on(std::future::pending::<()>(), Some(deadline));
        (never, clock.now())
    });
    manual.wait_for_sleepers(2);
    manual.advance(NEARLY);
    manual.wait_for_sleepers(1);
    manual.advance(MOMENT);
    assert_eq!(driver.join().unwrap(), (None, start + WEEK));
}

#[test]
fn a_ready_result_is_found_after_the_deadline() {
    let manual = ManualClock::new();
    let clock = manual.clock();
    let past = Some(clock.now());
    assert_eq!(clock.block_on(std::future::ready(1), past), Some(1));
    assert_eq!(clock.block_on(std::future::pending::<u32>(), past), None);
}

#[test]
fn block_on_polls_whenever_woken() {
    let manual = ManualClock::new();
    let deadline = manual.clock().now() + WEEK;
    for (clock, deadline) in [
        (Clock::system(), None),
        (manual.clock(), None),
        (manual.clock(), Some(deadline)),
    ] {
        let is_ready = Arc::new(AtomicBool::new(false));
        let (polled, polls) = mpsc::channel();
        let look = Arc::clone(&is_ready);
        let driver = thread::spawn(move || {
            let future = poll_fn(|cx| {
                polled.send(cx.waker().clone()).unwrap();
                if look.load(Ordering::SeqCst) {
                    return Poll::Ready(());
                }
                Poll::Pending
            });
            clock.block_on(future, deadline)
        });
        must_end(move || {
            // The first call only checks whether there is something to wait for.
            polls.recv().unwrap();
            polls.recv().unwrap().wake();
            let in_vain = polls.recv().unwrap();
            is_ready.store(true, Ordering::SeqCst);
            in_vain.wake();
            assert_eq!(driver.join().unwrap(), Some(()));
        });
    }
}
