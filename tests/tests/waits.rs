//! Who would wait for itself is told: see `ump::hooks`.

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

use tests::{Bell, assert_balanced, books, must_end, poll_once, poll_with};
use ump::{
    Builder, Client, Error, Executed, Gather, ManualClock, Refused, ReplyContext, RequestError,
    SendError, Server,
    hooks::{self, ChannelId, Cycle, LoopView, Wait, Watcher},
};

const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

type Ends = (Server<u32, u32, ()>, Client<u32, u32, ()>);

fn circle() -> Cycle {
    Cycle::new(["a", "b"])
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Before(Wait),
    After(Wait),
    Polled(Wait),
}

/// Notes what it is told; `ask` says what it answers.
struct Recorder {
    told: Mutex<Vec<Told>>,
    ask: Box<dyn Fn(&Wait) -> Result<(), Cycle> + Send + Sync>,
}

impl Recorder {
    fn new(ask: impl Fn(&Wait) -> Result<(), Cycle> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            told: Mutex::default(),
            ask: Box::new(ask),
        })
    }

    /// Lets everybody sleep.
    fn kind() -> Arc<Self> {
        Self::new(|_| Ok(()))
    }

    /// Finds a circle everywhere.
    fn strict() -> Arc<Self> {
        Self::new(|_| Err(circle()))
    }

    fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }

    fn note(&self, told: Told) {
        self.told.lock().unwrap().push(told);
    }
}

impl Watcher for Recorder {
    fn before(&self, wait: &Wait) -> Result<(), Cycle> {
        self.note(Told::Before(*wait));
        (self.ask)(wait)
    }

    fn after(&self, wait: &Wait) {
        self.note(Told::After(*wait));
    }

    fn polled(&self, wait: &Wait, _: &Waker) -> Result<Option<Waker>, Cycle> {
        self.note(Told::Polled(*wait));
        Ok(None)
    }
}

/// Has the next blocking request called in, where the receiver looks, instead of queued.
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

// ---- what the one is told who would wait for itself

/// A test for a request that queues, and for one that is called in.
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
    assert_eq!(error.cycle(), Some(&circle()));
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
    // By its own deadline, which comes before that of the call.
    let request = client.request(7).timeout(WEEK);
    let reply = request.submit().wait().unwrap();
    let outcome = reply.wait_timeout(2 * WEEK).expect("it ended");
    assert!(matches!(outcome, Err(RequestError::WouldDeadlock(7, _))));
    assert!(server.is_empty());
}

/// The caller is told nothing, as it waits for nobody for ever; the request is answered after it.
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
    assert_eq!(strict.told(), []);
    assert_eq!(server.stats().ended(), server.stats().accepted);
}

fn a_plain_request_has_no_reply((server, client): Ends) {
    let _watched = hooks::watch(Recorder::strict());
    assert_eq!(client.req(7), Err(Error::NoReply));
    assert_eq!(client.req_async(7).unwrap().wait(), Err(Error::NoReply));
    assert_eq!(server.stats().would_deadlock_queued, 2);
}

