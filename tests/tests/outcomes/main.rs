//! Every row of the table of outcomes, for every kind of client and server, with its counter.
//!
//! A test is called `client::server::what_happens`.

mod posts;

use std::{future::IntoFuture, panic, thread, time::Instant};

use tests::{
    assert_balanced, drop_in_a_panic, ends::*, eventually, for_each, pass, stats_with,
    with_growing_time,
};
use ump::{Client, Executed, NoReply, PanicMessage, ReplyContext, SendError, Server, Stats};

type Rctx = ReplyContext<String, String>;
type Outcome = Result<String, Failure<String, String>>;

fn request() -> String {
    "request".to_owned()
}

fn next() -> String {
    "next".to_owned()
}

/// The outcome of a caller of kind `A`, with the returned message if its errors have it.
fn back<A: Ask>(why: Reason<String>) -> Outcome {
    Err(Failure {
        why,
        executed: Executed::No,
        message: A::DETAILED.then(request),
    })
}

fn without_message(why: Reason<String>, executed: Executed) -> Outcome {
    Err(Failure {
        why,
        executed,
        message: None,
    })
}

fn no_reply<A: Ask>(why: NoReply) -> Outcome {
    without_message(
        Reason::NoReply(A::DETAILED.then_some(why)),
        Executed::Perhaps,
    )
}

/// Checks that `next` is the next request that a handler gets, and that no other one comes before
/// it.
fn the_next_taken_is_another_request<T: Take>(
    server: &Server<String, String, String>,
    client: &Client<String, String, String>,
) {
    client.post(next()).wait().unwrap();
    let (message, rctx) = T::take(server).expect("a client is left");
    assert_eq!(message, next());
    rctx.reply(String::new()).unwrap();
}

// ---- taken by a handler

/// Checks the outcome of a request that `handle` handles, and the counters after it.
fn handled<A: Ask, T: Take>(handle: impl FnOnce(Rctx)) -> (Outcome, Stats) {
    let (server, client) = ump::channel();
    thread::scope(|scope| {
        // Dropped before the scope joins the caller if an assertion fails.
        let server = server;
        let caller = scope.spawn(|| A::ask(&client, request(), Options::default()));
        let (message, rctx) = T::take(&server).expect("a client is left");
        assert_eq!(message, request());
        let held = stats_with(|stats| (stats.accepted, stats.taken) = (1, 1));
        assert_eq!(server.stats(), held);
        handle(rctx);
        let outcome = caller.join().unwrap();
        assert_balanced(&server.stats());
        assert_eq!(server.stats(), client.stats());
        (outcome, server.stats())
    })
}

fn a_reply_comes_back<A: Ask, T: Take>() {
    let (outcome, stats) = handled::<A, T>(|rctx| rctx.reply("reply".to_owned()).unwrap());
    assert_eq!(outcome, Ok("reply".to_owned()));
    assert_eq!(
        stats,
        stats_with(|stats| (stats.accepted, stats.replied) = (1, 1))
    );
}

fn a_refusal_comes_back_with_the_application_s_error<A: Ask, T: Take>() {
    let (outcome, stats) = handled::<A, T>(|rctx| rctx.fail("no".to_owned()).unwrap());
    let expected = without_message(Reason::App("no".to_owned()), Executed::Yes);
    assert_eq!(outcome, expected);
    assert_eq!(
        stats,
        stats_with(|stats| (stats.accepted, stats.failed) = (1, 1))
    );
}

fn a_dropped_context_is_no_reply<A: Ask, T: Take>() {
    let (outcome, stats) = handled::<A, T>(drop);
    assert_eq!(outcome, no_reply::<A>(NoReply::Dropped));
    assert_eq!(
        stats,
        stats_with(|stats| (stats.accepted, stats.no_reply) = (1, 1))
    );
}

fn a_panic_of_the_handler_is_panicked<A: Ask, T: Take>() {
    let (outcome, stats) = handled::<A, T>(drop_in_a_panic);
    assert_eq!(
        outcome,
        no_reply::<A>(NoReply::Panicked(PanicMessage::default()))
    );
    assert_eq!(
        stats,
        stats_with(|stats| (stats.accepted, stats.panicked) = (1, 1))
    );
}

