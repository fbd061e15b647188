//! Pending replies, alone and gathered.

mod gathered;

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    thread,
    time::{Duration, Instant},
};

use futures_core::Stream;
use tests::{
    CountingWaker, LONG, assert_balanced, block_on, drop_in_a_panic, ends::next, eventually,
    for_each, pass, poll_once, poll_with, stats_with,
};
use ump::{Client, Error, Gather, ReplyContext, RequestError, Server, WaitReply};

type Ends = (Server<u32, u32, String>, Client<u32, u32, String>);
type Job = (u32, ReplyContext<u32, String>);

fn no() -> String {
    "no".to_owned()
}

/// The origin of a reply, and its possible outcomes.
trait Origin {
    type Error: Send + std::fmt::Debug + 'static;

    fn ask(client: &Client<u32, u32, String>, n: u32) -> WaitReply<u32, String, Self::Error>;

    /// Converts the error to one type for all origins.
    fn plain(error: Self::Error) -> Error<String>;
}

struct ReqAsync;
struct SubmitWait;
struct SubmitAwait;

impl Origin for ReqAsync {
    type Error = Error<String>;

    fn ask(client: &Client<u32, u32, String>, n: u32) -> WaitReply<u32, String, Self::Error> {
        client.req_async(n).unwrap()
    }

    fn plain(error: Self::Error) -> Error<String> {
        error
    }
}

fn plain(error: RequestError<u32, String>) -> Error<String> {
    match error {
        RequestError::App(error) => Error::App(error),
        RequestError::NoReply(_) => Error::NoReply,
        RequestError::ServerDisappeared(_) => Error::ServerDisappeared,
        other => panic!("there is no deadline, and there is room: {other:?}"),
    }
}

impl Origin for SubmitWait {
    type Error = RequestError<u32, String>;

    fn ask(client: &Client<u32, u32, String>, n: u32) -> WaitReply<u32, String, Self::Error> {
        client.request(n).submit().wait().unwrap()
    }

    fn plain(error: Self::Error) -> Error<String> {
        plain(error)
    }
}

impl Origin for SubmitAwait {
    type Error = RequestError<u32, String>;

    fn ask(client: &Client<u32, u32, String>, n: u32) -> WaitReply<u32, String, Self::Error> {
        block_on(client.request(n).submit()).unwrap()
    }

    fn plain(error: Self::Error) -> Error<String> {
        plain(error)
    }
}

/// A queued request and its pending reply.
fn asked<O: Origin>() -> (Ends, WaitReply<u32, String, O::Error>) {
    let (server, client) = ump::channel();
    let reply = O::ask(&client, 7);
    assert_eq!(server.len(), 1);
    ((server, client), reply)
}

fn take(server: &Server<u32, u32, String>) -> Job {
    server.try_pop().unwrap().expect("one is queued")
}

/// The ways to get a ready outcome.
fn ways<O: Origin>() -> [fn(WaitReply<u32, String, O::Error>) -> Result<u32, O::Error>; 9] {
    [
        |reply| reply.wait(),
        |reply| block_on(reply),
        |reply| block_on(reply.wait_async()),
        |mut reply| block_on(&mut reply),
        |reply| reply.try_get().expect("it is there"),
        |reply| reply.wait_timeout(Duration::ZERO).expect("it is there"),
        |reply| reply.wait_timeout(Duration::MAX).expect("it is there"),
        |reply| reply.wait_deadline(Instant::now()).expect("it is there"),
        |mut reply| match poll_once(&mut reply) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => panic!("it is there"),
        },
    ]
}

fn every_outcome_is_returned_in_every_way<O: Origin>() {
    let ends: [(fn(Server<u32, u32, String>), _); 5] = [
        (|server| take(&server).1.reply(8).unwrap(), Ok(8)),
        (
            |server| take(&server).1.fail(no()).unwrap(),
            Err(Error::App(no())),
        ),
        (|server| drop(take(&server)), Err(Error::NoReply)),
        (|server| drop_in_a_panic(take(&server)), Err(Error::NoReply)),
        (drop, Err(Error::ServerDisappeared)),
    ];
    for way in ways::<O>() {
        for (end, expected) in &ends {
            let ((server, client), reply) = asked::<O>();
            assert!(!reply.is_ready());
            end(server);
            assert!(reply.is_ready());
            assert_eq!(&way(reply).map_err(O::plain), expected);
            assert_balanced(&client.stats());
        }
    }
}

fn an_outcome_can_be_waited_for<O: Origin>() {
    let waits: [fn(WaitReply<u32, String, O::Error>) -> Result<u32, O::Error>; 5] = [
        |reply| reply.wait(),
        |reply| block_on(reply),
        |mut reply| block_on(&mut reply),
        |reply| reply.wait_timeout(LONG).expect("it comes"),
        |reply| reply.wait_timeout(Duration::MAX).expect("it comes"),
    ];
    for wait in waits {
        let ((server, _client), reply) = asked::<O>();
        thread::scope(|scope| {
            let server = server;
            let waiter = scope.spawn(move || wait(reply));
            for _ in 0..10 {
                assert!(!waiter.is_finished());
                thread::yield_now();
            }
            take(&server).1.reply(8).unwrap();
            assert_eq!(waiter.join().unwrap().unwrap(), 8);
        });
    }
}

