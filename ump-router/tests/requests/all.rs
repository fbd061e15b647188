//! A request to all servers of a pattern: each gives one answer.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering},
    task::Poll,
    thread,
    time::Duration,
};

use futures_util::{StreamExt, stream::FusedStream};
use ump_router::{
    Answer, Answers, Call, Error, RequestError, RequestMessage, Router, ServeOptions, Server,
    TopicErrorKind,
    ump::{self, Clock, Executed, ManualClock},
};

use crate::{
    LONG,
    counting_waker::{CountingWaker, poll_once, poll_with},
};

/// The reply is the number plus the length of the topic.
#[derive(Clone, Debug, PartialEq)]
struct Ask(u64);

impl RequestMessage for Ask {
    type Reply = u64;
    type Error = &'static str;
    const PREFIX: &'static str = "ask";
}

fn servers<const N: usize>(router: &Router, topics: [&str; N]) -> [Server<Ask>; N] {
    topics.map(|topic| router.serve::<Ask>(topic).unwrap())
}

/// Answers one request: even numbers with a reply, odd ones with an error.
fn answer(server: &Server<Ask>) {
    let (call, rctx) = server.try_pop().unwrap().unwrap();
    let _ = match call.message.0 % 2 {
        0 => rctx.reply(call.message.0 + call.topic.as_str().len() as u64),
        _ => rctx.fail("odd"),
    };
}

fn text(answer: Option<Answer<Ask>>) -> String {
    let Some(Answer { topic, outcome }) = answer else {
        return "end".to_owned();
    };
    match outcome {
        Ok(reply) => format!("{topic}: {reply}"),
        Err(error) => format!("{topic}: {error:?}"),
    }
}

fn send(router: &Router, pattern: &str) -> Answers<Ask> {
    router.request_all(pattern, Ask(2)).send().unwrap()
}

fn block_on<F: Future>(future: F) -> F::Output {
    let clock = Clock::system();
    let until = clock.now() + LONG;
    clock.block_on(future, Some(until)).expect("in time")
}

#[test]
fn answers_come_in_the_order_in_which_servers_answer() {
    let router = Router::new();
    let [one, two, three, other] = servers(&router, ["a/b", "a/bb", "a", "b"]);
    let mut answers = send(&router, "a/**");
    assert_eq!((answers.len(), other.len()), (3, 0));
    answer(&two);
    assert_eq!(text(answers.try_next()), "a/bb: 6");
    assert!(answers.try_next().is_none());
    answer(&three);
    answer(&one);
    assert_eq!(text(answers.iter().next()), "a: 3");
    assert_eq!(text(block_on(answers.stream().next())), "a/b: 5");
    assert_eq!(text(block_on(answers.next())), "end");
    assert_eq!(text(answers.iter().next()), "end");
    assert!(answers.is_empty() && answers.is_terminated());
}

#[test]
fn a_thread_and_a_task_gather_all_answers() {
    let router = Router::new();
    let serving = servers(&router, ["a", "b", "c"]).map(|server| {
        thread::spawn(move || {
            for (call, rctx) in &server {
                let _ = rctx.reply(call.message.0);
            }
        })
    });
    let by_wait = router
        .request_all("*", Ask(7))
        .timeout(LONG)
        .wait()
        .unwrap();
    let by_await = block_on(router.request_all("*", Ask(7)).timeout(LONG).into_future()).unwrap();
    for all in [by_wait, by_await] {
        let all = all
            .into_iter()
            .map(|it| (it.topic.to_string(), it.outcome.unwrap()));
        let all: BTreeMap<_, _> = all.collect();
        let expected = ["a", "b", "c"].map(|topic| (topic.to_owned(), 7));
        assert_eq!(all, BTreeMap::from(expected));
    }
    router.close();
    for thread in serving {
        thread.join().unwrap();
    }
}

