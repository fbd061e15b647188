//! How a deadline is set.

use super::*;

#[test]
fn a_zero_timeout_has_passed_at_once() {
    let (server, client): Ends = ump::channel();
    let outcome = client.request(1).timeout(Duration::ZERO).wait();
    assert!(matches!(outcome, Err(RequestError::TimeoutQueued(1))));
    let outcome = block_on(client.request(2).timeout(Duration::ZERO));
    assert!(matches!(outcome, Err(RequestError::TimeoutQueued(2))));
    let outcome = client.post(3).timeout(Duration::ZERO).wait();
    assert!(matches!(outcome, Err(SendError::TimeoutQueued(3))));
    assert_eq!(server.stats(), stats_with(|stats| stats.refused = 3));
}

#[test]
fn a_timeout_beyond_the_clock_is_no_deadline() {
    let (server, client): Ends = ump::channel();
    let waited = client.request(1).timeout(FOR_EVER).submit();
    let mut waited = waited.wait().unwrap();
    let mut awaited = client.request(2).timeout(FOR_EVER).into_future();
    assert!(poll_once(&mut awaited).is_pending());
    client.post(3).timeout(FOR_EVER).wait().unwrap();
    for _ in 0..3 {
        let (n, rctx) = server.try_pop().unwrap().unwrap();
        assert_eq!(rctx.deadline(), None);
        rctx.reply(n * 10).unwrap();
    }
    assert!(matches!(poll_once(&mut waited), Poll::Ready(Ok(10))));
    assert!(matches!(poll_once(&mut awaited), Poll::Ready(Ok(20))));
}

#[test]
fn the_last_deadline_that_is_set_counts() {
    let (server, client): Ends = ump::channel();
    let far = Instant::now() + LONG;
    let never = client.request(1).timeout(Duration::ZERO).timeout(FOR_EVER);
    let never = never.submit().wait().unwrap();
    let late = client.request(2).timeout(Duration::ZERO).deadline(far);
    let late = late.submit().wait().unwrap();
    let early = client.request(3).deadline(far).timeout(Duration::ZERO);
    assert!(early.submit().wait().is_err());
    assert_eq!(server.wait().unwrap().1.deadline(), None);
    assert_eq!(server.wait().unwrap().1.deadline(), Some(far));
    drop((never, late));
}

#[test]
fn a_timeout_counts_from_when_it_is_set() {
    let (server, client): Ends = ump::channel();
    let time = Duration::from_millis(2);
    let (mut waiting, blocking, post) = (
        client.request(1).timeout(time).into_future(),
        client.request(2).timeout(time),
        client.post(3).timeout(time),
    );
    pass(Instant::now() + time);
    assert!(matches!(
        poll_once(&mut waiting),
        Poll::Ready(Err(RequestError::TimeoutQueued(1)))
    ));
    assert!(matches!(
        blocking.wait(),
        Err(RequestError::TimeoutQueued(2))
    ));
    assert!(matches!(post.wait(), Err(SendError::TimeoutQueued(3))));
    assert_eq!(server.stats(), stats_with(|stats| stats.refused = 3));
}
