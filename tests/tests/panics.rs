//! Panics: of handlers, and of every piece of the user's code that the channel runs (wakers, and drops of messages and replies).
//!
//! Whatever panics, every request ends exactly once, nobody who waits is forgotten, and nothing leaks. Whether the panic of a waker
//! goes on to the one who called the channel is left open.

use std::{
    env,
    future::{Future, IntoFuture, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind, panic_any},
    pin::Pin,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use futures_core::Stream;
use tests::{
    Bell, Census, Counted, Hook, LONG, block_on, eventually, must_end, poll_once, poll_with,
};
use ump::{
    Client, Error, Gather, NoReply, Refused, RequestError, Server, Stats, WaitReply, bounded,
    channel,
};

fn caught<T>(f: impl FnOnce() -> T) -> thread::Result<T> {
    catch_unwind(AssertUnwindSafe(f))
}

fn poll_by<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

fn next<S: Stream + Unpin>(stream: &mut S) -> impl Future<Output = Option<S::Item>> + Unpin {
    poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx))
}

#[track_caller]
fn assert_quiet(stats: Stats) {
    assert_eq!((stats.queued, stats.taken), (0, 0), "{stats:?}");
    assert_eq!(stats.accepted, stats.ended(), "{stats:?}");
}

/// What a panic carries, and what panics when that is dropped.
struct PanicsAgain;

impl Drop for PanicsAgain {
    fn drop(&mut self) {
        panic!("the drop of a panic is meant to panic");
    }
}

/// Runs a test in a process of its own, as its failure would end the process, or spoil it for the other tests.
fn in_its_own_process(name: &str, test: impl FnOnce()) {
    const INSIDE: &str = "UMP_TEST_IN_ITS_OWN_PROCESS";
    if env::var_os(INSIDE).is_some() {
        return test();
    }
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", name])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let (status, told) = (output.status, String::from_utf8_lossy(&output.stdout));
    assert!(told.contains("running 1 test"), "no such test: {told}");
    assert!(status.success(), "{status}\n{told}");
}

mod handlers {
    use super::*;

    type Echo = (Server<u32, u32, Refused>, Client<u32, u32, Refused>);

    /// Takes one request and panics.
    fn panics_on_a_thread(server: &Arc<Server<u32, u32, Refused>>) {
        let server = Arc::clone(server);
        let handler = thread::spawn(move || {
            let (_n, _rctx) = server.wait().unwrap();
            panic!("the handler is meant to panic");
        });
        assert!(handler.join().is_err());
    }

    /// Takes one request and panics.
    fn panics_in_a_task(server: &Arc<Server<u32, u32, Refused>>) {
        let server = Arc::clone(server);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let handler = runtime.spawn(async move {
            let (_n, _rctx) = server.async_wait().await.unwrap();
            tokio::task::yield_now().await;
            panic!("the handler is meant to panic");
        });
        assert!(runtime.block_on(handler).unwrap_err().is_panic());
    }

    fn caller_of(
        handler: fn(&Arc<Server<u32, u32, Refused>>),
        ask: fn(&Client<u32, u32, Refused>) -> Result<u32, String>,
        error: &str,
    ) {
        let (server, client): Echo = channel();
        let server = Arc::new(server);
        thread::scope(|scope| {
            let asking = scope.spawn(|| ask(&client));
            handler(&server);
            assert_eq!(asking.join().unwrap().unwrap_err(), error);
        });
        let stats = client.stats();
        assert_eq!((stats.accepted, stats.panicked, stats.no_reply), (1, 1, 0));
        assert_quiet(stats);
        // The server is as good as before: the next worker goes on.
        thread::scope(|scope| {
            let asking = scope.spawn(|| ask(&client));
            let (n, rctx) = server.wait().unwrap();
            rctx.reply(n + 1).unwrap();
            assert_eq!(asking.join().unwrap(), Ok(2));
        });
        assert_quiet(client.stats());
    }

    macro_rules! callers {
        ($($name:ident: $ask:expr, $error:expr;)*) => {$(
            mod $name {
                #[test]
                fn learns_that_the_handler_panicked_on_a_thread() {
                    super::caller_of(super::panics_on_a_thread, $ask, $error);
                }

                #[test]
                fn learns_that_the_handler_panicked_in_a_task() {
                    super::caller_of(super::panics_in_a_task, $ask, $error);
                }
            }
        )*};
    }

    const PLAIN: &str = "no reply: the handler dropped the request, panicked or was not allowed to finish, the client's default time-out passed, or the caller would have waited for itself";
    const FULL: &str = "no reply: the handler panicked";

    callers! {
        req: |c| c.req(1).map_err(|e| e.to_string()), super::PLAIN;
        areq: |c| tests::block_on(c.areq(1)).map_err(|e| e.to_string()), super::PLAIN;
        req_async_wait: |c| c.req_async(1).unwrap().wait().map_err(|e| e.to_string()), super::PLAIN;
        req_async_await: |c| tests::block_on(c.req_async(1).unwrap()).map_err(|e| e.to_string()), super::PLAIN;
        request_wait: |c| c.request(1).wait().map_err(|e| e.to_string()), super::FULL;
        request_await: |c| tests::block_on(c.request(1)).map_err(|e| e.to_string()), super::FULL;
        request_with_deadline_wait: |c| c.request(1).timeout(tests::LONG).wait().map_err(|e| e.to_string()), super::FULL;
        request_with_deadline_await: |c| tests::block_on(c.request(1).timeout(tests::LONG)).map_err(|e| e.to_string()), super::FULL;
        submit_wait: |c| c.request(1).submit().wait().unwrap().wait().map_err(|e| e.to_string()), super::FULL;
        submit_await: |c| tests::block_on(async { c.request(1).submit().await.unwrap().await }).map_err(|e| e.to_string()), super::FULL;
    }

