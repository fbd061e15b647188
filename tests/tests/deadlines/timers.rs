//! The timers of waiting futures.

use super::*;

#[test]
fn the_task_that_polled_last_is_woken_at_the_deadline() {
    let (_ends, mut reply, first, last) = with_growing_time(|time| {
        let (first, last) = (CountingWaker::new(), CountingWaker::new());
        let (server, client): Ends = ump::channel();
        let request = client.request(7).timeout(time);
        let mut reply = request.submit().wait().ok()?;
        let pending =
            poll_with(&mut reply, &first).is_pending() && poll_with(&mut reply, &last).is_pending();
        pending.then_some(((server, client), reply, first, last))
    });
    assert_eq!(first.wakers(), 0);
    eventually(|| last.wakes() > 0);
    assert_eq!(first.wakes(), 0);
    assert!(matches!(
        poll_once(&mut reply),
        Poll::Ready(Err(RequestError::TimeoutQueued(7)))
    ));
    // The timer thread drops the waker after it has called it.
    eventually(|| last.wakers() == 0);
}

#[test]
fn waiting_for_room_ends_at_the_deadline_without_room() {
    let (server, client): Ends = ump::bounded(1).unwrap();
    client.post(0).wait().unwrap();
    let counter = CountingWaker::new();
    let mut post = client
        .post(7)
        .timeout(Duration::from_millis(5))
        .into_future();
    let mut polled = poll_with(&mut post, &counter);
    if polled.is_pending() {
        eventually(|| counter.wakes() > 0);
        polled = poll_with(&mut post, &counter);
    }
    assert!(matches!(
        polled,
        Poll::Ready(Err(SendError::TimeoutQueued(7)))
    ));
    // The timer thread drops the waker after it has called it.
    eventually(|| counter.wakers() == 0);
    assert_eq!(server.stats().refused, 1);
}

/// After a future has completed, its timer no longer wakes the task.
#[test]
fn a_ready_future_keeps_no_timer() {
    let (server, client): Ends = ump::bounded(1).unwrap();
    let counters = [(); 4].map(|()| CountingWaker::new());
    client.post(0).wait().unwrap();
    let mut accepted = client.post(1).timeout(LONG).into_future();
    assert!(poll_with(&mut accepted, &counters[0]).is_pending());
    drop(server.try_pop().unwrap());
    assert!(poll_with(&mut accepted, &counters[0]).is_ready());
    let mut refused = client.post(2).timeout(LONG).into_future();
    let mut request = client.request(3).timeout(LONG).into_future();
    let mut reply = client
        .request(4)
        .urgent()
        .timeout(LONG)
        .submit()
        .wait()
        .unwrap();
    assert!(poll_with(&mut refused, &counters[1]).is_pending());
    assert!(poll_with(&mut request, &counters[2]).is_pending());
    assert!(poll_with(&mut reply, &counters[3]).is_pending());
    drop(server);
    assert!(poll_with(&mut refused, &counters[1]).is_ready());
    assert!(poll_with(&mut request, &counters[2]).is_ready());
    assert!(poll_with(&mut reply, &counters[3]).is_ready());
    assert_eq!(counters.each_ref().map(CountingWaker::wakers), [0; 4]);
}

/// A waker that records whether it was woken, and whether that was too early.
struct DeadlineWaker {
    deadline: Instant,
    early: AtomicBool,
    woken: Arc<AtomicUsize>,
}

impl Wake for DeadlineWaker {
    fn wake(self: Arc<Self>) {
        if Instant::now() < self.deadline {
            self.early.store(true, Ordering::SeqCst);
        }
        self.woken.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_thousand_deadlines_fire_in_any_order() {
    const COUNT: u32 = 1_000;
    with_growing_time(|time| {
        let (server, client): Ends = ump::channel();
        let woken = Arc::new(AtomicUsize::new(0));
        let start = Instant::now() + time;
        let mut futures = Vec::new();
        for n in 0..COUNT {
            // Each remainder occurs once, in mixed order; some deadlines share their instant.
            let after = n * 617 % COUNT / 2;
            let deadline = start + after * Duration::from_micros(20);
            let record = Arc::new(DeadlineWaker {
                deadline,
                early: AtomicBool::new(false),
                woken: Arc::clone(&woken),
            });
            let mut future = client.request(n).deadline(deadline).into_future();
            let waker = Waker::from(Arc::clone(&record));
            let polled = Pin::new(&mut future).poll(&mut Context::from_waker(&waker));
            futures.push((record, future));
            if polled.is_ready() {
                return None;
            }
        }
        assert_eq!(server.len(), COUNT as usize);
        eventually(|| woken.load(Ordering::SeqCst) >= COUNT as usize);
        for (n, (record, mut future)) in (0..COUNT).zip(futures) {
            assert!(!record.early.load(Ordering::SeqCst), "{n}");
            match poll_once(&mut future) {
                Poll::Ready(Err(RequestError::TimeoutQueued(back))) => assert_eq!(back, n),
                other => panic!("{other:?}"),
            }
        }
        assert!(server.is_empty());
        assert_eq!(server.stats().timeout_queued, u64::from(COUNT));
        Some(())
    });
}

/// Many threads set distant deadlines, and cancel some of them: no thread sleeps past its own
/// deadline.
#[test]
fn deadlines_of_many_threads_are_independent() {
    must_end(|| {
        let (server, client): Ends = ump::channel();
        thread::scope(|scope| {
            for caller in 0..8 {
                let client = client.clone();
                scope.spawn(move || {
                    for n in 0..20 {
                        let mut far = client.request(0).timeout(LONG).into_future();
                        assert!(poll_once(&mut far).is_pending());
                        let deadline = Instant::now() + Duration::from_micros(100 * (caller + n));
                        let outcome = block_on(client.request(7).deadline(deadline));
                        assert!(matches!(outcome, Err(RequestError::TimeoutQueued(7))));
                        assert!(Instant::now() >= deadline);
                    }
                });
            }
        });
        assert!(server.is_empty());
        let stats = server.stats();
        assert_eq!(stats.cancelled_queued, 8 * 20);
        assert_eq!(stats.timeout_queued + stats.refused, 8 * 20);
    });
}

#[tokio::test]
async fn a_deadline_holds_on_a_runtime_without_timers() {
    let (server, client): Ends = ump::channel();
    let late = client.clone();
    let late = tokio::spawn(async move {
        let time = Duration::from_millis(5);
        late.request(7).timeout(time).await
    });
    let outcome = late.await.unwrap();
    assert!(matches!(outcome, Err(RequestError::TimeoutQueued(7))));
    assert!(server.is_empty());
}