/// The caller continues to wait, because its context is independent of the server.
fn a_context_outlives_its_server<A: Ask, T: Take>() {
    let (server, client) = ump::channel();
    thread::scope(|scope| {
        let server = server;
        let caller = scope.spawn(|| A::ask(&client, request(), Options::default()));
        let (_, rctx) = T::take::<_, _, String>(&server).expect("a client is left");
        drop(server);
        rctx.reply("late".to_owned()).unwrap();
        assert_eq!(caller.join().unwrap(), Ok("late".to_owned()));
    });
    let expected = stats_with(|stats| (stats.accepted, stats.replied) = (1, 1));
    assert_eq!(client.stats(), expected);
}

for_each!(
    req = Req,
    areq = Areq,
    req_async_wait = ReqAsyncWait,
    req_async_await = ReqAsyncAwait,
    request_wait = RequestWait,
    request_await = RequestAwait,
    submit_wait_wait = SubmitWait,
    submit_await_await = SubmitAwait,
    submit_wait_await = SubmitWaitAwait,
    submit_await_wait = SubmitAwaitWait;
    (wait = Wait, async_wait = AsyncWait, try_pop = TryPop, wait_many = WaitMany) => {
        a_reply_comes_back,
        a_refusal_comes_back_with_the_application_s_error,
        a_dropped_context_is_no_reply,
        a_panic_of_the_handler_is_panicked,
        a_context_outlives_its_server,
    }
);

// ---- the server goes

mod without_a_server {
    use super::*;

    pub(crate) fn a_server_that_is_gone_is_reported_at_once<A: Ask>() {
        let (server, client) = ump::channel::<String, String, String>();
        drop(server);
        let outcome = A::ask(&client, request(), Options::default());
        assert_eq!(outcome, back::<A>(Reason::ServerDisappeared));
        assert_eq!(client.stats(), stats_with(|stats| stats.refused = 1));
    }

    pub(crate) fn a_server_that_goes_ends_what_is_queued<A: Ask>() {
        let (server, client) = ump::channel::<String, String, String>();
        let outcome = thread::scope(|scope| {
            let caller = scope.spawn(|| A::ask(&client, request(), Options::default()));
            eventually(|| server.len() == 1);
            let waiting = stats_with(|stats| (stats.accepted, stats.queued) = (1, 1));
            assert_eq!(server.stats(), waiting);
            drop(server);
            caller.join().unwrap()
        });
        assert_eq!(outcome, back::<A>(Reason::ServerDisappeared));
        let expected = stats_with(|stats| (stats.accepted, stats.server_disappeared) = (1, 1));
        assert_eq!(client.stats(), expected);
        assert_balanced(&client.stats());
    }

    for_each!(
        req = Req,
        areq = Areq,
        req_async_wait = ReqAsyncWait,
        req_async_await = ReqAsyncAwait,
        request_wait = RequestWait,
        request_await = RequestAwait,
        submit_wait_wait = SubmitWait,
        submit_await_await = SubmitAwait,
        submit_wait_await = SubmitWaitAwait,
        submit_await_wait = SubmitAwaitWait
        => {
            a_server_that_is_gone_is_reported_at_once,
            a_server_that_goes_ends_what_is_queued,
        }
    );
}

// ---- with options

fn a_deadline_in_the_queue_revokes_the_request<A: Ask, T: Take>() {
    let (server, client, outcome) = with_growing_time(|time| {
        let (server, client) = ump::channel();
        let outcome = A::ask(&client, request(), Options::until(Instant::now() + time));
        (client.stats().accepted == 1).then_some((server, client, outcome))
    });
    assert_eq!(outcome, back::<A>(Reason::TimeoutQueued));
    let expected = stats_with(|stats| (stats.accepted, stats.timeout_queued) = (1, 1));
    assert_eq!(server.stats(), expected);
    assert_balanced(&server.stats());
    the_next_taken_is_another_request::<T>(&server, &client);
}

fn a_deadline_after_the_take_is_timeout_taken<A: Ask, T: Take>() {
    with_growing_time(|time| {
        let (server, client) = ump::channel();
        thread::scope(|scope| {
            let server = server;
            let deadline = Instant::now() + time;
            let caller = scope.spawn(move || A::ask(&client, request(), Options::until(deadline)));
            // The round does not count if the deadline has passed before.
            let (message, rctx) = T::take(&server)?;
            assert_eq!(message, request());
            let expected = without_message(Reason::TimeoutTaken, Executed::Perhaps);
            assert_eq!(caller.join().unwrap(), expected);
            assert!(Instant::now() >= deadline);
            assert!(rctx.is_cancelled());
            let unwanted = rctx.answer(Ok("reply".to_owned()));
            assert_eq!(unwanted, Err(Ok("reply".to_owned())));
            let expected = stats_with(|stats| (stats.accepted, stats.timeout_taken) = (1, 1));
            assert_eq!(server.stats(), expected);
            assert_balanced(&server.stats());
            Some(())
        })
    });
}