    #[test]
    fn a_post_whose_handler_panics_is_counted_so() {
        let (server, client) = channel::<u32, u32, ()>();
        client.post(1).wait().unwrap();
        let handling = caught(|| {
            let (_n, _rctx) = server.wait().unwrap();
            panic!("the handler is meant to panic");
        });
        assert!(handling.is_err());
        assert_eq!(client.stats().panicked, 1);
        assert_quiet(client.stats());
    }

    #[test]
    fn every_context_a_panicking_handler_holds_says_so() {
        let (server, client) = channel::<Counted, u32, ()>();
        let messages = Census::default();
        let mut replies: Vec<_> = (0..10)
            .map(|_| client.request(messages.born()).submit().wait().unwrap())
            .collect();
        let handling = caught(|| {
            let mut batch = Vec::new();
            assert_eq!(server.wait_many(&mut batch, 8).unwrap(), 8);
            for (place, (_message, rctx)) in batch.into_iter().enumerate() {
                assert!(place < 3, "the handler is meant to panic");
                rctx.reply(1).unwrap();
            }
        });
        assert!(handling.is_err());
        assert_eq!(messages.deaths(), 8);
        for reply in replies.drain(..3) {
            assert_eq!(reply.try_get().expect("it ended").unwrap(), 1);
        }
        for reply in replies.drain(..5) {
            let outcome = reply.try_get().expect("it ended");
            assert!(matches!(
                outcome,
                Err(RequestError::NoReply(NoReply::Panicked(_)))
            ));
        }
        // What it had not taken is still there for another.
        assert_eq!(server.len(), 2);
        let stats = client.stats();
        assert_eq!((stats.replied, stats.panicked, stats.queued), (3, 5, 2));
        for _ in 0..2 {
            server.try_pop().unwrap().unwrap().1.reply(2).unwrap();
        }
        for reply in replies {
            assert_eq!(reply.try_get().expect("it ended").unwrap(), 2);
        }
        assert_quiet(client.stats());
        assert_eq!(messages.deaths(), 10);
    }

    #[test]
    fn a_server_panic_separates_taken_from_queued() {
        let (server, client) = channel::<u32, u32, ()>();
        let taken = client.request(1).submit().wait().unwrap();
        let queued = client.request(2).submit().wait().unwrap();
        let serving = thread::spawn(move || {
            let (_n, _rctx) = server.wait().unwrap();
            panic!("the handler is meant to panic");
        });
        assert!(serving.join().is_err());
        let outcome = taken.try_get().expect("it ended");
        assert!(matches!(
            outcome,
            Err(RequestError::NoReply(NoReply::Panicked(_)))
        ));
        let outcome = queued.try_get().expect("it ended");
        assert!(matches!(outcome, Err(RequestError::ServerDisappeared(2))));
        let stats = client.stats();
        assert_eq!((stats.panicked, stats.server_disappeared), (1, 1));
        assert_quiet(stats);
    }

    #[test]
    fn the_other_workers_of_a_pool_go_on() {
        let (server, client) = channel::<u32, u32, ()>();
        let server = Arc::new(server);
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let server = Arc::clone(&server);
                thread::spawn(move || {
                    for (n, rctx) in server.iter() {
                        assert!(n % 100 != 0, "the handler is meant to panic");
                        let _ = rctx.reply(n + 1);
                    }
                })
            })
            .collect();
        drop(server);
        for n in 1..=300 {
            let expected = if n % 100 == 0 {
                Err(Error::NoReply)
            } else {
                Ok(n + 1)
            };
            assert_eq!(client.req(n), expected);
        }
        let stats = client.stats();
        assert_eq!((stats.replied, stats.panicked), (297, 3));
        drop(client);
        let panicked = workers.into_iter().map(|worker| worker.join().is_err());
        assert_eq!(panicked.filter(|panicked| *panicked).count(), 3);
    }

    #[test]
    fn a_caught_panic_does_not_end_the_request() {
        let (server, client) = channel::<u32, u32, ()>();
        let first = client.request(1).submit().wait().unwrap();
        let second = client.request(2).submit().wait().unwrap();
        let (_, rctx) = server.wait().unwrap();
        assert!(caught(|| panic!("on purpose")).is_err());
        rctx.reply(7).unwrap();
        assert_eq!(first.wait().unwrap(), 7);
        let (_, rctx) = server.wait().unwrap();
        assert!(caught(|| panic!("on purpose")).is_err());
        drop(rctx);
        let outcome = second.wait();
        assert!(matches!(
            outcome,
            Err(RequestError::NoReply(NoReply::Dropped))
        ));
    }

    #[test]
    fn an_answer_given_while_unwinding_is_an_answer() {
        struct AnswersWhenDropped(Option<ump::ReplyContext<u32, ()>>);
        impl Drop for AnswersWhenDropped {
            fn drop(&mut self) {
                self.0.take().unwrap().reply(7).unwrap();
            }
        }
        let (server, client) = channel::<u32, u32, ()>();
        let reply = client.req_async(1).unwrap();
        let handling = caught(|| {
            let (_, rctx) = server.wait().unwrap();
            let _answers = AnswersWhenDropped(Some(rctx));
            panic!("the handler is meant to panic");
        });
        assert!(handling.is_err());
        assert_eq!(reply.wait(), Ok(7));
        assert_eq!(client.stats().panicked, 0);
    }

    #[test]
    fn a_caller_that_panics_cancels_its_request() {
        let (server, client) = channel::<Counted, u32, ()>();
        let messages = Census::default();
        let taken = client.req_async(messages.born()).unwrap();
        let (message, rctx) = server.wait().unwrap();
        let queued = client.req_async(messages.born()).unwrap();
        let calling = caught(|| {
            let _replies = (taken, queued);
            panic!("the caller is meant to panic");
        });
        assert!(calling.is_err());
        assert_eq!(messages.deaths(), 1);
        drop(message);
        assert!(rctx.is_cancelled());
        assert_eq!(rctx.answer(Ok(1)), Err(Ok(1)));
        assert!(server.is_empty());
        let stats = client.stats();
        assert_eq!((stats.cancelled_queued, stats.cancelled_taken), (1, 1));
        assert_quiet(stats);
    }
}