/// A watcher that takes the request itself before it finds the circle, and does `then` with it.
fn takes(
    server: Server<u32, u32, ()>,
    then: impl Fn(ReplyContext<u32, ()>) + Send + Sync + 'static,
) -> (Arc<Server<u32, u32, ()>>, hooks::Guard) {
    let server = Arc::new(server);
    let own = Arc::clone(&server);
    let watcher = Recorder::new(move |_| {
        then(own.try_pop().unwrap().expect("it is queued").1);
        Err(circle())
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
    assert!(matches!(error, RequestError::WouldDeadlockTaken(ref c) if *c == circle()));
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
        Err(circle())
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

// ---- whom it is asked, and when

#[test]
fn it_is_asked_once_before_a_wait_and_told_once_after() {
    must_end(|| {
        let (server, client): Ends = ump::channel();
        let recorder = Recorder::kind();
        let watcher = Arc::clone(&recorder);
        let asking = thread::current();
        let answers = thread::spawn(move || {
            let (_, rctx) = server.wait().unwrap();
            // Woken for nothing it is not asked again.
            (0..10).for_each(|_| asking.unpark());
            while watcher.told().is_empty() {
                thread::yield_now();
            }
            rctx.reply(1).unwrap();
        });
        let _watched = hooks::watch(recorder.clone());
        assert_eq!(client.req(7), Ok(1));
        answers.join().unwrap();
        let told = recorder.told();
        assert!(
            matches!(told[..], [Told::Before(b), Told::After(a)] if a == b),
            "{told:?}"
        );
    });
}

#[test]
fn nobody_is_asked_for_what_is_there() {
    let (server, client): Ends = ump::channel();
    let recorder = Recorder::strict();
    let _watched = hooks::watch(recorder.clone());
    let reply = client.req_async(7).unwrap();
    server.wait().unwrap().1.reply(1).unwrap();
    assert_eq!(reply.wait(), Ok(1));
    client.post(1).wait().unwrap();
    assert!(recorder.told().is_empty());
}

#[test]
fn it_is_told_after_a_wait_that_ended_by_its_deadline() {
    must_end(|| {
        let clock = ManualClock::new();
        let (_server, client): Ends = Builder::new().clock(clock.clock()).build().unwrap();
        let deadline = clock.now() + WEEK;
        let asks = thread::spawn(move || {
            let recorder = Recorder::kind();
            let _watched = hooks::watch(recorder.clone());
            let outcome = client.request(7).deadline(deadline).wait();
            assert!(matches!(outcome, Err(RequestError::TimeoutQueued(7))));
            recorder.told()
        });
        clock.wait_for_sleepers(1);
        clock.advance(WEEK);
        let told = asks.join().unwrap();
        let Told::Before(wait) = told[0] else {
            panic!("{told:?}")
        };
        assert_eq!(wait.deadline(), Some(deadline));
        assert_eq!(told[1..], [Told::After(wait)]);
    });
}

#[test]
fn other_threads_are_not_asked() {
    must_end(|| {
        let (server, client): Ends = ump::channel();
        let recorder = Recorder::strict();
        let _watched = hooks::watch(recorder.clone());
        let asks = thread::spawn(move || client.req(7));
        server.wait().unwrap().1.reply(1).unwrap();
        assert_eq!(asks.join().unwrap(), Ok(1));
        assert!(recorder.told().is_empty());
    });
}

#[test]
fn the_watcher_before_is_set_again() {
    let (_server, client): Ends = ump::channel();
    let (outer, inner) = (Recorder::strict(), Recorder::strict());
    let asked = || (outer.told().len(), inner.told().len());
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
            Err(circle())
        });
        let _watched = hooks::watch(recorder.clone());
        let outcome = client.request(7).wait();
        assert!(matches!(outcome, Err(RequestError::WouldDeadlock(7, _))));
        let posted = client.post(8).wait();
        assert!(matches!(posted, Err(SendError::WouldDeadlock(8, _))));
        assert_eq!(client.req_async(9).unwrap_err(), Error::NoReply);
        let expected = books(|s| (s.accepted, s.queued, s.refused) = (1, 1, 3));
        assert_eq!(server.stats(), expected);
        let Told::Before(wait) = recorder.told()[0] else {
            panic!("it was asked")
        };
        assert!(!LoopView::new(&server).is_queued(wait.request()));
        assert_eq!(recorder.told().len(), 3);
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
        let bell = Bell::new();
        assert!(poll_with(&mut post, &bell).is_pending());
        drop(server.wait().unwrap());
        assert_eq!(bell.rings(), 1, "it is the first in line");
        let expected = books(|s| (s.accepted, s.replied, s.refused) = (1, 1, 1));
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
            while watcher.told().len() < count {
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
        let told = recorder.told();
        let [
            Told::Before(room),
            Told::After(roomy),
            Told::Before(reply),
            Told::After(replied),
        ] = told[..]
        else {
            panic!("{told:?}")
        };
        assert_eq!((room, reply), (roomy, replied));
        assert!(room.is_for_room() && !reply.is_for_room());
        assert_eq!(room.request(), reply.request());
    });
}

// ---- tasks

