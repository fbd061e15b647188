//! `try_pop`, `wait_timeout` and `wait_deadline`.

use super::*;

// ---- try_pop

#[test]
fn try_pop_distinguishes_empty_from_ended() {
    let (server, client): Ends = ump::channel();
    assert!(matches!(server.try_pop(), Ok(None)));
    post(&client, [7]);
    drop(client);
    assert!(matches!(server.try_pop(), Ok(Some((7, _)))));
    assert!(matches!(server.try_pop(), Err(Error::ClientsDisappeared)));
}

// ---- wait_timeout, wait_deadline

#[test]
fn a_timed_wait_ends_after_its_time() {
    let (server, _client): Ends = ump::channel();
    let time = Duration::from_millis(2);
    let start = Instant::now();
    assert!(matches!(server.wait_timeout(time), Ok(None)));
    assert!(start.elapsed() >= time);
    let deadline = Instant::now() + time;
    assert!(matches!(server.wait_deadline(deadline), Ok(None)));
    assert!(Instant::now() >= deadline);
    assert!(matches!(server.wait_timeout(Duration::ZERO), Ok(None)));
}

#[test]
fn a_passed_deadline_still_takes_a_queued_request() {
    let (server, client): Ends = ump::channel();
    post(&client, [1, 2, 3]);
    let past = Instant::now();
    pass(past);
    assert!(matches!(server.wait_deadline(past), Ok(Some((1, _)))));
    assert!(matches!(
        server.wait_timeout(Duration::ZERO),
        Ok(Some((2, _)))
    ));
    drop(client);
    assert!(matches!(server.wait_deadline(past), Ok(Some((3, _)))));
    assert!(matches!(
        server.wait_deadline(past),
        Err(Error::ClientsDisappeared)
    ));
}

#[test]
fn a_timed_wait_takes_a_request_that_comes() {
    for time in [LONG, Duration::MAX] {
        let (server, client): Ends = ump::channel();
        thread::scope(|scope| {
            let taken = scope.spawn(|| server.wait_timeout(time).unwrap().unwrap().0);
            post(&client, [7]);
            assert_eq!(taken.join().unwrap(), 7);
            let end = scope.spawn(|| server.wait_timeout(time).map(drop));
            drop(client);
            assert_eq!(end.join().unwrap(), Err(Error::ClientsDisappeared));
        });
    }
}

/// A receiver that times out must leave the wait queue. Otherwise it would swallow the wake-up of
/// another one.
#[test]
fn a_timed_out_server_leaves_the_queue() {
    let (server, client): Ends = ump::channel();
    assert!(
        server
            .wait_timeout(Duration::from_micros(1))
            .unwrap()
            .is_none()
    );
    let counter = CountingWaker::new();
    let mut waiting = pin!(server.async_wait());
    assert!(poll_with(&mut waiting, &counter).is_pending());
    post(&client, [7]);
    assert_eq!(counter.wakes(), 1);
    assert!(poll_once(&mut waiting).is_ready());
}
