//! The outcome of a request that would deadlock.

use super::*;

/// Makes a test for queued requests and for direct handoff.
macro_rules! queued_and_handed_over {
    ($($test:ident),+ $(,)?) => {
        mod queued {
            $(#[test] fn $test() { tests::must_end(|| super::$test(ump::channel())); })+
        }
        mod handed_over {
            $(#[test] fn $test() { tests::must_end(|| super::$test(super::armed())); })+
        }
    };
}

queued_and_handed_over! {
    a_refused_request_returns_its_message,
    a_refused_submitted_request_returns_its_message,
    a_request_with_a_deadline_is_ended_as_well,
    a_wait_bounded_by_its_call_is_not_refused,
    a_plain_request_has_no_reply,
    a_request_that_was_taken_meanwhile_is_abandoned,
    a_request_answered_meanwhile_returns_its_reply,
    the_next_request_is_like_any_other,
    a_watcher_may_use_the_channel_in_any_way,
    both_ends_and_the_watcher_mean_the_same_request,
    a_watcher_that_panics_cancels_the_request,
}

fn a_refused_request_returns_its_message((server, client): Ends) {
    let before = server.stats();
    let _watched = hooks::watch(Recorder::strict());
    let error = client.request(7).wait().unwrap_err();
    assert_eq!(error.executed(), Executed::No);
    assert_eq!(error.cycle(), Some(&cycle()));
    assert!(matches!(error, RequestError::WouldDeadlock(7, _)));
    assert!(server.is_empty());
    let mut after = before;
    (after.accepted, after.would_deadlock_queued) = (before.accepted + 1, 1);
    assert_eq!(server.stats(), after);
}

fn a_refused_submitted_request_returns_its_message((server, client): Ends) {
    let _watched = hooks::watch(Recorder::strict());
    let reply = client.request(7).submit().wait().unwrap();
    assert!(matches!(
        reply.wait(),
        Err(RequestError::WouldDeadlock(7, _))
    ));
    assert!(server.is_empty());
}

fn a_request_with_a_deadline_is_ended_as_well((server, client): Ends) {
    let _watched = hooks::watch(Recorder::strict());
    let outcome = client.request(8).timeout(WEEK).wait();
    assert!(matches!(outcome, Err(RequestError::WouldDeadlock(8, _))));
    // The request's own deadline passes before that of the call.
    let request = client.request(7).timeout(WEEK);
    let reply = request.submit().wait().unwrap();
    let outcome = reply.wait_timeout(2 * WEEK).expect("it ended");
    assert!(matches!(outcome, Err(RequestError::WouldDeadlock(7, _))));
    assert!(server.is_empty());
}

/// The caller has a time limit, so its request is not refused. The request is answered after that.
fn a_wait_bounded_by_its_call_is_not_refused((server, client): Ends) {
    let strict = Recorder::strict();
    let _watched = hooks::watch(strict.clone());
    for timeout in [None, Some(WEEK)] {
        let request = client.request(7);
        let request = match timeout {
            Some(timeout) => request.timeout(timeout),
            None => request,
        };
        let reply = request.submit().wait().unwrap();
        let reply = reply.wait_timeout(Duration::from_millis(1)).unwrap_err();
        let reply = reply.wait_deadline(Instant::now()).unwrap_err();
        server.try_pop().unwrap().unwrap().1.reply(8).unwrap();
        assert!(matches!(reply.wait(), Ok(8)));
    }
    assert_eq!(strict.calls(), []);
    assert_eq!(server.stats().ended(), server.stats().accepted);
}

fn a_plain_request_has_no_reply((server, client): Ends) {
    let _watched = hooks::watch(Recorder::strict());
    assert_eq!(client.req(7), Err(Error::NoReply));
    assert_eq!(client.req_async(7).unwrap().wait(), Err(Error::NoReply));
    assert_eq!(server.stats().would_deadlock_queued, 2);
}

/// A hook that takes the request before it reports a cycle, and then runs `then`.
fn takes(
    server: Server<u32, u32, ()>,
    then: impl Fn(ReplyContext<u32, ()>) + Send + Sync + 'static,
) -> (Arc<Server<u32, u32, ()>>, hooks::Guard) {
    let server = Arc::new(server);
    let own = Arc::clone(&server);
    let watcher = Recorder::new(move |_| {
        then(own.try_pop().unwrap().expect("it is queued").1);
        Err(cycle())
    });
    (server, hooks::watch(watcher))
}

fn a_request_that_was_taken_meanwhile_is_abandoned((server, client): Ends) {
    let kept = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&kept);
    let (server, _watched) = takes(server, move |rctx| {
        keep.lock().unwrap().replace(rctx);
    });
    let error = client.request(7).wait().unwrap_err();
    assert_eq!(error.executed(), Executed::Perhaps);
    assert!(matches!(error, RequestError::WouldDeadlockTaken(ref c) if *c == cycle()));
    let rctx = kept.lock().unwrap().take().unwrap();
    assert!(rctx.is_cancelled());
    assert_eq!(rctx.reply(1), Err(Error::OriginDisappeared));
    let stats = server.stats();
    assert_balanced(&stats);
    assert_eq!((stats.would_deadlock_taken, stats.taken), (1, 0));
}

fn a_request_answered_meanwhile_returns_its_reply((server, client): Ends) {
    let (server, _watched) = takes(server, |rctx| rctx.reply(1).unwrap());
    assert!(matches!(client.request(7).wait(), Ok(1)));
    let stats = server.stats();
    assert_balanced(&stats);
    assert_eq!(
        (stats.would_deadlock_queued, stats.would_deadlock_taken),
        (0, 0)
    );
}

fn the_next_request_is_like_any_other((server, client): Ends) {
    let watched = hooks::watch(Recorder::strict());
    assert!(client.request(7).wait().is_err());
    drop(watched);
    let answers = thread::spawn(move || {
        for (n, rctx) in &server {
            rctx.reply(n + 1).unwrap();
        }
        server.stats()
    });
    assert_eq!(client.req(8), Ok(9));
    assert_eq!(client.req(9), Ok(10));
    drop(client);
    let stats = answers.join().unwrap();
    assert_balanced(&stats);
    assert_eq!(stats.would_deadlock_queued, 1);
}

fn a_watcher_may_use_the_channel_in_any_way((server, client): Ends) {
    let (server, other) = (Arc::new(server), client.clone());
    let own = Arc::clone(&server);
    let _watched = hooks::watch(Recorder::new(move |wait| {
        assert!(LoopView::new(&own).is_queued(wait.request()));
        assert_eq!((own.len(), own.stats().queued), (1, 1));
        other.post(1).wait().unwrap();
        assert!(LoopView::new(&own).is_queued(wait.request()));
        Err(cycle())
    }));
    assert!(client.request(7).wait().is_err());
    assert_eq!(server.len(), 1, "the post");
}

fn both_ends_and_the_watcher_mean_the_same_request((server, client): Ends) {
    let (queued_here, id, weak) = (client.id(), server.id(), client.weak());
    assert_eq!((id, queued_here), (weak.id(), client.clone().id()));
    let (other, _client): Ends = ump::channel();
    assert_ne!(id, other.id());
    let server = Arc::new(server);
    let own = Arc::clone(&server);
    let _watched = hooks::watch(Recorder::new(move |wait| {
        assert_eq!((wait.channel(), wait.deadline()), (id, None));
        assert!(!wait.is_for_room());
        assert!(
            LoopView::new(&own).is_queued(wait.request())
                && !LoopView::new(&other).is_queued(wait.request())
        );
        let (_, rctx) = own.wait().unwrap();
        assert_eq!(rctx.id(), wait.request());
        assert!(!LoopView::new(&own).is_queued(wait.request()));
        rctx.reply(1).unwrap();
        Ok(())
    }));
    assert!(matches!(client.request(7).wait(), Ok(1)));
}

fn a_watcher_that_panics_cancels_the_request((server, client): Ends) {
    let watcher = Recorder::new(|_| std::panic::resume_unwind(Box::new("on purpose")));
    let asks = thread::spawn(move || {
        let _watched = hooks::watch(watcher);
        let _ = client.request(7).wait();
    });
    assert!(asks.join().is_err());
    assert!(server.is_empty());
    let stats = server.stats();
    assert_balanced(&stats);
    assert_eq!(stats.cancelled_queued, 1);
}