fn a_deadline_that_has_passed_refuses_the_request<A: Ask, T: Take>() {
    let (server, client) = ump::channel();
    let late = Instant::now();
    let outcome = A::ask(&client, request(), Options::until(late));
    assert_eq!(outcome, back::<A>(Reason::TimeoutQueued));
    assert_eq!(server.stats(), stats_with(|stats| stats.refused = 1));
    the_next_taken_is_another_request::<T>(&server, &client);
}

fn a_full_queue_refuses_a_request_that_does_not_wait<A: Ask, T: Take>() {
    let (server, client) = ump::bounded(1).unwrap();
    client.post(next()).wait().unwrap();
    let options = Options {
        if_room: true,
        ..Options::default()
    };
    let outcome = A::ask(&client, request(), options);
    assert_eq!(outcome, back::<A>(Reason::Full));
    let (message, rctx) = T::take(&server).expect("a client is left");
    assert_eq!(message, next());
    rctx.reply(String::new()).unwrap();
    let expected = stats_with(|stats| {
        (stats.accepted, stats.replied, stats.refused) = (1, 1, 1);
    });
    assert_eq!(server.stats(), expected);
    the_next_taken_is_another_request::<T>(&server, &client);
}

mod on_terms {
    use super::*;

    for_each!(
        request_wait = RequestWait,
        request_await = RequestAwait,
        submit_wait_wait = SubmitWait,
        submit_await_await = SubmitAwait,
        submit_wait_await = SubmitWaitAwait,
        submit_await_wait = SubmitAwaitWait;
        (wait = Wait, async_wait = AsyncWait, try_pop = TryPop, wait_many = WaitMany) => {
            a_deadline_in_the_queue_revokes_the_request,
            a_deadline_after_the_take_is_timeout_taken,
            a_deadline_that_has_passed_refuses_the_request,
            a_full_queue_refuses_a_request_that_does_not_wait,
        }
    );
}

// ---- cancelled

fn a_request_cancelled_in_the_queue_is_never_executed<B: Begin, T: Take>() {
    let (server, client) = ump::channel();
    let begun = B::begin(&client, request());
    let waiting = stats_with(|stats| (stats.accepted, stats.queued) = (1, 1));
    assert_eq!(server.stats(), waiting);
    drop(begun);
    let expected = stats_with(|stats| (stats.accepted, stats.cancelled_queued) = (1, 1));
    assert_eq!(server.stats(), expected);
    assert!(server.is_empty());
    the_next_taken_is_another_request::<T>(&server, &client);
}

fn a_handler_sees_its_request_cancelled<B: Begin, T: Take>() {
    let (server, client) = ump::channel::<_, String, String>();
    let begun = B::begin(&client, request());
    let (message, rctx) = T::take(&server).expect("a client is left");
    assert_eq!(message, request());
    assert!(!rctx.is_cancelled());
    drop(begun);
    assert!(rctx.is_cancelled());
    let expected = stats_with(|stats| (stats.accepted, stats.cancelled_taken) = (1, 1));
    assert_eq!(server.stats(), expected);
    assert_eq!(rctx.answer(Err("no".to_owned())), Err(Err("no".to_owned())));
    // The request has ended only once.
    assert_eq!(server.stats(), expected);
    the_next_taken_is_another_request::<T>(&server, &client);
}

fn a_completed_request_is_not_cancelled<B: Begin, T: Take>() {
    let (server, client) = ump::channel::<_, String, String>();
    let begun = B::begin(&client, request());
    let (_, rctx) = T::take(&server).expect("a client is left");
    rctx.reply("unread".to_owned()).unwrap();
    drop(begun);
    let expected = stats_with(|stats| (stats.accepted, stats.replied) = (1, 1));
    assert_eq!(server.stats(), expected);
}

mod cancelled {
    use super::*;