#[test]
fn a_waiting_task_is_reported_at_each_poll() {
    let (server, client): Ends = ump::channel();
    let recorder = Recorder::strict();
    let _watched = hooks::watch(recorder.clone());
    let mut request = client.request(7).into_future();
    let bell = Bell::new();
    for polls in 1..=2 {
        assert!(poll_with(&mut request, &bell).is_pending());
        assert_eq!(recorder.told().len(), polls);
    }
    let (_, rctx) = server.wait().unwrap();
    for told in recorder.told() {
        let Told::Polled(wait) = told else {
            panic!("{told:?}")
        };
        assert_eq!((wait.request(), wait.channel()), (rctx.id(), server.id()));
    }
    let firsts = recorder.told().into_iter().map(|told| match told {
        Told::Polled(wait) => wait.is_first(),
        _ => unreachable!("seen above"),
    });
    assert!(firsts.eq([true, false]), "it is the same one");
    rctx.reply(1).unwrap();
    assert!(poll_with(&mut request, &bell).is_ready());
    assert_eq!(recorder.told().len(), 2, "what is there is not waited for");
}

#[test]
fn a_reply_that_is_awaited_is_reported() {
    let (server, client): Ends = ump::channel();
    let recorder = Recorder::kind();
    let _watched = hooks::watch(recorder.clone());
    let mut reply = client.req_async(7).unwrap();
    assert!(poll_once(&mut reply).is_pending());
    let (_, rctx) = server.wait().unwrap();
    assert!(matches!(recorder.told()[..], [Told::Polled(w)] if w.request() == rctx.id()));
}

#[test]
fn gathered_replies_are_reported_but_not_refused() {
    let (_server, client): Ends = ump::channel();
    let recorder = Recorder::strict();
    let _watched = hooks::watch(recorder.clone());
    let mut replies: Gather<_, _, _> = (0..2).map(|n| (n, client.req_async(n).unwrap())).collect();
    assert!(replies.wait_timeout(Duration::from_millis(1)).is_none());
    let told = recorder.told();
    assert!(
        matches!(told[..], [Told::Polled(_), Told::Polled(_)]),
        "{told:?}"
    );
}

#[test]
fn a_task_that_waits_for_room_is_reported_for_both() {
    let (server, client) = full();
    let recorder = Recorder::kind();
    let _watched = hooks::watch(recorder.clone());
    let mut request = client.request(7).into_future();
    assert!(poll_once(&mut request).is_pending());
    let told = recorder.told();
    // Word is left before it is sent.
    let [Told::Polled(reply), Told::Polled(room)] = told[..] else {
        panic!("{told:?}")
    };
    assert!(room.is_for_room() && !reply.is_for_room());
    assert_eq!(room.request(), reply.request());
    assert_eq!(room.channel(), server.id());
}

/// Gives each request that is polled this waker instead, until it finds a circle.
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

    /// How many are kept.
    fn clones(&self) -> usize {
        Arc::strong_count(&self.instead) - 1
    }

    fn rings(&self) -> usize {
        self.instead.0.load(SeqCst)
    }
}

impl Watcher for Exchanges {
    fn before(&self, _: &Wait) -> Result<(), Cycle> {
        Ok(())
    }

    fn polled(&self, _: &Wait, _: &Waker) -> Result<Option<Waker>, Cycle> {
        if self.finds.load(SeqCst) {
            return Err(circle());
        }
        Ok(Some(Arc::clone(&self.instead).into()))
    }
}

#[test]
fn a_request_keeps_one_waker_clone_until_its_outcome() {
    let (server, client): Ends = ump::channel();
    let watcher = Exchanges::new();
    let _watched = hooks::watch(watcher.clone());
    let bell = Bell::new();
    for round in 1..=2 {
        let mut request = client.request(7).into_future();
        for _ in 0..3 {
            assert!(poll_with(&mut request, &bell).is_pending());
            assert_eq!(watcher.clones(), 1);
        }
        server.wait().unwrap().1.reply(1).unwrap();
        assert_eq!((watcher.clones(), watcher.rings()), (0, round));
        assert!(poll_with(&mut request, &bell).is_ready());
    }
    assert_eq!(bell.rings(), 0, "nobody but the watcher's is woken");
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
    assert_eq!(watcher.rings(), 1);
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
        Poll::Ready(Err(RequestError::WouldDeadlock(7, told))) if told == circle()
    ));
    assert_eq!(poll_once(&mut plain), Poll::Ready(Err(Error::NoReply)));
    assert!(server.is_empty());
    assert_eq!(watcher.clones(), 0);
    assert_balanced(&server.stats());
    assert_eq!(server.stats().would_deadlock_queued, 2);
}

