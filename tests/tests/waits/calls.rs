//! When a hook is called.

use super::*;

#[test]
fn a_hook_is_called_once_before_and_after_a_wait() {
    must_end(|| {
        let (server, client): Ends = ump::channel();
        let recorder = Recorder::permissive();
        let watcher = Arc::clone(&recorder);
        let asking = thread::current();
        let answers = thread::spawn(move || {
            let (_, rctx) = server.wait().unwrap();
            // The watcher is not called again after a spurious wake-up.
            (0..10).for_each(|_| asking.unpark());
            while watcher.calls().is_empty() {
                thread::yield_now();
            }
            rctx.reply(1).unwrap();
        });
        let _watched = hooks::watch(recorder.clone());
        assert_eq!(client.req(7), Ok(1));
        answers.join().unwrap();
        let calls = recorder.calls();
        assert!(
            matches!(calls[..], [HookCall::Before(b), HookCall::After(a)] if a == b),
            "{calls:?}"
        );
    });
}

#[test]
fn a_ready_result_calls_no_hook() {
    let (server, client): Ends = ump::channel();
    let recorder = Recorder::strict();
    let _watched = hooks::watch(recorder.clone());
    let reply = client.req_async(7).unwrap();
    server.wait().unwrap().1.reply(1).unwrap();
    assert_eq!(reply.wait(), Ok(1));
    client.post(1).wait().unwrap();
    assert!(recorder.calls().is_empty());
}

#[test]
fn a_hook_is_called_after_a_wait_that_timed_out() {
    must_end(|| {
        let clock = ManualClock::new();
        let (_server, client): Ends = Builder::new().clock(clock.clock()).build().unwrap();
        let deadline = clock.now() + WEEK;
        let asks = thread::spawn(move || {
            let recorder = Recorder::permissive();
            let _watched = hooks::watch(recorder.clone());
            let outcome = client.request(7).deadline(deadline).wait();
            assert!(matches!(outcome, Err(RequestError::TimeoutQueued(7))));
            recorder.calls()
        });
        clock.wait_for_sleepers(1);
        clock.advance(WEEK);
        let calls = asks.join().unwrap();
        let HookCall::Before(wait) = calls[0] else {
            panic!("{calls:?}")
        };
        assert_eq!(wait.deadline(), Some(deadline));
        assert_eq!(calls[1..], [HookCall::After(wait)]);
    });
}

#[test]
fn other_threads_do_not_call_the_hook() {
    must_end(|| {
        let (server, client): Ends = ump::channel();
        let recorder = Recorder::strict();
        let _watched = hooks::watch(recorder.clone());
        let asks = thread::spawn(move || client.req(7));
        server.wait().unwrap().1.reply(1).unwrap();
        assert_eq!(asks.join().unwrap(), Ok(1));
        assert!(recorder.calls().is_empty());
    });
}

#[test]
fn the_previous_watcher_is_restored() {
    let (_server, client): Ends = ump::channel();
    let (outer, inner) = (Recorder::strict(), Recorder::strict());
    let asked = || (outer.calls().len(), inner.calls().len());
    let watched = hooks::watch(outer.clone());
    {
        let _watched = hooks::watch(inner.clone());
        assert!(client.req(1).is_err());
        assert_eq!(asked(), (0, 1));
    }
    assert!(client.req(2).is_err());
    assert_eq!(asked(), (1, 1));
    drop(watched);
    assert_eq!(Arc::strong_count(&outer), 1);
    let reply = client.req_async(3).unwrap();
    assert!(reply.wait_timeout(Duration::ZERO).is_err());
    assert_eq!(asked(), (1, 1));
}