/// A waker that panics when it is woken.
fn bomb() -> Waker {
    Hook::on_wake(|| panic!("the waker is meant to panic"))
}

mod wakers {
    use super::*;

    /// Censuses of messages and replies, and the ends of a channel for them.
    type Ends = (Server<Counted, Counted, ()>, Client<Counted, Counted, ()>);

    /// Answers all that is queued, over and over, until it is dropped.
    struct Answerer {
        stop: Arc<AtomicBool>,
        thread: Option<thread::JoinHandle<()>>,
    }

    impl Answerer {
        fn of(server: &Arc<Server<Counted, Counted, ()>>, replies: &Census) -> Self {
            let (server, replies) = (Arc::clone(server), replies.clone());
            let stop = Arc::new(AtomicBool::new(false));
            let told = Arc::clone(&stop);
            let thread = thread::spawn(move || {
                while !told.load(Ordering::SeqCst) {
                    answer_all(&server, &replies);
                    thread::yield_now();
                }
            });
            Self {
                stop,
                thread: Some(thread),
            }
        }
    }

    impl Drop for Answerer {
        fn drop(&mut self) {
            self.stop.store(true, Ordering::SeqCst);
            self.thread.take().unwrap().join().unwrap();
        }
    }

    fn answer_all(server: &Server<Counted, Counted, ()>, replies: &Census) {
        loop {
            // A waker that panics may make the first look unwind.
            match caught(|| server.try_pop()) {
                Ok(Ok(Some((_, rctx)))) => drop(rctx.reply(replies.born())),
                Ok(_) => return,
                Err(_) => {}
            }
        }
    }

    /// Everything has ended and was dropped exactly once.
    #[track_caller]
    fn assert_settled(stats: Stats, messages: &Census, replies: &Census) {
        assert_quiet(stats);
        assert_eq!(messages.deaths(), messages.births(), "messages");
        assert_eq!(replies.deaths(), replies.births(), "replies");
    }

    /// Sends by `send` to a server that waits with a waker that panics.
    fn sent_to_a_panicking_waker(
        send: impl FnOnce(&Client<Counted, Counted, ()>, Counted) + Send + 'static,
    ) {
        must_end(|| {
            let (server, client): Ends = channel();
            let server = Arc::new(server);
            let (messages, replies) = (Census::default(), Census::default());
            let mut receiving = Box::pin(server.async_wait());
            assert!(poll_by(&mut receiving, &bomb()).is_pending());
            let answerer = Answerer::of(&server, &replies);
            let _ = caught(|| send(&client, messages.born()));
            drop(receiving);
            // The server goes on as if nothing had happened.
            drop(client.req(messages.born()).unwrap());
            drop(answerer);
            answer_all(&server, &replies);
            drop(server);
            let stats = client.stats();
            drop(client);
            assert_settled(stats, &messages, &replies);
        });
    }

    #[test]
    fn of_a_receiver_woken_by_req_leaves_nothing_behind() {
        sent_to_a_panicking_waker(|client, message| drop(client.req(message)));
    }

    #[test]
    fn of_a_receiver_woken_by_a_deadline_request_is_clean() {
        sent_to_a_panicking_waker(|client, message| {
            drop(client.request(message).timeout(LONG).wait());
        });
    }

    #[test]
    fn of_a_receiver_woken_by_areq_leaves_nothing_behind() {
        sent_to_a_panicking_waker(|client, message| drop(block_on(client.areq(message))));
    }

    #[test]
    fn of_a_receiver_woken_by_req_async_is_clean() {
        sent_to_a_panicking_waker(|client, message| {
            drop(client.req_async(message).unwrap().wait());
        });
    }

    #[test]
    fn of_a_receiver_woken_by_submit_is_clean() {
        sent_to_a_panicking_waker(|client, message| {
            drop(client.request(message).submit().wait().unwrap().wait());
        });
    }

    #[test]
    fn of_a_receiver_woken_by_an_awaited_submit_is_clean() {
        sent_to_a_panicking_waker(|client, message| {
            drop(block_on(client.request(message).submit()));
        });
    }

    #[test]
    fn of_a_receiver_woken_by_post_leaves_nothing_behind() {
        sent_to_a_panicking_waker(|client, message| drop(client.post(message).wait()));
    }

    #[test]
    fn of_a_receiver_woken_by_an_awaited_post_is_clean() {
        sent_to_a_panicking_waker(|client, message| drop(block_on(client.post(message))));
    }

    /// The slot of a blocking request is on the stack of the caller: it must not unwind away under the handler.
    #[test]
    fn of_a_receiver_does_not_free_the_handlers_slot() {
        must_end(|| {
            let (server, client): Ends = channel();
            let server = Arc::new(server);
            let (messages, replies) = (Census::default(), Census::default());
            let (give, given) = mpsc::channel();
            let taker = Arc::downgrade(&server);
            let waker = Hook::on_wake(move || {
                let server = taker.upgrade().unwrap();
                give.send(server.try_pop().unwrap().unwrap()).unwrap();
                panic!("the waker is meant to panic");
            });
            let mut receiving = Box::pin(server.async_wait());
            assert!(poll_by(&mut receiving, &waker).is_pending());
            thread::scope(|scope| {
                let asking = scope.spawn(|| caught(|| client.req(messages.born())));
                let (message, rctx) = given.recv_timeout(LONG).unwrap();
                // Time to unwind for a caller that does not wait.
                (0..1000).for_each(|_| thread::yield_now());
                assert!(!asking.is_finished());
                assert!(!rctx.is_cancelled());
                drop(message);
                rctx.reply(replies.born()).unwrap();
                let _ = asking.join().unwrap();
            });
            drop(receiving);
            assert_settled(client.stats(), &messages, &replies);
            assert_eq!(client.stats().replied, 1);
        });
    }