#[test]
fn a_task_whose_request_was_taken_is_told_so() {
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
fn deadlines_can_be_compared_if_one_clock_tells_them() {
    let clock = ManualClock::new();
    let by = |clock: ump::Clock| -> Ends { Builder::new().clock(clock).build().unwrap() };
    let channels = [
        ump::channel(),
        ump::channel(),
        by(clock.clock()),
        by(clock.clock()),
        by(ManualClock::new().clock()),
    ];
    let recorder = Recorder::kind();
    let _watched = hooks::watch(recorder.clone());
    for (_, client) in &channels {
        assert!(poll_once(&mut client.req_async(1).unwrap()).is_pending());
    }
    let waits = recorder.told().into_iter().map(|told| match told {
        Told::Polled(wait) => wait,
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

// ---- what it is good for

/// Who waits for whom: server for server, each with one thread and a name.
#[derive(Default)]
struct Graph {
    names: HashMap<ChannelId, &'static str>,
    edges: Mutex<HashMap<ChannelId, ChannelId>>,
}

/// The thread of one of the servers.
struct Node(Arc<Graph>, ChannelId);

impl Watcher for Node {
    fn before(&self, wait: &Wait) -> Result<(), Cycle> {
        let Self(graph, own) = self;
        let mut edges = graph.edges.lock().unwrap();
        let mut path = vec![*own];
        let mut next = Some(wait.channel());
        while let Some(server) = next {
            if server == *own {
                return Err(Cycle::new(path.iter().map(|id| graph.names[id])));
            }
            path.push(server);
            next = edges.get(&server).copied();
        }
        edges.insert(*own, wait.channel());
        Ok(())
    }

    fn after(&self, _: &Wait) {
        self.0.edges.lock().unwrap().remove(&self.1);
    }
}

/// Answers; or asks the other server first, if it is told to, once both are busy. Replies with what that said.
fn serve(
    graph: &Arc<Graph>,
    server: &Arc<Asked>,
    other: Client<bool, String, Refused>,
    both_busy: Arc<Barrier>,
) -> thread::JoinHandle<()> {
    let (node, server) = (Node(Arc::clone(graph), server.id()), Arc::clone(server));
    thread::spawn(move || {
        let _watched = hooks::watch(Arc::new(node));
        while let Ok((asks, rctx)) = server.wait() {
            let said = if asks {
                both_busy.wait();
                let answer = other.request(false).wait();
                answer.unwrap_or_else(|error| error.to_string())
            } else {
                "yes".to_owned()
            };
            rctx.reply(said).unwrap();
        }
    })
}

type Asked = Server<bool, String, Refused>;

#[test]
fn of_two_servers_in_a_cycle_only_one_is_refused() {
    must_end(|| {
        let (a, ask_a) = ump::channel();
        let (b, ask_b) = ump::channel();
        let (a, b): (Arc<Asked>, Arc<Asked>) = (Arc::new(a), Arc::new(b));
        let graph = Arc::new(Graph {
            names: HashMap::from([(a.id(), "a"), (b.id(), "b")]),
            ..Graph::default()
        });
        let busy = Arc::new(Barrier::new(2));
        let first = ask_a.req_async(true).unwrap();
        let second = ask_b.req_async(true).unwrap();
        let servers = [
            serve(&graph, &a, ask_b, Arc::clone(&busy)),
            serve(&graph, &b, ask_a, busy),
        ];
        let (first, second) = (first.wait().unwrap(), second.wait().unwrap());
        a.close();
        b.close();
        for server in servers {
            server.join().unwrap();
        }
        let told = |text: &str, circle| text.ends_with(circle);
        assert!(
            (first == "yes" && told(&second, "b → a → b"))
                || (second == "yes" && told(&first, "a → b → a")),
            "{first}; {second}"
        );
        for stats in [a.stats(), b.stats()] {
            assert_balanced(&stats);
        }
        assert_eq!(
            a.stats().would_deadlock_queued + b.stats().would_deadlock_queued,
            1
        );
        assert!(graph.edges.lock().unwrap().is_empty());
    });
}
