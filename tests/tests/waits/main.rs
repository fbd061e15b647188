//! Requests that would deadlock are refused: see `ump::hooks`.

mod cycles;
mod tasks;

use std::{
    collections::HashMap,
    future::IntoFuture,
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Poll, Wake, Waker},
    thread,
    time::{Duration, Instant},
};

use tests::{CountingWaker, assert_balanced, must_end, poll_once, poll_with, stats_with};
use ump::{
    Builder, Client, Error, Executed, Gather, ManualClock, Refused, ReplyContext, RequestError,
    SendError, Server,
    hooks::{self, ChannelId, Cycle, LoopView, Wait, Watcher},
};

const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

type Ends = (Server<u32, u32, ()>, Client<u32, u32, ()>);

fn cycle() -> Cycle {
    Cycle::new(["a", "b"])
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HookCall {
    Before(Wait),
    After(Wait),
    Polled(Wait),
}

/// A watcher that records its calls and returns `ask`.
struct Recorder {
    calls: Mutex<Vec<HookCall>>,
    ask: Box<dyn Fn(&Wait) -> Result<(), Cycle> + Send + Sync>,
}

impl Recorder {
    fn new(ask: impl Fn(&Wait) -> Result<(), Cycle> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            calls: Mutex::default(),
            ask: Box::new(ask),
        })
    }

    /// Makes both ends sleep.
    fn kind() -> Arc<Self> {
        Self::new(|_| Ok(()))
    }

    /// Reports a cycle for each wait.
    fn strict() -> Arc<Self> {
        Self::new(|_| Err(cycle()))
    }

    fn calls(&self) -> Vec<HookCall> {
        self.calls.lock().unwrap().clone()
    }

    fn note(&self, calls: HookCall) {
        self.calls.lock().unwrap().push(calls);
    }
}

impl Watcher for Recorder {
    fn before(&self, wait: &Wait) -> Result<(), Cycle> {
        self.note(HookCall::Before(*wait));
        (self.ask)(wait)
    }

    fn after(&self, wait: &Wait) {
        self.note(HookCall::After(*wait));
    }

    fn polled(&self, wait: &Wait, _: &Waker) -> Result<Option<Waker>, Cycle> {
        self.note(HookCall::Polled(*wait));
        Ok(None)
    }
}

/// Lets the next blocking request be handed off directly instead of queued.
fn warm_up(server: &Server<u32, u32, ()>, client: &Client<u32, u32, ()>) {
    for n in 0..3 {
        let mut request = client.request(n).into_future();
        assert!(poll_once(&mut request).is_pending());
        server.wait().unwrap().1.reply(n).unwrap();
        assert!(poll_once(&mut request).is_ready());
    }
}

fn warm() -> Ends {
    let (server, client) = ump::channel();
    warm_up(&server, &client);
    (server, client)
}

// ---- the outcome of a request that would wait for itself