    /// Takes by `take` from a full queue for whose room a sender waits with a waker that panics.
    fn taken_with_a_panicking_sender<T>(
        take: impl FnOnce(&Server<Counted, Counted, ()>) -> T + Send + 'static,
        answer: impl FnOnce(T, &Census) + Send + 'static,
    ) {
        must_end(|| {
            let (server, client): Ends = bounded(2).unwrap();
            let (messages, replies) = (Census::default(), Census::default());
            let first = client.req_async(messages.born()).unwrap();
            let second = client.req_async(messages.born()).unwrap();
            let mut sending = Box::pin(client.request(messages.born()).into_future());
            assert!(poll_by(&mut sending, &bomb()).is_pending());
            if let Ok(taken) = caught(|| take(&server)) {
                answer(taken, &replies);
            }
            answer_all(&server, &replies);
            assert!(first.is_ready(), "a request was lost in silence");
            assert!(second.is_ready(), "a request was lost in silence");
            // The sender can go on, once somebody polls it.
            assert!(poll_once(&mut sending).is_pending());
            answer_all(&server, &replies);
            assert!(poll_once(&mut sending).is_ready());
            drop((first, second, sending));
            assert_settled(client.stats(), &messages, &replies);
        });
    }

    #[test]
    fn of_a_sender_woken_by_try_pop_loses_no_request() {
        taken_with_a_panicking_sender(
            |server| server.try_pop().unwrap().unwrap(),
            |(_, rctx), replies| rctx.reply(replies.born()).unwrap(),
        );
    }

    #[test]
    fn of_a_sender_woken_by_wait_loses_no_request() {
        taken_with_a_panicking_sender(
            |server| server.wait().unwrap(),
            |(_, rctx), replies| rctx.reply(replies.born()).unwrap(),
        );
    }

    #[test]
    fn of_a_sender_woken_by_async_wait_loses_no_request() {
        taken_with_a_panicking_sender(
            |server| block_on(server.async_wait()).unwrap(),
            |(_, rctx), replies| rctx.reply(replies.born()).unwrap(),
        );
    }

    #[test]
    fn of_a_sender_woken_by_wait_many_loses_no_request() {
        taken_with_a_panicking_sender(
            |server| {
                let mut batch = Vec::new();
                server.wait_many(&mut batch, 8).unwrap();
                batch
            },
            |batch, replies| {
                for (_, rctx) in batch {
                    rctx.reply(replies.born()).unwrap();
                }
            },
        );
    }

    #[test]
    fn of_a_sender_woken_by_a_withdrawal_leaks_nothing() {
        let (server, client): Ends = bounded(1).unwrap();
        let (messages, replies) = (Census::default(), Census::default());
        let queued = client.req_async(messages.born()).unwrap();
        let mut sending = Box::pin(client.request(messages.born()).into_future());
        assert!(poll_by(&mut sending, &bomb()).is_pending());
        let _ = caught(|| drop(queued));
        assert_eq!(messages.deaths(), 1);
        assert_eq!(client.stats().cancelled_queued, 1);
        assert!(poll_once(&mut sending).is_pending());
        answer_all(&server, &replies);
        assert!(poll_once(&mut sending).is_ready());
        drop(sending);
        assert_settled(client.stats(), &messages, &replies);
    }

    #[test]
    fn of_a_sender_woken_by_a_timeout_leaks_nothing() {
        let (server, client): Ends = bounded(1).unwrap();
        let (messages, replies) = (Census::default(), Census::default());
        let queued = client
            .request(messages.born())
            .timeout(Duration::from_millis(50))
            .submit()
            .wait()
            .unwrap();
        let mut sending = Box::pin(client.request(messages.born()).into_future());
        assert!(poll_by(&mut sending, &bomb()).is_pending());
        let _ = caught(|| drop(queued.wait()));
        assert_eq!(messages.deaths(), 1);
        assert_eq!(client.stats().timeout_queued, 1);
        assert!(poll_once(&mut sending).is_pending());
        answer_all(&server, &replies);
        assert!(poll_once(&mut sending).is_ready());
        drop(sending);
        assert_settled(client.stats(), &messages, &replies);
    }

    #[test]
    fn of_a_sender_passing_room_on_keeps_the_order() {
        let (server, client): Ends = bounded(1).unwrap();
        let (messages, replies) = (Census::default(), Census::default());
        client.post(messages.born()).wait().unwrap();
        let mut a = Box::pin(client.post(messages.born()).into_future());
        let mut b = Box::pin(client.post(messages.born()).into_future());
        let mut c = Box::pin(client.post(messages.born()).into_future());
        let bell = Bell::new();
        assert!(poll_once(&mut a).is_pending());
        assert!(poll_by(&mut b, &bomb()).is_pending());
        assert!(poll_with(&mut c, &bell).is_pending());
        answer_all(&server, &replies);
        let _ = caught(|| drop(a));
        drop(b);
        assert_eq!(bell.rings(), 1);
        assert!(poll_with(&mut c, &bell).is_ready());
        drop(c);
        answer_all(&server, &replies);
        assert_settled(client.stats(), &messages, &replies);
    }