    for_each!(
        areq = Areq,
        req_async = ReqAsyncWait,
        req_async_await = ReqAsyncAwait,
        request_await = RequestAwait,
        submit_wait = SubmitWait,
        submit_await = SubmitAwait;
        (wait = Wait, async_wait = AsyncWait, try_pop = TryPop, wait_many = WaitMany) => {
            a_request_cancelled_in_the_queue_is_never_executed,
            a_handler_sees_its_request_cancelled,
            a_completed_request_is_not_cancelled,
        }
    );
}

// ---- all together

/// One request with each outcome on one channel: no counter includes another.
#[test]
fn the_counters_add_up_whatever_happens() {
    let (server, client) = ump::bounded::<&str, &str, &str>(2).unwrap();
    let submit = |message| client.request(message).submit().wait().unwrap();
    let check = |what: &str, stats: Stats| {
        assert_eq!(server.stats(), stats, "{what}");
        assert_balanced(&stats);
    };
    let mut expected = Stats::default();

    let (replied, failed) = (submit("reply"), submit("fail"));
    expected.accepted = 2;
    expected.queued = 2;
    check("two are queued", expected);

    let _ = client.request("too many").if_room().wait().unwrap_err();
    expected.refused = 1;
    check("one is refused", expected);

    server.wait().unwrap().1.reply("yes").unwrap();
    server.wait().unwrap().1.fail("no").unwrap();
    assert_eq!(replied.wait().unwrap(), "yes");
    assert_eq!(failed.wait().unwrap_err().into_apperr(), Some("no"));
    (expected.queued, expected.replied, expected.failed) = (0, 1, 1);
    check("both are answered", expected);

    let (left, kept) = (submit("leave"), submit("keep"));
    drop(left);
    let rctx = server.wait().unwrap().1;
    (expected.accepted, expected.cancelled_queued, expected.taken) = (4, 1, 1);
    check("one is cancelled, one taken", expected);
    drop(kept);
    (expected.taken, expected.cancelled_taken) = (0, 1);
    check("the other is cancelled, too", expected);
    drop(rctx);
    check("its handler changes nothing any more", expected);

    let dropped = submit("drop");
    let panicked = submit("panic");
    drop(server.wait().unwrap());
    drop_in_a_panic(server.wait().unwrap());
    dropped.wait().unwrap_err();
    panicked.wait().unwrap_err();
    (expected.accepted, expected.no_reply, expected.panicked) = (6, 1, 1);
    check("one is dropped, one panics", expected);

    client.post("stay").wait().unwrap();
    let stay = submit("stay");
    expected.accepted = 8;
    expected.queued = 2;
    check("two are left behind", expected);
    drop(server);
    stay.wait().unwrap_err();
    assert!(matches!(
        client.post("late").wait(),
        Err(SendError::ServerDisappeared("late"))
    ));
    (
        expected.queued,
        expected.server_disappeared,
        expected.refused,
    ) = (0, 2, 2);
    assert_eq!(client.stats(), expected);
    assert_balanced(&expected);
}

#[test]
fn nothing_is_sent_before_the_first_poll() {
    let (server, client) = ump::channel::<u32, (), ()>();
    // A builder, or a future that was never polled, is not a request yet.
    drop(client.areq(1));
    drop(client.request(1).urgent());
    drop(client.request(1).submit());
    drop(client.request(1).post());
    drop(client.request(1).into_future());
    drop(client.request(1).submit().into_future());
    drop(client.post(1).into_future());
    assert_eq!(server.stats(), Stats::default());
}

/// The panic of the handler continues after the caller was notified; here `catch_unwind` stops it.
#[test]
fn a_panicking_handler_leaves_the_server_usable() {
    let (server, client) = ump::channel::<u32, u32, ()>();
    thread::scope(|scope| {
        let server = server;
        let caller = scope.spawn(|| client.request(1).wait().map_err(Failure::from));
        let handler = panic::AssertUnwindSafe(|| {
            let (n, _rctx) = server.wait().unwrap();
            // Without the panic hook, which would print it.
            panic::resume_unwind(Box::new(n));
        });
        let panic = panic::catch_unwind(handler).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&1_u32));
        assert_eq!(
            caller.join().unwrap(),
            Err(Failure {
                why: Reason::NoReply(Some(NoReply::Panicked(PanicMessage::default()))),
                executed: Executed::Perhaps,
                message: None,
            })
        );
        let caller = scope.spawn(|| client.req(2));
        server.wait().unwrap().1.reply(4).unwrap();
        assert_eq!(caller.join().unwrap(), Ok(4));
    });
}