#[test]
fn each_server_has_its_own_outcome() {
    let clock = ManualClock::new();
    let router = Router::with_clock(clock.clock());
    let full = ServeOptions::new().capacity(1);
    let full = router.serve_with::<Ask>("full", full).unwrap();
    let mut fills = pin!(router.request("full", Ask(0)).into_future());
    assert!(poll_once(fills.as_mut()).is_pending());
    let [fails, leaves, drops, sleeps, late] =
        servers(&router, ["fails", "leaves", "drops", "sleeps", "late"]);
    let limit = Duration::from_secs(5);
    let request = router.request_all("**", Ask(1)).timeout(limit).if_room();
    let mut answers = request.send().unwrap();
    assert_eq!(text(answers.try_next()), "full: Full(..)");
    answer(&fails);
    assert_eq!(text(answers.try_next()), "fails: App(\"odd\")");
    drop(leaves);
    assert_eq!(text(answers.try_next()), "leaves: ServerDisappeared(..)");
    drop(drops.try_pop().unwrap());
    assert_eq!(text(answers.try_next()), "drops: NoReply(Dropped)");
    let taken = late.try_pop().unwrap().unwrap();
    clock.advance(limit);
    let mut timed_out: Vec<_> = answers.iter().collect();
    timed_out.sort_by(|one, other| one.topic.cmp(&other.topic));
    let executed = timed_out
        .iter()
        .map(|it| it.outcome.as_ref().unwrap_err().executed());
    assert!(executed.eq([Executed::Perhaps, Executed::No]));
    assert!(
        timed_out
            .iter()
            .all(|it| it.outcome.as_ref().unwrap_err().is_timeout())
    );
    drop((taken, sleeps, full));
}

#[test]
fn a_deadline_for_all_ends_a_wait_for_room() {
    let clock = ManualClock::new();
    let router = Router::with_clock(clock.clock());
    let full = ServeOptions::new().capacity(1);
    let server = router.serve_with::<Ask>("full", full).unwrap();
    let [other] = servers(&router, ["other"]);
    let mut fills = pin!(router.request("full", Ask(0)).into_future());
    assert!(poll_once(fills.as_mut()).is_pending());
    let limit = Duration::from_secs(5);
    let mut answers = router
        .request_all("*", Ask(2))
        .timeout(limit)
        .send()
        .unwrap();
    assert_eq!((server.len(), other.len()), (1, 1));
    answer(&other);
    assert_eq!(text(answers.try_next()), "other: 7");
    assert!(answers.try_next().is_none());
    clock.advance(limit);
    assert_eq!(text(answers.iter().next()), "full: TimeoutQueued(..)");
    assert_eq!(text(answers.iter().next()), "end");
    assert_eq!(server.len(), 1);
}

#[test]
fn a_pattern_finds_the_servers_that_come_and_go() {
    let router = Router::new();
    let names = || {
        let answers = router.request_all("a/*", Ask(1)).timeout(Duration::ZERO);
        let answers = answers.wait().unwrap().into_iter();
        let mut names: Vec<_> = answers.map(|it| it.topic.to_string()).collect();
        names.sort();
        names
    };
    let [one, two, deep] = servers(&router, ["a/one", "a/two", "a/b/c"]);
    assert_eq!(names(), ["a/one", "a/two"]);
    drop(two);
    let [three, other] = servers(&router, ["a/three", "b/a"]);
    assert_eq!(names(), ["a/one", "a/three"]);
    let standby = ServeOptions::new().standby();
    let next = router.serve_with::<Ask>("a/one", standby).unwrap();
    drop(one);
    assert_eq!(names(), ["a/one", "a/three"]);
    drop((next, three, deep, other));
    assert_eq!(names(), [""; 0]);
    let [again] = servers(&router, ["a/one"]);
    assert_eq!(names(), ["a/one"]);
    drop(again);
}

#[test]
fn a_standby_answers_in_place_of_a_server_that_leaves() {
    let router = Router::new();
    let standby = ServeOptions::new().standby();
    let [first] = servers(&router, ["a"]);
    let next = router.serve_with::<Ask>("a", standby).unwrap();
    let mut answers = send(&router, "*");
    drop(first);
    assert!(answers.try_next().is_none());
    answer(&next);
    assert_eq!(text(answers.try_next()), "a: 3");
    // A server that comes later is not asked.
    let [late] = servers(&router, ["b"]);
    assert_eq!((late.len(), answers.len()), (0, 0));
}