    #[test]
    fn of_a_receiver_passing_a_wake_up_keeps_the_order() {
        let (server, client): Ends = channel();
        let messages = Census::default();
        let bell = Bell::new();
        let mut a = Box::pin(server.async_wait());
        let mut b = Box::pin(server.async_wait());
        let mut c = Box::pin(server.async_wait());
        assert!(poll_once(&mut a).is_pending());
        assert!(poll_by(&mut b, &bomb()).is_pending());
        assert!(poll_with(&mut c, &bell).is_pending());
        client.post(messages.born()).wait().unwrap();
        let _ = caught(|| drop(a));
        drop(b);
        assert_eq!(bell.rings(), 1);
        assert!(poll_with(&mut c, &bell).is_ready());
        assert_settled(client.stats(), &messages, &Census::default());
    }

    #[test]
    fn of_one_receiver_does_not_keep_the_poller_asleep() {
        let (server, client) = channel::<u32, u32, ()>();
        let bell = Bell::new();
        let mut receiving = Box::pin(server.async_wait());
        assert!(poll_by(&mut receiving, &bomb()).is_pending());
        let mut polling = poll_fn(|cx| server.poll_wait(cx).map(drop));
        assert!(poll_with(&mut polling, &bell).is_pending());
        let _ = caught(|| client.post(1).wait());
        assert_eq!(bell.rings(), 1);
        assert!(poll_with(&mut polling, &bell).is_ready());
    }

    #[test]
    fn of_one_receiver_does_not_hide_the_end_from_others() {
        let (server, client) = channel::<u32, u32, ()>();
        let bells = [Bell::new(), Bell::new(), Bell::new()];
        let mut receiving = Box::pin(server.async_wait());
        assert!(poll_by(&mut receiving, &bomb()).is_pending());
        let mut others = [Box::pin(server.async_wait()), Box::pin(server.async_wait())];
        for (other, bell) in others.iter_mut().zip(&bells) {
            assert!(poll_with(other, bell).is_pending());
        }
        let mut polling = poll_fn(|cx| server.poll_wait(cx).map(drop));
        assert!(poll_with(&mut polling, &bells[2]).is_pending());
        let _ = caught(|| drop(client));
        assert_eq!(bells.each_ref().map(|bell| bell.rings()), [1, 1, 1]);
    }

    #[test]
    fn of_one_sender_does_not_hide_the_end_from_others() {
        let (server, client): Ends = bounded(1).unwrap();
        let messages = Census::default();
        let queued = client.req_async(messages.born()).unwrap();
        let bell = Bell::new();
        let mut sending = Box::pin(client.post(messages.born()).into_future());
        assert!(poll_by(&mut sending, &bomb()).is_pending());
        let mut other = Box::pin(client.post(messages.born()).into_future());
        assert!(poll_with(&mut other, &bell).is_pending());
        let _ = caught(|| drop(server));
        assert_eq!(bell.rings(), 1, "another sender was forgotten");
        assert!(queued.is_ready(), "a queued request was forgotten");
        drop((queued, sending, other));
        assert_settled(client.stats(), &messages, &Census::default());
    }

    #[test]
    fn of_one_caller_does_not_hide_the_end_from_others() {
        let (server, client): Ends = channel();
        let messages = Census::default();
        let bell = Bell::new();
        let mut first = client.req_async(messages.born()).unwrap();
        assert!(poll_by(&mut first, &bomb()).is_pending());
        let mut second = client.req_async(messages.born()).unwrap();
        assert!(poll_with(&mut second, &bell).is_pending());
        let _ = caught(|| drop(server));
        assert_eq!(bell.rings(), 1, "another caller was forgotten");
        assert!(matches!(
            poll_once(&mut first),
            Poll::Ready(Err(Error::ServerDisappeared))
        ));
        assert!(matches!(
            poll_with(&mut second, &bell),
            Poll::Ready(Err(Error::ServerDisappeared))
        ));
        drop((first, second));
        assert_settled(client.stats(), &messages, &Census::default());
    }

    #[test]
    fn of_an_expired_caller_loses_no_other_request() {
        let (server, client): Ends = channel();
        let (messages, replies) = (Census::default(), Census::default());
        let at = Instant::now() + Duration::from_millis(50);
        let mut late: Vec<_> = (0..3)
            .map(|_| {
                client
                    .request(messages.born())
                    .deadline(at)
                    .submit()
                    .wait()
                    .unwrap()
            })
            .collect();
        for reply in &mut late {
            let _ = poll_by(reply, &bomb());
        }
        let live = client.req_async(messages.born()).unwrap();
        eventually(|| Instant::now() > at);
        answer_all(&server, &replies);
        assert!(late.iter().all(WaitReply::is_ready));
        assert!(live.is_ready(), "a request was lost in silence");
        drop((late, live));
        assert_settled(client.stats(), &messages, &replies);
    }

    #[test]
    fn of_a_caller_does_not_take_its_reply_away() {
        let (server, client): Ends = channel();
        let (messages, replies) = (Census::default(), Census::default());
        let mut reply = client.req_async(messages.born()).unwrap();
        assert!(poll_by(&mut reply, &bomb()).is_pending());
        let (message, rctx) = server.wait().unwrap();
        drop(message);
        let _ = caught(|| rctx.reply(replies.born()));
        let Poll::Ready(Ok(value)) = poll_once(&mut reply) else {
            panic!("it was answered");
        };
        assert_eq!(replies.deaths(), 0);
        drop((value, reply));
        assert_eq!(client.stats().replied, 1);
        assert_settled(client.stats(), &messages, &replies);
    }

