//! Tasks that wait.

use super::*;

// ---- tasks

#[test]
fn a_waiting_task_is_reported_at_each_poll() {
    let (server, client): Ends = ump::channel();
    let recorder = Recorder::strict();
    let _watched = hooks::watch(recorder.clone());
    let mut request = client.request(7).into_future();
    let counter = CountingWaker::new();
    for polls in 1..=2 {
        assert!(poll_with(&mut request, &counter).is_pending());
        assert_eq!(recorder.calls().len(), polls);
    }
    let (_, rctx) = server.wait().unwrap();
    for calls in recorder.calls() {
        let HookCall::Polled(wait) = calls else {
            panic!("{calls:?}")
        };
        assert_eq!((wait.request(), wait.channel()), (rctx.id(), server.id()));
    }
    let firsts = recorder.calls().into_iter().map(|calls| match calls {
        HookCall::Polled(wait) => wait.is_first(),
        _ => unreachable!("seen above"),
    });
    assert!(firsts.eq([true, false]), "it is the same one");
    rctx.reply(1).unwrap();
    assert!(poll_with(&mut request, &counter).is_ready());
    assert_eq!(recorder.calls().len(), 2, "what is there is not waited for");
}

#[test]
fn a_reply_that_is_awaited_is_reported() {
    let (server, client): Ends = ump::channel();
    let recorder = Recorder::permissive();
    let _watched = hooks::watch(recorder.clone());
    let mut reply = client.req_async(7).unwrap();
    assert!(poll_once(&mut reply).is_pending());
    let (_, rctx) = server.wait().unwrap();
    assert!(matches!(recorder.calls()[..], [HookCall::Polled(w)] if w.request() == rctx.id()));
}

#[test]
fn gathered_replies_are_reported_but_not_refused() {
    let (_server, client): Ends = ump::channel();
    let recorder = Recorder::strict();
    let _watched = hooks::watch(recorder.clone());
    let mut replies: Gather<_, _, _> = (0..2).map(|n| (n, client.req_async(n).unwrap())).collect();
    assert!(replies.wait_timeout(Duration::from_millis(1)).is_none());
    let calls = recorder.calls();
    assert!(
        matches!(calls[..], [HookCall::Polled(_), HookCall::Polled(_)]),
        "{calls:?}"
    );
}

#[test]
fn a_task_that_waits_for_room_is_reported_for_both() {
    let (server, client) = full();
    let recorder = Recorder::permissive();
    let _watched = hooks::watch(recorder.clone());
    let mut request = client.request(7).into_future();
    assert!(poll_once(&mut request).is_pending());
    let calls = recorder.calls();
    // The waker is registered before the request is sent.
    let [HookCall::Polled(reply), HookCall::Polled(room)] = calls[..] else {
        panic!("{calls:?}")
    };
    assert!(room.is_for_room() && !reply.is_for_room());
    assert_eq!(room.request(), reply.request());
    assert_eq!(room.channel(), server.id());
}

/// Replaces the waker of each polled request, until it reports a cycle.
struct Exchanges {
    instead: Arc<Rings>,
    finds: AtomicBool,
}

#[derive(Default)]
struct Rings(AtomicUsize);

impl Wake for Rings {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl Exchanges {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            instead: Arc::default(),
            finds: AtomicBool::new(false),
        })
    }

    fn finds(&self) {
        self.finds.store(true, SeqCst);
    }

    /// Returns the number of kept wakers.
    fn clones(&self) -> usize {
        Arc::strong_count(&self.instead) - 1
    }

    fn wakes(&self) -> usize {
        self.instead.0.load(SeqCst)
    }
}

impl Watcher for Exchanges {
    fn before(&self, _: &Wait) -> Result<(), Cycle> {
        Ok(())
    }

    fn polled(&self, _: &Wait, _: &Waker) -> Result<Option<Waker>, Cycle> {
        if self.finds.load(SeqCst) {
            return Err(cycle());
        }
        Ok(Some(Arc::clone(&self.instead).into()))
    }
}

#[test]
fn a_request_keeps_one_waker_clone_until_its_outcome() {
    let (server, client): Ends = ump::channel();
    let watcher = Exchanges::new();
    let _watched = hooks::watch(watcher.clone());
    let counter = CountingWaker::new();
    for round in 1..=2 {
        let mut request = client.request(7).into_future();
        for _ in 0..3 {
            assert!(poll_with(&mut request, &counter).is_pending());
            assert_eq!(watcher.clones(), 1);
        }
        server.wait().unwrap().1.reply(1).unwrap();
        assert_eq!((watcher.clones(), watcher.wakes()), (0, round));
        assert!(poll_with(&mut request, &counter).is_ready());
    }
    assert_eq!(counter.wakes(), 0, "nobody but the watcher's is woken");
}