#[test]
fn without_servers_there_is_no_answer() {
    let router = Router::new();
    assert_eq!(text(send(&router, "*").try_next()), "end");
    assert!(router.request_all("*", Ask(1)).wait().unwrap().is_empty());
    assert!(
        block_on(router.request_all("a", Ask(1)).into_future())
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_task_is_woken_by_each_answer() {
    let router = Router::new();
    let [one, two] = servers(&router, ["a", "b"]);
    let mut answers = send(&router, "*");
    let waker = Arc::<CountingWaker>::default();
    let wakes = || waker.0.load(Ordering::SeqCst);
    {
        let mut next = pin!(answers.next());
        assert!(poll_with(next.as_mut(), &waker).is_pending());
        answer(&two);
        assert_eq!(wakes(), 1);
        let Poll::Ready(next) = poll_with(next.as_mut(), &waker) else {
            panic!()
        };
        assert_eq!(text(next), "b: 3");
    }
    // A future of the next answer that is dropped loses nothing.
    assert!(poll_with(Pin::new(&mut answers.next()), &waker).is_pending());
    answer(&one);
    assert_eq!(wakes(), 2);
    assert_eq!(text(answers.iter().next()), "a: 3");
}

#[test]
fn dropping_the_answers_cancels_the_requests() {
    let router = Router::new();
    let [one, two] = servers(&router, ["a", "b"]);
    let answers = send(&router, "*");
    let (_, rctx) = one.try_pop().unwrap().unwrap();
    drop(answers);
    assert!(two.is_empty(), "a queued request is revoked");
    assert!(rctx.reply(1).is_err(), "a handler learns that nobody waits");
    let mut all = Box::pin(router.request_all("*", Ask(1)).into_future());
    assert!(poll_once(all.as_mut()).is_pending());
    assert_eq!((one.len(), two.len()), (1, 1));
    drop(all);
    assert!(one.is_empty() && two.is_empty());
}

#[test]
fn a_request_to_all_that_is_not_made_returns_the_message() {
    let router = Router::new();
    let Err(RequestError::NotMade(Ask(1), Error::Topic(error))) =
        router.request_all("a//b", Ask(1)).wait()
    else {
        panic!()
    };
    assert_eq!(
        (error.kind(), error.position()),
        (TopicErrorKind::EmptyFragment, 2)
    );
    router.close();
    for refused in [
        router.request_all("*", Ask(1)).wait().map(drop),
        block_on(router.request_all("*", Ask(1)).into_future()).map(drop),
        router.request_all("*", Ask(1)).send().map(drop),
    ] {
        assert!(matches!(
            refused,
            Err(RequestError::NotMade(Ask(1), Error::Closed))
        ));
    }
}

#[test]
fn closing_the_router_lets_the_requests_end() {
    let router = Router::new();
    let [one, two] = servers(&router, ["a", "b"]);
    let mut answers = send(&router, "*");
    router.close();
    answer(&one);
    assert_eq!(text(answers.try_next()), "a: 3");
    drop(two);
    assert_eq!(text(answers.try_next()), "b: ServerDisappeared(..)");
}

/// A handler that asks all topics, its own among them.
struct AsksAll(Router);

impl ump_server::thread::Handler<Call<Ask>, u64, &'static str> for AsksAll {
    fn proc_req(
        &mut self,
        call: Call<Ask>,
        rctx: ump_server::ReplyContext<'_, u64, &'static str>,
    ) -> ControlFlow<()> {
        let by_wait = self
            .0
            .request_all("**", call.message.clone())
            .timeout(LONG)
            .wait();
        // It need not wait in the same way for each of them.
        let request = self.0.request_all("**", call.message).timeout(LONG);
        let mut by_turns = request.send().unwrap();
        let first: Vec<_> = by_turns.try_next().into_iter().collect();
        let rest = by_turns.iter().collect::<Vec<_>>();
        let answers = [by_wait.unwrap(), first, rest];
        let deadlocks = answers.into_iter().flatten().filter(|answer| {
            let error = answer.outcome.as_ref().err();
            matches!(
                error,
                Some(RequestError::Ended(ump::RequestError::WouldDeadlock(..)))
            )
        });
        let _ = rctx.reply(deadlocks.count() as u64);
        ControlFlow::Continue(())
    }
}

#[test]
fn a_handler_that_asks_itself_among_others_is_told() {
    let router = Router::new();
    let [other] = servers(&router, ["other"]);
    let serving = thread::spawn(move || {
        for (_, rctx) in &other {
            let _ = rctx.reply(1);
        }
    });
    let routes = router.clone();
    let (client, handle) = ump_server::thread::Builder::new()
        .spawn_with(move |_| Ok(AsksAll(routes.clone())))
        .unwrap();
    let claim = router
        .serve_by::<Ask>("self", client, ServeOptions::new())
        .unwrap();
    assert_eq!(router.request("self", Ask(2)).wait().unwrap(), 2);
    drop(claim);
    router.close();
    serving.join().unwrap();
    drop(handle);
}