    #[test]
    fn of_a_handler_does_not_keep_its_caller() {
        let (server, client): Ends = channel();
        let (messages, replies) = (Census::default(), Census::default());
        let reply = client.req_async(messages.born()).unwrap();
        let (message, mut rctx) = server.wait().unwrap();
        drop(message);
        {
            let mut cancelled = rctx.cancelled();
            assert!(poll_by(&mut cancelled, &bomb()).is_pending());
            let _ = caught(|| drop(reply));
            assert!(poll_once(&mut cancelled).is_ready());
        }
        assert!(rctx.is_cancelled());
        assert!(rctx.answer(Ok(replies.born())).is_err());
        assert_eq!(client.stats().cancelled_taken, 1);
        assert_settled(client.stats(), &messages, &replies);
    }

    #[test]
    fn of_one_task_does_not_stop_the_alarms_of_the_others() {
        let (_server, client) = channel::<u32, u32, ()>();
        let bell = Bell::new();
        let at = Instant::now() + Duration::from_millis(10);
        let mut first = Box::pin(client.request(1).deadline(at).into_future());
        let mut second = Box::pin(client.request(2).deadline(at).into_future());
        let mut third = Box::pin(client.request(3).deadline(at).into_future());
        let _ = poll_by(&mut first, &bomb());
        let waits = poll_with(&mut second, &bell).is_pending();
        let _ = poll_by(&mut third, &bomb());
        eventually(|| !waits || bell.rings() > 0);
        drop((first, third));
        let later = Instant::now() + Duration::from_millis(10);
        let outcome = block_on(client.request(4).deadline(later));
        assert!(matches!(outcome, Err(RequestError::TimeoutQueued(4))));
    }

    #[test]
    fn of_the_reader_of_a_gather_loses_no_outcome() {
        let (server, client) = channel::<u32, u32, ()>();
        let mut gather: Gather<_, _, _> =
            (0..3).map(|n| (n, client.req_async(n).unwrap())).collect();
        assert!(poll_by(&mut next(&mut gather), &bomb()).is_pending());
        while let Some((n, rctx)) = server.try_pop().unwrap() {
            let _ = caught(|| rctx.reply(n + 1));
        }
        for n in 0..3 {
            assert_eq!(gather.wait(), Some((n, Ok(n + 1))));
        }
    }

    /// Two at once: the withdrawal of a request that unwinds would wake another that panics.
    #[test]
    fn two_panics_in_one_call_do_not_abort() {
        let name = "wakers::two_panics_in_one_call_do_not_abort";
        in_its_own_process(name, || {
            must_end(|| {
                let (server, client): Ends = bounded(1).unwrap();
                let server = Arc::new(server);
                let (messages, replies) = (Census::default(), Census::default());
                client.post(messages.born()).wait().unwrap();
                let mut quiet = Box::pin(client.post(messages.born()).into_future());
                let mut sending = Box::pin(client.post(messages.born()).into_future());
                assert!(poll_once(&mut quiet).is_pending());
                assert!(poll_by(&mut sending, &bomb()).is_pending());
                // The first sender is woken and does nothing; the second still waits though there is room.
                answer_all(&server, &replies);
                let mut receiving = Box::pin(server.async_wait());
                assert!(poll_by(&mut receiving, &bomb()).is_pending());
                let answerer = Answerer::of(&server, &replies);
                let _ = caught(|| client.req(messages.born()));
                drop(answerer);
                drop((quiet, sending, receiving));
                assert_settled(client.stats(), &messages, &replies);
            });
        });
    }

    #[test]
    fn whose_payload_panics_spares_other_timers() {
        let name = "wakers::whose_payload_panics_spares_other_timers";
        in_its_own_process(name, || {
            must_end(|| {
                let (_server, client) = channel::<u32, u32, ()>();
                let waker = Hook::on_wake(|| panic_any(PanicsAgain));
                let tiny = Duration::from_millis(50);
                let mut first = client.request(1).timeout(tiny).into_future();
                let _ = poll_by(&mut first, &waker);
                let outcome = block_on(client.request(2).timeout(2 * tiny));
                assert!(matches!(outcome, Err(RequestError::TimeoutQueued(2))));
                let outcome = block_on(client.request(3).timeout(tiny));
                assert!(matches!(outcome, Err(RequestError::TimeoutQueued(3))));
            });
        });
    }

    #[test]
    fn whose_panic_panics_again_loses_no_request() {
        let name = "wakers::whose_panic_panics_again_loses_no_request";
        in_its_own_process(name, || {
            let (server, client): Ends = bounded(1).unwrap();
            let (messages, replies) = (Census::default(), Census::default());
            let queued = client.req_async(messages.born()).unwrap();
            let waker = Hook::on_wake(|| panic_any(PanicsAgain));
            let mut sending = client.post(messages.born()).into_future();
            assert!(poll_by(&mut sending, &waker).is_pending());
            answer_all(&server, &replies);
            assert!(queued.is_ready(), "a request was lost in silence");
            assert!(poll_once(&mut sending).is_ready());
            answer_all(&server, &replies);
            drop((queued, sending));
            assert_settled(client.stats(), &messages, &replies);
        });
    }
}

/// Futures in front of wakers whose clone or drop panics: they can be polled again, and work.
mod polls_that_unwind {
    use super::*;

    type Polled<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

    /// A waker that panics at its next clone, if armed.
    fn clone_bomb() -> Waker {
        Hook::on_clone(|| panic!("the clone is meant to panic"))
    }

    fn clone_panics(mut future: impl Future<Output = ()> + Unpin, event: impl FnOnce()) {
        let (first, bell) = (Bell::new(), Bell::new());
        let _ = caught(|| poll_by(&mut future, &clone_bomb()));
        assert!(poll_with(&mut future, &first).is_pending());
        let _ = caught(|| poll_by(&mut future, &clone_bomb()));
        assert!(poll_with(&mut future, &bell).is_pending());
        assert_eq!(first.wakers(), 0);
        event();
        assert_eq!(bell.rings(), 1);
        assert!(poll_with(&mut future, &bell).is_ready());
    }