fn try_get_returns_the_reply_if_it_is_too_early<O: Origin>() {
    let ((server, _client), reply) = asked::<O>();
    let reply = reply.try_get().expect_err("it is queued");
    let start = Instant::now();
    let time = Duration::from_millis(2);
    let reply = reply.wait_timeout(time).expect_err("it is queued");
    assert!(start.elapsed() >= time);
    let (_, rctx) = take(&server);
    let reply = reply.try_get().expect_err("it is taken");
    let past = Instant::now();
    pass(past);
    let reply = reply.wait_deadline(past).expect_err("it is taken");
    let mut reply = reply.wait_timeout(Duration::ZERO).expect_err("it is taken");
    assert!(poll_once(&mut reply).is_pending());
    assert!(!reply.is_ready());
    // None of this has cancelled it.
    assert!(!rctx.is_cancelled());
    rctx.reply(8).unwrap();
    assert_eq!(reply.try_get().expect("it is there").unwrap(), 8);
}

fn a_reply_awaited_by_reference_can_be_resumed<O: Origin>() {
    let ((server, _client), mut reply) = asked::<O>();
    {
        let mut first = pin!(async { (&mut reply).await });
        assert!(poll_once(&mut first).is_pending());
    }
    let (_, rctx) = take(&server);
    assert!(!rctx.is_cancelled());
    {
        let mut second = pin!(async { (&mut reply).await });
        assert!(poll_once(&mut second).is_pending());
    }
    rctx.reply(8).unwrap();
    assert_eq!(block_on(&mut reply).unwrap(), 8);
    assert!(!reply.is_ready());
}

fn the_task_that_polled_last_is_woken_once<O: Origin>() {
    let ((server, _client), mut reply) = asked::<O>();
    let (first, last) = (CountingWaker::new(), CountingWaker::new());
    assert!(poll_with(&mut reply, &first).is_pending());
    assert!(poll_with(&mut reply, &last).is_pending());
    assert!(poll_with(&mut reply, &first).is_pending());
    assert!(poll_with(&mut reply, &last).is_pending());
    assert_eq!((first.wakers(), last.wakers()), (0, 1));
    take(&server).1.reply(8).unwrap();
    assert_eq!((first.wakes(), last.wakes()), (0, 1));
    assert_eq!(last.wakers(), 0);
    assert!(matches!(poll_with(&mut reply, &first), Poll::Ready(Ok(8))));
}

/// A task waits first, then a thread, then another task: the last one is woken.
fn a_task_and_a_thread_can_wait_in_turn<O: Origin>() {
    let ((server, _client), mut reply) = asked::<O>();
    let counter = CountingWaker::new();
    assert!(poll_with(&mut reply, &counter).is_pending());
    let mut reply = reply
        .wait_timeout(Duration::from_micros(1))
        .expect_err("nothing yet");
    assert_eq!(counter.wakers(), 0);
    assert!(poll_with(&mut reply, &counter).is_pending());
    thread::scope(|scope| {
        let waiter = scope.spawn(move || reply.wait());
        take(&server).1.reply(8).unwrap();
        assert_eq!(waiter.join().unwrap().unwrap(), 8);
    });
    assert_eq!(counter.wakers(), 0);
}

fn dropping_a_reply_cancels_its_request<O: Origin>() {
    let ((server, _client), reply) = asked::<O>();
    drop(reply);
    assert!(server.is_empty());
    assert_eq!(
        server.stats(),
        stats_with(|stats| (stats.accepted, stats.cancelled_queued) = (1, 1))
    );
    let ((server, _client), reply) = asked::<O>();
    let (_, rctx) = take(&server);
    drop(reply);
    assert!(rctx.is_cancelled());
    assert_eq!(
        server.stats(),
        stats_with(|stats| (stats.accepted, stats.cancelled_taken) = (1, 1))
    );
}

fn dropping_a_wait_by_value_cancels_its_request<O: Origin>() {
    let ((server, _client), reply) = asked::<O>();
    let mut waiting = Box::pin(reply.wait_async());
    assert!(poll_once(&mut waiting).is_pending());
    drop(waiting);
    assert!(server.is_empty());
}

/// A pending reply outlives even the last client.
fn a_reply_outlives_the_client_and_the_server<O: Origin>() {
    let ((server, client), reply) = asked::<O>();
    drop(client);
    let (_, rctx) = take(&server);
    drop(server);
    rctx.reply(8).unwrap();
    assert_eq!(reply.wait().unwrap(), 8);
}

fn a_reply_can_be_awaited_from_a_task_of_a_runtime<O: Origin>() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let ((server, _client), reply) = asked::<O>();
    let waiting = runtime.spawn(reply);
    server.wait().unwrap().1.reply(8).unwrap();
    assert_eq!(runtime.block_on(waiting).unwrap().unwrap(), 8);
}

for_each!(
    req_async = ReqAsync,
    submit_wait = SubmitWait,
    submit_await = SubmitAwait
    => {
        every_outcome_is_returned_in_every_way,
        an_outcome_can_be_waited_for,
        try_get_returns_the_reply_if_it_is_too_early,
        a_reply_awaited_by_reference_can_be_resumed,
        the_task_that_polled_last_is_woken_once,
        a_task_and_a_thread_can_wait_in_turn,
        dropping_a_reply_cancels_its_request,
        dropping_a_wait_by_value_cancels_its_request,
        a_reply_outlives_the_client_and_the_server,
        a_reply_can_be_awaited_from_a_task_of_a_runtime,
    }
);

#[test]
#[should_panic(expected = "polled after it was ready")]
fn a_completed_reply_must_not_be_polled_again() {
    let ((server, _client), mut reply) = asked::<ReqAsync>();
    take(&server).1.reply(8).unwrap();
    assert!(poll_once(&mut reply).is_ready());
    let _ = poll_once(&mut reply);
}

#[test]
fn is_ready_shows_whether_the_outcome_is_there() {
    let ((server, _client), reply) = asked::<ReqAsync>();
    assert_eq!(format!("{reply:?}"), "WaitReply { ready: false, .. }");
    take(&server).1.reply(8).unwrap();
    assert_eq!(format!("{reply:?}"), "WaitReply { ready: true, .. }");
}