/// Makes a test for queued requests and for direct handoff.
macro_rules! queued_and_called {
    ($($test:ident),+ $(,)?) => {
        mod queued {
            $(#[test] fn $test() { tests::must_end(|| super::$test(ump::channel())); })+
        }
        mod called {
            $(#[test] fn $test() { tests::must_end(|| super::$test(super::warm())); })+
        }
    };
}

queued_and_called! {
    a_request_is_taken_back_with_its_message,
    a_submitted_request_is_taken_back_with_its_message,
    a_request_with_a_deadline_is_ended_as_well,
    a_wait_bounded_by_its_call_leaves_the_request_be,
    a_plain_request_has_no_reply,
    a_request_that_was_taken_meanwhile_is_abandoned,
    a_request_answered_meanwhile_has_its_reply,
    the_next_request_is_like_any_other,
    a_watcher_may_use_the_channel_in_any_way,
    both_ends_and_the_watcher_mean_the_same_request,
    a_watcher_that_panics_cancels_the_request,
}

fn a_request_is_taken_back_with_its_message((server, client): Ends) {
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

fn a_submitted_request_is_taken_back_with_its_message((server, client): Ends) {
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
fn a_wait_bounded_by_its_call_leaves_the_request_be((server, client): Ends) {
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

fn a_request_answered_meanwhile_has_its_reply((server, client): Ends) {
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

// ---- when it is called

#[test]
fn it_is_called_once_before_and_after_a_wait() {
    must_end(|| {
        let (server, client): Ends = ump::channel();
        let recorder = Recorder::kind();
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
fn it_is_called_after_a_wait_that_timed_out() {
    must_end(|| {
        let clock = ManualClock::new();
        let (_server, client): Ends = Builder::new().clock(clock.clock()).build().unwrap();
        let deadline = clock.now() + WEEK;
        let asks = thread::spawn(move || {
            let recorder = Recorder::kind();
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
fn other_threads_do_not_call_it() {
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
fn the_watcher_before_is_set_again() {
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

// ---- room

fn full() -> Ends {
    let (server, client) = ump::bounded(1).unwrap();
    client.post(0).wait().unwrap();
    (server, client)
}

#[test]
fn waiting_for_its_own_room_returns_the_message() {
    must_end(|| {
        let (server, client) = full();
        let recorder = Recorder::new(|wait| {
            assert!(wait.is_for_room());
            Err(cycle())
        });
        let _watched = hooks::watch(recorder.clone());
        let outcome = client.request(7).wait();
        assert!(matches!(outcome, Err(RequestError::WouldDeadlock(7, _))));
        let posted = client.post(8).wait();
        assert!(matches!(posted, Err(SendError::WouldDeadlock(8, _))));
        assert_eq!(client.req_async(9).unwrap_err(), Error::NoReply);
        let expected = stats_with(|s| (s.accepted, s.queued, s.refused) = (1, 1, 3));
        assert_eq!(server.stats(), expected);
        let HookCall::Before(wait) = recorder.calls()[0] else {
            panic!("it was asked")
        };
        assert!(!LoopView::new(&server).is_queued(wait.request()));
        assert_eq!(recorder.calls().len(), 3);
    });
}

#[test]
fn a_panicking_hook_leaves_the_wait_queue() {
    must_end(|| {
        let (server, client) = full();
        let panics = client.clone();
        let asks = thread::spawn(move || {
            let on_purpose = |_: &Wait| std::panic::resume_unwind(Box::new("on purpose"));
            let _watched = hooks::watch(Recorder::new(on_purpose));
            let _ = panics.request(7).wait();
        });
        assert!(asks.join().is_err());
        let mut post = client.post(8).into_future();
        assert!(poll_once(&mut post).is_pending());
        let counter = CountingWaker::new();
        assert!(poll_with(&mut post, &counter).is_pending());
        drop(server.wait().unwrap());
        assert_eq!(counter.wakes(), 1, "it is the first in line");
        let expected = stats_with(|s| (s.accepted, s.replied, s.refused) = (1, 1, 1));
        assert_eq!(server.stats(), expected);
    });
}

#[test]
fn waits_for_room_and_reply_are_reported_separately() {
    must_end(|| {
        let (server, client) = full();
        let recorder = Recorder::kind();
        let watcher = Arc::clone(&recorder);
        let asked = move |count| {
            while watcher.calls().len() < count {
                thread::yield_now();
            }
        };
        let serves = thread::spawn(move || {
            asked(1);
            drop(server.wait().unwrap());
            asked(3);
            server.wait().unwrap().1.reply(1).unwrap();
        });
        let watched = hooks::watch(recorder.clone());
        assert_eq!(client.req(7), Ok(1));
        drop(watched);
        serves.join().unwrap();
        let calls = recorder.calls();
        let [
            HookCall::Before(room),
            HookCall::After(roomy),
            HookCall::Before(reply),
            HookCall::After(replied),
        ] = calls[..]
        else {
            panic!("{calls:?}")
        };
        assert_eq!((room, reply), (roomy, replied));
        assert!(room.is_for_room() && !reply.is_for_room());
        assert_eq!(room.request(), reply.request());
    });
}