    fn drop_panics(mut future: impl Future<Output = ()> + Unpin, event: impl FnOnce()) {
        let armed = Arc::new(AtomicBool::new(false));
        let fuse = Arc::clone(&armed);
        let waker = Hook::on_drop(move || {
            assert!(
                !fuse.swap(false, Ordering::SeqCst),
                "the drop is meant to panic"
            );
        });
        assert!(poll_by(&mut future, &waker).is_pending());
        armed.store(true, Ordering::SeqCst);
        let bell = Bell::new();
        let _ = caught(|| poll_with(&mut future, &bell));
        armed.store(false, Ordering::SeqCst);
        drop(waker);
        assert!(poll_with(&mut future, &bell).is_pending());
        event();
        assert_eq!(bell.rings(), 1);
        assert!(poll_with(&mut future, &bell).is_ready());
    }

    macro_rules! futures {
        ($($name:ident: $with:expr;)*) => {$(
            mod $name {
                use super::*;

                #[test]
                fn when_a_waker_is_cloned_can_be_polled_again() {
                    $with(&|future, event| clone_panics(future, event));
                }

                #[test]
                fn when_a_waker_is_replaced_can_be_polled_again() {
                    $with(&|future, event| drop_panics(future, event));
                }
            }
        )*};
    }

    type Test<'t> = &'t dyn Fn(Polled<'_>, Box<dyn FnOnce() + '_>);

    fn with_async_wait(test: Test<'_>) {
        let (server, client) = channel::<u32, u32, ()>();
        let mut requests = server.stream();
        let future = poll_fn(|cx| requests.poll_wait(cx).map(drop));
        test(
            Box::pin(future),
            Box::new(|| client.post(1).wait().unwrap()),
        );
    }

    fn with_poll_wait(test: Test<'_>) {
        let (server, client) = channel::<u32, u32, ()>();
        let future = poll_fn(|cx| server.poll_wait(cx).map(drop));
        test(
            Box::pin(future),
            Box::new(|| client.post(1).wait().unwrap()),
        );
    }

    fn with_post(test: Test<'_>) {
        let (server, client) = bounded::<u32, u32, ()>(1).unwrap();
        client.post(1).wait().unwrap();
        let mut posting = client.post(2).into_future();
        let future = poll_fn(|cx| Pin::new(&mut posting).poll(cx).map(Result::unwrap));
        test(Box::pin(future), Box::new(|| drop(server.try_pop())));
    }

    fn with_submit(test: Test<'_>) {
        let (server, client) = bounded::<u32, u32, ()>(1).unwrap();
        client.post(1).wait().unwrap();
        let mut submitting = client.request(2).submit().into_future();
        let future = poll_fn(|cx| Pin::new(&mut submitting).poll(cx).map(drop));
        test(Box::pin(future), Box::new(|| drop(server.try_pop())));
    }

    fn with_request(test: Test<'_>) {
        let (server, client) = channel::<u32, u32, ()>();
        let mut asking = client.request(2).timeout(LONG).into_future();
        let future = poll_fn(|cx| Pin::new(&mut asking).poll(cx).map(drop));
        let answer = || server.try_pop().unwrap().unwrap().1.reply(1).unwrap();
        test(Box::pin(future), Box::new(answer));
    }

    fn with_wait_reply(test: Test<'_>) {
        let (server, client) = channel::<u32, u32, ()>();
        let mut reply = client.req_async(1).unwrap();
        let future = poll_fn(|cx| Pin::new(&mut reply).poll(cx).map(drop));
        let answer = || server.try_pop().unwrap().unwrap().1.reply(1).unwrap();
        test(Box::pin(future), Box::new(answer));
    }

    fn with_cancelled(test: Test<'_>) {
        let (server, client) = channel::<u32, u32, ()>();
        let reply = client.request(1).timeout(LONG).submit().wait().unwrap();
        let (_, mut rctx) = server.wait().unwrap();
        test(Box::pin(rctx.cancelled()), Box::new(|| drop(reply)));
    }

    fn with_gather(test: Test<'_>) {
        let (server, client) = channel::<u32, u32, ()>();
        let mut gather = Gather::new();
        gather.push(1, client.req_async(1).unwrap());
        let future = poll_fn(|cx| Pin::new(&mut gather).poll_next(cx).map(drop));
        let answer = || server.try_pop().unwrap().unwrap().1.reply(1).unwrap();
        test(Box::pin(future), Box::new(answer));
    }

    futures! {
        async_wait: with_async_wait;
        poll_wait: with_poll_wait;
        post: with_post;
        submit: with_submit;
        request: with_request;
        wait_reply: with_wait_reply;
        cancelled: with_cancelled;
        gather: with_gather;
    }
}

mod drops {
    use super::*;

    /// A value whose drop is counted, and may panic.
    struct Fragile {
        _counted: Counted,
        breaks: bool,
    }

    impl Drop for Fragile {
        fn drop(&mut self) {
            assert!(
                !self.breaks || thread::panicking(),
                "the drop is meant to panic"
            );
        }
    }

    fn sound(census: &Census) -> Fragile {
        Fragile {
            _counted: census.born(),
            breaks: false,
        }
    }

    fn fragile(census: &Census) -> Fragile {
        Fragile {
            _counted: census.born(),
            breaks: true,
        }
    }

    type Ends = (Server<Fragile, Fragile, ()>, Client<Fragile, Fragile, ()>);

    #[track_caller]
    fn assert_settled(stats: Stats, census: &Census) {
        assert_quiet(stats);
        assert_eq!(census.deaths(), census.births());
    }

