//! Replies that are on their way, one by one and gathered.

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
    Bell, LONG, assert_balanced, block_on, books, drop_in_a_panic, ends::next, eventually,
    for_each, pass, poll_once, poll_with,
};
use ump::{Client, Error, Gather, ReplyContext, RequestError, Server, WaitReply};

type Ends = (Server<u32, u32, String>, Client<u32, u32, String>);
type Job = (u32, ReplyContext<u32, String>);

fn no() -> String {
    "no".to_owned()
}

/// Where a reply comes from, and what it may end in.
trait Origin {
    type Error: Send + std::fmt::Debug + 'static;

    fn ask(client: &Client<u32, u32, String>, n: u32) -> WaitReply<u32, String, Self::Error>;

    /// The same for all origins.
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

/// A request in the queue and its reply to be.
fn asked<O: Origin>() -> (Ends, WaitReply<u32, String, O::Error>) {
    let (server, client) = ump::channel();
    let reply = O::ask(&client, 7);
    assert_eq!(server.len(), 1);
    ((server, client), reply)
}

fn take(server: &Server<u32, u32, String>) -> Job {
    server.try_pop().unwrap().expect("one is queued")
}

/// The ways to get at an outcome that is there.
fn looks<O: Origin>() -> [fn(WaitReply<u32, String, O::Error>) -> Result<u32, O::Error>; 9] {
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

fn every_outcome_can_be_had_in_every_way<O: Origin>() {
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
    for look in looks::<O>() {
        for (end, expected) in &ends {
            let ((server, client), reply) = asked::<O>();
            assert!(!reply.is_ready());
            end(server);
            assert!(reply.is_ready());
            assert_eq!(&look(reply).map_err(O::plain), expected);
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

fn looking_too_early_gives_the_reply_back<O: Origin>() {
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
    let (first, last) = (Bell::new(), Bell::new());
    assert!(poll_with(&mut reply, &first).is_pending());
    assert!(poll_with(&mut reply, &last).is_pending());
    assert!(poll_with(&mut reply, &first).is_pending());
    assert!(poll_with(&mut reply, &last).is_pending());
    assert_eq!((first.wakers(), last.wakers()), (0, 1));
    take(&server).1.reply(8).unwrap();
    assert_eq!((first.rings(), last.rings()), (0, 1));
    assert_eq!(last.wakers(), 0);
    assert!(matches!(poll_with(&mut reply, &first), Poll::Ready(Ok(8))));
}

/// First a task, then a thread, then another task: who waits last is told, whatever it is.
fn a_task_and_a_thread_can_wait_in_turn<O: Origin>() {
    let ((server, _client), mut reply) = asked::<O>();
    let bell = Bell::new();
    assert!(poll_with(&mut reply, &bell).is_pending());
    let mut reply = reply
        .wait_timeout(Duration::from_micros(1))
        .expect_err("nothing yet");
    assert_eq!(bell.wakers(), 0);
    assert!(poll_with(&mut reply, &bell).is_pending());
    thread::scope(|scope| {
        let waiter = scope.spawn(move || reply.wait());
        take(&server).1.reply(8).unwrap();
        assert_eq!(waiter.join().unwrap().unwrap(), 8);
    });
    assert_eq!(bell.wakers(), 0);
}

fn dropping_a_reply_cancels_its_request<O: Origin>() {
    let ((server, _client), reply) = asked::<O>();
    drop(reply);
    assert!(server.is_empty());
    assert_eq!(
        server.stats(),
        books(|stats| (stats.accepted, stats.cancelled_queued) = (1, 1))
    );
    let ((server, _client), reply) = asked::<O>();
    let (_, rctx) = take(&server);
    drop(reply);
    assert!(rctx.is_cancelled());
    assert_eq!(
        server.stats(),
        books(|stats| (stats.accepted, stats.cancelled_taken) = (1, 1))
    );
}

fn dropping_what_waits_by_value_cancels_its_request<O: Origin>() {
    let ((server, _client), reply) = asked::<O>();
    let mut waiting = Box::pin(reply.wait_async());
    assert!(poll_once(&mut waiting).is_pending());
    drop(waiting);
    assert!(server.is_empty());
}

/// Not even the last client has to stay for it.
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
        every_outcome_can_be_had_in_every_way,
        an_outcome_can_be_waited_for,
        looking_too_early_gives_the_reply_back,
        a_reply_awaited_by_reference_can_be_resumed,
        the_task_that_polled_last_is_woken_once,
        a_task_and_a_thread_can_wait_in_turn,
        dropping_a_reply_cancels_its_request,
        dropping_what_waits_by_value_cancels_its_request,
        a_reply_outlives_the_client_and_the_server,
        a_reply_can_be_awaited_from_a_task_of_a_runtime,
    }
);

#[test]
#[should_panic(expected = "polled after it was ready")]
fn a_reply_that_was_had_is_not_to_be_polled_again() {
    let ((server, _client), mut reply) = asked::<ReqAsync>();
    take(&server).1.reply(8).unwrap();
    assert!(poll_once(&mut reply).is_ready());
    let _ = poll_once(&mut reply);
}

#[test]
fn a_reply_shows_whether_it_is_there() {
    let ((server, _client), reply) = asked::<ReqAsync>();
    assert_eq!(format!("{reply:?}"), "WaitReply { ready: false, .. }");
    take(&server).1.reply(8).unwrap();
    assert_eq!(format!("{reply:?}"), "WaitReply { ready: true, .. }");
}

// ---- gathered

type Gathered = Gather<u32, u32, String>;

/// So many requests that are taken, and what gathers their replies under the numbers of the requests.
fn gathered(count: u32) -> (Ends, Gathered, Vec<Option<ReplyContext<u32, String>>>) {
    let (server, client): Ends = ump::channel();
    let gather = (0..count)
        .map(|n| (n, client.req_async(n).unwrap()))
        .collect();
    let jobs = (0..count).map(|_| Some(take(&server).1)).collect();
    ((server, client), gather, jobs)
}

fn answer(jobs: &mut [Option<ReplyContext<u32, String>>], n: u32) {
    let rctx = jobs[n as usize].take().expect("not answered yet");
    rctx.reply(n * 10).unwrap();
}

/// A way to get the next outcome that is there.
trait Next {
    fn next(gather: &mut Gathered) -> Option<(u32, Result<u32, Error<String>>)>;
}

struct Wait;
struct WaitTimeout;
struct TryNext;
struct Streamed;

impl Next for Wait {
    fn next(gather: &mut Gathered) -> Option<(u32, Result<u32, Error<String>>)> {
        gather.wait()
    }
}

impl Next for WaitTimeout {
    fn next(gather: &mut Gathered) -> Option<(u32, Result<u32, Error<String>>)> {
        gather.wait_timeout(LONG)
    }
}

impl Next for TryNext {
    fn next(gather: &mut Gathered) -> Option<(u32, Result<u32, Error<String>>)> {
        while !gather.is_empty() {
            if let Some(outcome) = gather.try_next() {
                return Some(outcome);
            }
            thread::yield_now();
        }
        None
    }
}

impl Next for Streamed {
    fn next(gather: &mut Gathered) -> Option<(u32, Result<u32, Error<String>>)> {
        next(gather)
    }
}

fn outcomes_come_in_the_order_in_which_they_arrive<N: Next>() {
    let (_ends, mut gather, mut jobs) = gathered(5);
    for n in [3, 0, 4] {
        answer(&mut jobs, n);
    }
    for n in [3, 0, 4] {
        assert_eq!(N::next(&mut gather), Some((n, Ok(n * 10))));
    }
    answer(&mut jobs, 2);
    answer(&mut jobs, 1);
    for n in [2, 1] {
        assert_eq!(N::next(&mut gather), Some((n, Ok(n * 10))));
    }
    assert_eq!(N::next(&mut gather), None);
}

fn ready_outcomes_come_in_insertion_order<N: Next>() {
    let (server, client): Ends = ump::channel();
    let replies: Vec<_> = (0..3).map(|n| client.req_async(n).unwrap()).collect();
    let mut batch = Vec::new();
    assert_eq!(server.wait_many(&mut batch, 3), Ok(3));
    for (n, rctx) in batch.into_iter().rev() {
        rctx.reply(n * 10).unwrap();
    }
    let mut gather: Gathered = (0..).zip(replies).collect();
    for n in 0..3 {
        assert_eq!(N::next(&mut gather), Some((n, Ok(n * 10))));
    }
    assert_eq!(N::next(&mut gather), None);
}

fn every_kind_of_outcome_is_gathered<N: Next>() {
    let ((server, client), mut gather, mut jobs) = gathered(4);
    gather.push(4, client.req_async(4).unwrap());
    let mut end = |n: usize| jobs[n].take().unwrap();
    end(0).reply(1).unwrap();
    end(1).fail(no()).unwrap();
    drop(end(2));
    drop_in_a_panic(end(3));
    drop(server);
    assert_eq!(N::next(&mut gather), Some((0, Ok(1))));
    assert_eq!(N::next(&mut gather), Some((1, Err(Error::App(no())))));
    assert_eq!(N::next(&mut gather), Some((2, Err(Error::NoReply))));
    assert_eq!(N::next(&mut gather), Some((3, Err(Error::NoReply))));
    assert_eq!(
        N::next(&mut gather),
        Some((4, Err(Error::ServerDisappeared)))
    );
    assert_eq!(N::next(&mut gather), None);
}

fn outcomes_of_other_threads_are_waited_for<N: Next>() {
    let (_ends, mut gather, mut jobs) = gathered(50);
    thread::scope(|scope| {
        scope.spawn(move || {
            for n in 0..50 {
                // Step by step through all of them in another order.
                answer(&mut jobs, n * 7 % 50);
                if n % 5 == 0 {
                    thread::yield_now();
                }
            }
        });
        for n in 0..50 {
            let n = n * 7 % 50;
            assert_eq!(N::next(&mut gather), Some((n, Ok(n * 10))));
        }
    });
    assert_eq!(N::next(&mut gather), None);
}

fn more_can_be_added_at_any_time<N: Next>() {
    let (server, client): Ends = ump::channel();
    let mut gather = Gathered::new();
    assert_eq!(N::next(&mut gather), None);
    // It grows, shrinks to nothing, and grows again.
    for round in 0..3 {
        for n in 0..10 {
            gather.push(n, client.req_async(n).unwrap());
            if n % 2 == 0 {
                let (n, rctx) = take(&server);
                rctx.reply(n + round).unwrap();
                assert_eq!(N::next(&mut gather), Some((n, Ok(n + round))));
            }
        }
        assert_eq!(gather.len(), 5);
        for left in (0..5).rev() {
            let (n, rctx) = take(&server);
            rctx.reply(n + round).unwrap();
            assert_eq!(N::next(&mut gather), Some((n, Ok(n + round))));
            assert_eq!(gather.len(), left);
        }
        assert_eq!(N::next(&mut gather), None);
    }
}

fn the_same_key_can_be_used_twice<N: Next>() {
    let (server, client): Ends = ump::channel();
    let mut gather = Gathered::new();
    for n in 0..3 {
        gather.push(7, client.req_async(n).unwrap());
    }
    drop(server);
    for _ in 0..3 {
        assert_eq!(
            N::next(&mut gather),
            Some((7, Err(Error::ServerDisappeared)))
        );
    }
    assert_eq!(N::next(&mut gather), None);
}

fn of_ten_thousand_each_comes_exactly_once<N: Next>() {
    const COUNT: u32 = 10_000;
    let (server, client): Ends = ump::channel();
    thread::scope(|scope| {
        let workers = Arc::new(server);
        for _ in 0..2 {
            let server = Arc::clone(&workers);
            scope.spawn(move || {
                let mut held = Vec::new();
                for (n, rctx) in &*server {
                    held.push((n, rctx));
                    // Answered in small heaps, the last ones first.
                    if held.len() == 7 {
                        for (n, rctx) in held.drain(..).rev() {
                            rctx.reply(n + 1).unwrap();
                        }
                    }
                }
                for (n, rctx) in held {
                    rctx.reply(n + 1).unwrap();
                }
            });
        }
        drop(workers);
        let mut gather: Gathered = (0..COUNT)
            .map(|n| (n, client.req_async(n).unwrap()))
            .collect();
        drop(client);
        let mut seen = vec![false; COUNT as usize];
        for left in (0..COUNT as usize).rev() {
            let (n, outcome) = N::next(&mut gather).expect("there are more");
            assert_eq!(outcome, Ok(n + 1));
            assert!(
                !std::mem::replace(&mut seen[n as usize], true),
                "{n} came twice"
            );
            assert_eq!(gather.len(), left);
        }
        assert_eq!(N::next(&mut gather), None);
    });
}

fn dropping_a_gather_cancels_what_has_not_ended<N: Next>() {
    let ((server, client), mut gather, mut jobs) = gathered(3);
    gather.push(3, client.req_async(3).unwrap());
    answer(&mut jobs, 1);
    answer(&mut jobs, 2);
    assert_eq!(N::next(&mut gather), Some((1, Ok(10))));
    drop(gather);
    assert!(jobs[0].as_ref().unwrap().is_cancelled());
    assert!(server.is_empty());
    let expected = books(|stats| {
        stats.accepted = 4;
        stats.replied = 2;
        stats.cancelled_queued = 1;
        stats.cancelled_taken = 1;
    });
    assert_eq!(server.stats(), expected);
}

mod gather {
    use super::*;

    for_each!(
        wait = Wait,
        wait_timeout = WaitTimeout,
        try_next = TryNext,
        stream = Streamed
        => {
            outcomes_come_in_the_order_in_which_they_arrive,
            ready_outcomes_come_in_insertion_order,
            every_kind_of_outcome_is_gathered,
            outcomes_of_other_threads_are_waited_for,
            more_can_be_added_at_any_time,
            the_same_key_can_be_used_twice,
            of_ten_thousand_each_comes_exactly_once,
            dropping_a_gather_cancels_what_has_not_ended,
        }
    );
}

#[test]
fn an_empty_gather_has_nothing_to_wait_for() {
    let mut gather = Gathered::default();
    assert!(gather.is_empty());
    assert_eq!(gather.wait(), None);
    assert_eq!(gather.wait_timeout(Duration::MAX), None);
    assert_eq!(gather.try_next(), None);
    assert_eq!(next(&mut gather), None);
    assert_eq!(gather.size_hint(), (0, Some(0)));
}

#[test]
fn a_gather_gives_up_after_its_time_and_keeps_all() {
    let (_ends, mut gather, mut jobs) = gathered(2);
    let start = Instant::now();
    let time = Duration::from_millis(2);
    assert_eq!(gather.wait_timeout(time), None);
    assert!(start.elapsed() >= time);
    assert_eq!(gather.wait_timeout(Duration::ZERO), None);
    assert_eq!(gather.try_next(), None);
    assert_eq!(gather.len(), 2);
    assert_eq!(gather.size_hint(), (2, Some(2)));
    answer(&mut jobs, 1);
    assert_eq!(gather.wait_timeout(Duration::ZERO), Some((1, Ok(10))));
    answer(&mut jobs, 0);
    assert_eq!(gather.wait_timeout(Duration::MAX), Some((0, Ok(0))));
}

fn poll_gather(gather: &mut Gathered, bell: &Arc<Bell>) -> Poll<Option<u32>> {
    Pin::new(gather)
        .poll_next(&mut Context::from_waker(&bell.waker()))
        .map(|next| next.map(|(n, _)| n))
}

#[test]
fn a_gathering_task_is_woken_by_any_reply() {
    let (_ends, mut gather, mut jobs) = gathered(3);
    let (first, last) = (Bell::new(), Bell::new());
    assert!(poll_gather(&mut gather, &first).is_pending());
    assert!(poll_gather(&mut gather, &last).is_pending());
    assert_eq!((first.wakers(), last.wakers()), (0, 1));
    answer(&mut jobs, 2);
    assert_eq!((first.rings(), last.rings()), (0, 1));
    assert_eq!(poll_gather(&mut gather, &last), Poll::Ready(Some(2)));
    assert!(poll_gather(&mut gather, &last).is_pending());
    answer(&mut jobs, 0);
    answer(&mut jobs, 1);
    assert_eq!(poll_gather(&mut gather, &last), Poll::Ready(Some(0)));
    assert_eq!(poll_gather(&mut gather, &last), Poll::Ready(Some(1)));
    assert_eq!(poll_gather(&mut gather, &last), Poll::Ready(None));
    assert_eq!((first.wakers(), last.wakers()), (0, 0));
}

#[test]
fn a_gathering_task_sees_replies_added_meanwhile() {
    let ((server, client), mut gather, _jobs) = gathered(1);
    let bell = Bell::new();
    assert!(poll_gather(&mut gather, &bell).is_pending());
    // One that is on its way,
    gather.push(5, client.req_async(5).unwrap());
    let rings = bell.rings();
    take(&server).1.reply(50).unwrap();
    assert!(bell.rings() > rings);
    assert_eq!(poll_gather(&mut gather, &bell), Poll::Ready(Some(5)));
    assert!(poll_gather(&mut gather, &bell).is_pending());
    // and one that is there.
    let reply = client.req_async(6).unwrap();
    take(&server).1.reply(60).unwrap();
    let rings = bell.rings();
    gather.push(6, reply);
    assert!(bell.rings() > rings);
    assert_eq!(poll_gather(&mut gather, &bell), Poll::Ready(Some(6)));
}

/// A place that is used again belongs to the new request only.
#[test]
fn a_reply_in_a_reused_entry_is_not_confused() {
    let ((server, client), mut gather, mut jobs) = gathered(3);
    answer(&mut jobs, 1);
    assert_eq!(gather.wait(), Some((1, Ok(10))));
    gather.push(5, client.req_async(5).unwrap());
    assert_eq!(gather.try_next(), None);
    answer(&mut jobs, 0);
    assert_eq!(gather.try_next(), Some((0, Ok(0))));
    gather.push(6, client.req_async(6).unwrap());
    assert_eq!(gather.try_next(), None);
    let (five, six) = (take(&server), take(&server));
    six.1.reply(60).unwrap();
    answer(&mut jobs, 2);
    five.1.reply(50).unwrap();
    assert_eq!(gather.wait(), Some((6, Ok(60))));
    assert_eq!(gather.wait(), Some((2, Ok(20))));
    assert_eq!(gather.wait(), Some((5, Ok(50))));
    assert_eq!(gather.wait(), None);
}

#[test]
fn a_thread_and_a_task_can_wait_in_turn() {
    let (_ends, mut gather, mut jobs) = gathered(3);
    let bell = Bell::new();
    assert!(poll_gather(&mut gather, &bell).is_pending());
    assert_eq!(gather.wait_timeout(Duration::from_micros(1)), None);
    assert_eq!(bell.wakers(), 0);
    assert!(poll_gather(&mut gather, &bell).is_pending());
    answer(&mut jobs, 0);
    assert_eq!(bell.rings(), 1);
    assert_eq!(gather.wait(), Some((0, Ok(0))));
    thread::scope(|scope| {
        let waiter = scope.spawn(|| gather.wait());
        answer(&mut jobs, 1);
        assert_eq!(waiter.join().unwrap(), Some((1, Ok(10))));
    });
    assert!(poll_gather(&mut gather, &bell).is_pending());
    answer(&mut jobs, 2);
    assert_eq!(bell.rings(), 2);
}

#[test]
fn replies_with_options_are_gathered_with_errors() {
    let (server, client): Ends = ump::channel();
    let submit = |n| client.request(n).submit().wait().unwrap();
    let mut gather = Gather::new();
    gather.extend([("a", submit(1)), ("b", submit(2))]);
    take(&server).1.fail(no()).unwrap();
    drop(server);
    assert!(matches!(
        gather.wait(),
        Some(("a", Err(RequestError::App(error)))) if error == no()
    ));
    assert!(matches!(
        gather.wait(),
        Some(("b", Err(RequestError::ServerDisappeared(2))))
    ));
    assert!(gather.wait().is_none());
}

/// One task asks many servers and takes the answers as they come.
#[tokio::test]
async fn a_task_gathers_from_several_servers() {
    let mut gather = Gather::<_, u32, String>::new();
    for who in 0..3 {
        let (server, client): Ends = ump::channel();
        for n in 0..10 {
            gather.push((who, n), client.req_async(n).unwrap());
        }
        tokio::spawn(async move {
            while let Ok((n, rctx)) = server.async_wait().await {
                rctx.reply(n + who).unwrap();
                tokio::task::yield_now().await;
            }
        });
    }
    let mut seen = std::collections::BTreeSet::new();
    let mut gather = pin!(gather);
    while let Some(((who, n), outcome)) =
        std::future::poll_fn(|cx| gather.as_mut().poll_next(cx)).await
    {
        assert_eq!(outcome, Ok(n + who));
        assert!(seen.insert((who, n)));
    }
    assert_eq!(seen.len(), 30);
}

/// It is a future like any other: whoever has it may move it between tasks and threads.
#[test]
fn a_reply_can_move_between_threads_while_polled() {
    let ((server, _client), mut reply) = asked::<ReqAsync>();
    let bell = Bell::new();
    assert!(poll_with(&mut reply, &bell).is_pending());
    thread::scope(|scope| {
        let other = scope.spawn(move || {
            let mut cx = Context::from_waker(std::task::Waker::noop());
            let mut reply = Box::pin(reply);
            loop {
                if let Poll::Ready(outcome) = reply.as_mut().poll(&mut cx) {
                    break outcome;
                }
                thread::yield_now();
            }
        });
        eventually(|| bell.wakers() == 0);
        take(&server).1.reply(8).unwrap();
        assert_eq!(other.join().unwrap(), Ok(8));
    });
    assert_eq!(bell.rings(), 0);
}