#[test]
fn a_request_with_a_deadline_keeps_two() {
    let clock = ManualClock::new();
    let (server, client): Ends = Builder::new().clock(clock.clock()).build().unwrap();
    let watcher = Exchanges::new();
    let _watched = hooks::watch(watcher.clone());
    let mut request = client.request(7).timeout(WEEK).into_future();
    for _ in 0..2 {
        assert!(poll_once(&mut request).is_pending());
        assert_eq!(watcher.clones(), 2);
    }
    let (_, rctx) = server.wait().unwrap();
    clock.advance(WEEK);
    assert_eq!(watcher.wakes(), 1);
    assert!(poll_once(&mut request).is_ready());
    assert_eq!(watcher.clones(), 0);
    drop(rctx);
}

#[test]
fn a_request_that_is_cancelled_keeps_no_waker() {
    let (server, client): Ends = ump::channel();
    let watcher = Exchanges::new();
    let _watched = hooks::watch(watcher.clone());
    let mut queued = client.request(7).into_future();
    assert!(poll_once(&mut queued).is_pending());
    drop(queued);
    assert_eq!(watcher.clones(), 0, "it was queued");
    let mut taken = client.request(8).into_future();
    assert!(poll_once(&mut taken).is_pending());
    let in_hand = server.wait().unwrap();
    drop(taken);
    assert_eq!(watcher.clones(), 0, "it was taken");
    drop(in_hand);
}

#[test]
fn a_request_polled_elsewhere_keeps_the_new_waker() {
    let (_server, client): Ends = ump::channel();
    let watcher = Exchanges::new();
    let watched = hooks::watch(watcher.clone());
    let mut request = client.request(7).into_future();
    assert!(poll_once(&mut request).is_pending());
    drop(watched);
    assert!(poll_once(&mut request).is_pending());
    assert_eq!(watcher.clones(), 0);
}

#[test]
fn a_self_waiting_task_learns_at_its_next_poll() {
    let (server, client): Ends = ump::channel();
    let watcher = Exchanges::new();
    let _watched = hooks::watch(watcher.clone());
    let mut queued = client.request(7).into_future();
    assert!(poll_once(&mut queued).is_pending());
    let mut plain = std::pin::pin!(client.areq(9));
    assert!(poll_once(&mut plain).is_pending());
    watcher.finds();
    assert!(matches!(
        poll_once(&mut queued),
        Poll::Ready(Err(RequestError::WouldDeadlock(7, calls))) if calls == cycle()
    ));
    assert_eq!(poll_once(&mut plain), Poll::Ready(Err(Error::NoReply)));
    assert!(server.is_empty());
    assert_eq!(watcher.clones(), 0);
    assert_balanced(&server.stats());
    assert_eq!(server.stats().would_deadlock_queued, 2);
}

#[test]
fn a_task_learns_that_its_request_was_taken() {
    let (server, client): Ends = ump::channel();
    let watcher = Exchanges::new();
    let _watched = hooks::watch(watcher.clone());
    let mut request = client.request(7).into_future();
    assert!(poll_once(&mut request).is_pending());
    let (_, rctx) = server.wait().unwrap();
    watcher.finds();
    assert!(matches!(
        poll_once(&mut request),
        Poll::Ready(Err(RequestError::WouldDeadlockTaken(_)))
    ));
    assert!(rctx.is_cancelled());
    drop(rctx);
    assert_eq!(server.stats().would_deadlock_taken, 1);
}

#[test]
fn a_self_waiting_sender_gets_its_message_back() {
    let (server, client) = full();
    let watcher = Exchanges::new();
    watcher.finds();
    let _watched = hooks::watch(watcher.clone());
    let outcome = poll_once(&mut client.request(7).submit().into_future());
    assert!(matches!(
        outcome,
        Poll::Ready(Err(SendError::WouldDeadlock(7, _)))
    ));
    drop(server);
}

#[test]
fn an_unsent_request_is_sent_before_it_is_refused() {
    let (server, client): Ends = ump::channel();
    let watcher = Exchanges::new();
    watcher.finds();
    let _watched = hooks::watch(watcher.clone());
    let outcome = poll_once(&mut client.request(7).into_future());
    assert!(matches!(
        outcome,
        Poll::Ready(Err(RequestError::WouldDeadlock(7, _)))
    ));
    assert_eq!(server.stats().accepted, 1);
    assert_balanced(&server.stats());
}

#[test]
fn deadlines_of_one_clock_can_be_compared() {
    let clock = ManualClock::new();
    let by = |clock: ump::Clock| -> Ends { Builder::new().clock(clock).build().unwrap() };
    let channels = [
        ump::channel(),
        ump::channel(),
        by(clock.clock()),
        by(clock.clock()),
        by(ManualClock::new().clock()),
    ];
    let recorder = Recorder::permissive();
    let _watched = hooks::watch(recorder.clone());
    for (_, client) in &channels {
        assert!(poll_once(&mut client.req_async(1).unwrap()).is_pending());
    }
    let waits = recorder.calls().into_iter().map(|calls| match calls {
        HookCall::Polled(wait) => wait,
        other => panic!("{other:?}"),
    });
    let waits: Vec<_> = waits.collect();
    let groups = [0, 0, 1, 1, 2];
    for (a, first) in waits.iter().zip(groups) {
        for (b, second) in waits.iter().zip(groups) {
            assert_eq!(a.shares_clock(b), first == second);
        }
    }
}