    #[test]
    fn of_a_queued_post_strands_no_other_post() {
        let (server, client): Ends = channel();
        let census = Census::default();
        let before = client.req_async(sound(&census)).unwrap();
        client.post(fragile(&census)).wait().unwrap();
        let after = client.req_async(sound(&census)).unwrap();
        client.post(sound(&census)).wait().unwrap();
        client.post(fragile(&census)).wait().unwrap();
        let urgent = client
            .request(sound(&census))
            .urgent()
            .submit()
            .wait()
            .unwrap();
        let _ = caught(|| drop(server));
        for reply in [before, after] {
            assert!(reply.is_ready(), "a caller waits for ever");
        }
        assert!(urgent.is_ready(), "a caller waits for ever");
        drop(urgent);
        assert_eq!(client.stats().server_disappeared, 6);
        assert_settled(client.stats(), &census);
    }

    #[test]
    fn of_an_expired_post_loses_no_other_request() {
        let (server, client): Ends = channel();
        let census = Census::default();
        let at = Instant::now() + Duration::from_millis(50);
        client.post(fragile(&census)).deadline(at).wait().unwrap();
        client.post(fragile(&census)).deadline(at).wait().unwrap();
        let reply = client.req_async(sound(&census)).unwrap();
        eventually(|| Instant::now() > at);
        while !matches!(
            caught(|| server
                .try_pop()
                .unwrap()
                .map(|(_, rctx)| rctx.reply(sound(&census)))),
            Ok(None)
        ) {}
        assert!(reply.is_ready(), "a request was lost in silence");
        drop(reply);
        let stats = client.stats();
        assert_eq!((stats.timeout_queued, stats.accepted), (2, 3));
        assert_settled(stats, &census);
    }

    #[test]
    fn of_a_withdrawn_message_leaves_the_queue_in_order() {
        let (server, client): Ends = bounded(2).unwrap();
        let census = Census::default();
        let first = client.req_async(fragile(&census)).unwrap();
        let second = client.req_async(sound(&census)).unwrap();
        let _ = caught(|| drop(first));
        assert_eq!(census.deaths(), 1);
        client
            .post(sound(&census))
            .if_room()
            .wait()
            .unwrap_or_else(|_| panic!("room"));
        server
            .try_pop()
            .unwrap()
            .unwrap()
            .1
            .reply(sound(&census))
            .unwrap_or_else(|_| panic!());
        assert!(second.is_ready());
        drop((second, server.try_pop()));
        assert_eq!(client.stats().cancelled_queued, 1);
        assert_settled(client.stats(), &census);
    }

    #[test]
    fn of_a_reply_that_nobody_looked_at_leaks_nothing() {
        let (server, client): Ends = channel();
        let census = Census::default();
        let reply = client.req_async(sound(&census)).unwrap();
        let (message, rctx) = server.wait().unwrap();
        drop(message);
        assert!(rctx.reply(fragile(&census)).is_ok());
        let _ = caught(|| drop(reply));
        assert_eq!(client.stats().replied, 1);
        assert_settled(client.stats(), &census);
    }

    #[test]
    fn of_a_reply_that_comes_too_late_is_the_handlers_own() {
        let (server, client): Ends = channel();
        let census = Census::default();
        let reply = client.req_async(sound(&census)).unwrap();
        let (message, rctx) = server.wait().unwrap();
        drop((message, reply));
        let back = rctx.answer(Ok(fragile(&census)));
        assert_eq!(census.deaths(), 1);
        let _ = caught(|| drop(back));
        assert_eq!(client.stats().cancelled_taken, 1);
        assert_settled(client.stats(), &census);
    }

    #[test]
    fn of_a_gathers_message_still_cancels_the_others() {
        let (server, client): Ends = channel();
        let census = Census::default();
        let mut gather = Gather::new();
        for n in 0..5 {
            let message = if n == 1 {
                fragile(&census)
            } else {
                sound(&census)
            };
            gather.push(n, client.req_async(message).unwrap());
        }
        let _ = caught(|| drop(gather));
        assert!(server.is_empty());
        assert_eq!(client.stats().cancelled_queued, 5);
        assert_settled(client.stats(), &census);
    }

    #[test]
    fn of_the_message_of_a_dropped_future_frees_its_place() {
        let (server, client): Ends = bounded(1).unwrap();
        let census = Census::default();
        client
            .post(sound(&census))
            .wait()
            .unwrap_or_else(|_| panic!("room"));
        let bell = Bell::new();
        let mut first = Box::pin(client.post(fragile(&census)).into_future());
        let mut second = Box::pin(client.post(sound(&census)).into_future());
        assert!(poll_once(&mut first).is_pending());
        assert!(poll_with(&mut second, &bell).is_pending());
        drop(server.try_pop());
        let _ = caught(|| drop(first));
        assert_eq!(bell.rings(), 1);
        assert!(poll_with(&mut second, &bell).is_ready());
        drop(second);
        drop(server.try_pop());
        assert_settled(client.stats(), &census);
    }

    /// Not only the drop panics, but also what the panic carries, when that is dropped.
    #[test]
    fn of_posts_with_panicking_payloads_strands_nobody() {
        struct Worst;
        impl Drop for Worst {
            fn drop(&mut self) {
                panic_any(PanicsAgain);
            }
        }
        let name = "drops::of_posts_with_panicking_payloads_strands_nobody";
        in_its_own_process(name, || {
            let (server, client) = channel::<Option<Worst>, (), ()>();
            for _ in 0..3 {
                assert!(client.post(Some(Worst)).wait().is_ok());
            }
            let last = client.req_async(None).unwrap();
            if let Err(panic) = caught(|| drop(server)) {
                std::mem::forget(panic);
            }
            assert!(last.is_ready(), "a caller waits for ever");
            assert_eq!(client.stats().server_disappeared, 4);
        });
    }
}
