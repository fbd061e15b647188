//! Deadlines of requests by a manual clock.

use super::*;

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
fn try_get_sees_that_the_deadline_has_passed() {
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
fn a_timeout_beyond_a_manual_clock_is_no_deadline() {
    let clock = ManualClock::new();
    let (server, client) = channel(&clock);
    let reply = submit(&client, Duration::MAX);
    assert_eq!(server.wait().unwrap().1.deadline(), None);
    assert!(matches!(reply.wait(), Err(RequestError::NoReply(_))));
}
