//! A request by topic ends exactly once: in the reply of its topic's server, or in one definite
//! error.

use std::{
    future::{Future, IntoFuture},
    num::NonZeroUsize,
    ops::ControlFlow,
    panic::Location,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

use futures_core::Stream;
use ump_router::{
    Bytes, Call, Change, ChangeKind, Error, RequestError, RequestMessage, Router, ServeOptions,
    Server, TopicErrorKind,
    ump::{self, Executed, ManualClock},
};
use ump_server::{ReplyContext, Stop};

/// Its server doubles it, and refuses zero.
#[derive(Debug, PartialEq)]
struct Double(u64);

impl RequestMessage for Double {
    type Reply = u64;
    type Error = &'static str;
    const PREFIX: &'static str = "double";
}

const LONG: Duration = Duration::from_secs(60);

/// A waker that counts its calls.
#[derive(Default)]
struct CountingWaker(AtomicUsize);

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    poll_with(future, &Arc::default())
}

fn poll_with<F: Future>(future: Pin<&mut F>, counting: &Arc<CountingWaker>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(&Waker::from(Arc::clone(counting))))
}

fn double(number: u64) -> Result<u64, &'static str> {
    if number == 0 {
        return Err("nothing");
    }
    Ok(number * 2)
}

/// Serves all queued requests, and returns their topics.
fn serve_all(server: &Server<Double>) -> Vec<String> {
    let mut topics = Vec::new();
    while let Ok(Some((Call { topic, message }, rctx))) = server.try_pop() {
        topics.push(topic.to_string());
        let _ = match double(message.0) {
            Ok(reply) => rctx.reply(reply),
            Err(refusal) => rctx.fail(refusal),
        };
    }
    topics
}

/// Spawns a thread that serves until no client is left.
fn spawn(server: Server<Double>) -> thread::JoinHandle<usize> {
    thread::spawn(move || {
        let mut served = 0;
        for (call, rctx) in &server {
            served += 1;
            let _ = rctx.reply(call.message.0 * 2);
        }
        served
    })
}

#[test]
fn a_request_is_answered_by_the_server_of_its_topic() {
    let router = Router::new();
    let [one, other] = ["a", "b"].map(|topic| spawn(router.serve(topic).unwrap()));
    assert_eq!(router.request("a", Double(1)).wait().unwrap(), 2);
    assert_eq!(
        router
            .request("b", Double(2))
            .timeout(LONG)
            .urgent()
            .if_room()
            .wait()
            .unwrap(),
        4
    );
    router.close();
    assert_eq!((one.join().unwrap(), other.join().unwrap()), (1, 1));
}

#[test]
fn a_server_sees_topic_and_caller_of_a_request() {
    let router = Router::new();
    let server = router.serve::<Double>("a/b").unwrap();
    let mut request = pin!(router.request("a/b", Double(1)).into_future());
    let line = line!() - 1;
    assert!(poll_once(request.as_mut()).is_pending());
    let (call, rctx) = server.wait().unwrap();
    assert_eq!(
        call,
        Call {
            topic: "a/b".parse().unwrap(),
            message: Double(1)
        }
    );
    let caller: &Location<'_> = rctx.caller();
    assert_eq!((caller.file(), caller.line()), (file!(), line));
    rctx.reply(7).unwrap();
    assert!(matches!(poll_once(request.as_mut()), Poll::Ready(Ok(7))));
}

#[tokio::test]
async fn both_ends_may_block_or_await() {
    let router = Router::new();
    let server = router.serve::<Double>("a").unwrap();
    let awaiting = tokio::spawn(async move {
        while let Ok((call, rctx)) = server.async_wait().await {
            let _ = rctx.reply(call.message.0 * 2);
        }
    });
    let blocking = tokio::task::spawn_blocking({
        let router = router.clone();
        move || router.request("a", Double(1)).wait().unwrap()
    });
    assert_eq!(blocking.await.unwrap(), 2);
    assert_eq!(router.request("a", Double(2)).await.unwrap(), 4);
    router.close();
    awaiting.await.unwrap();
    let thread = Router::new();
    let serving = spawn(thread.serve("a").unwrap());
    assert_eq!(thread.request("a", Double(3)).await.unwrap(), 6);
    drop(thread);
    serving.join().unwrap();
}

#[test]
fn a_server_is_a_stream_that_ends_with_the_router() {
    let router = Router::new();
    let mut server = router.serve::<Double>("a").unwrap();
    let mut next = || Pin::new(&mut server).poll_next(&mut Context::from_waker(Waker::noop()));
    let mut request = router.request("a", Double(1)).into_future();
    assert!(poll_once(Pin::new(&mut request)).is_pending());
    let Poll::Ready(Some((call, rctx))) = next() else {
        panic!()
    };
    assert!(next().is_pending());
    let _ = rctx.reply(2 * call.message.0);
    assert!(matches!(
        poll_once(Pin::new(&mut request)),
        Poll::Ready(Ok(2))
    ));
    drop(request);
    router.close();
    assert!(matches!(next(), Poll::Ready(None)));
}

#[test]
fn a_handler_error_is_an_app_error() {
    let router = Router::new();
    let server = router.serve::<Double>("a").unwrap();
    let mut request = pin!(router.request("a", Double(0)).into_future());
    assert!(poll_once(request.as_mut()).is_pending());
    serve_all(&server);
    let Poll::Ready(Err(error)) = poll_once(request.as_mut()) else {
        panic!()
    };
    assert_eq!(error.executed(), Executed::Yes);
    assert_eq!(
        error.to_string(),
        "the handler refused the request: nothing"
    );
    assert_eq!(error.into_apperr(), Some("nothing"));
}

#[test]
fn a_vacant_topic_is_an_error_at_once() {
    let router = Router::new();
    let error = router
        .request("a", Double(1))
        .timeout(LONG)
        .wait()
        .unwrap_err();
    assert!(
        matches!(error, RequestError::NoServer(Double(1))),
        "{error:?}"
    );
    assert_eq!(error.executed(), Executed::No);
    assert_eq!(error.into_message(), Some(Double(1)));
}

#[test]
fn an_invalid_topic_returns_the_message() {
    let router = Router::new();
    for (topic, kind) in [
        ("a//b", TopicErrorKind::EmptyFragment),
        ("a/*", TopicErrorKind::Wildcard),
    ] {
        let error = router.request(topic, Double(1)).wait().unwrap_err();
        let RequestError::NotMade(Double(1), Error::Topic(error)) = error else {
            panic!("{error:?}")
        };
        assert_eq!(error.kind(), kind);
        assert!(
            matches!(router.serve::<Double>(topic), Err(Error::Topic(error)) if error.kind() == kind)
        );
    }
    let none = router.serve_with::<Double>("a", ServeOptions::new().capacity(0));
    assert_eq!(none.unwrap_err(), Error::ZeroCapacity);
}

#[test]
fn the_second_server_of_a_topic_is_refused() {
    let router = Router::new();
    let first = router.serve::<Double>("a").unwrap();
    let error = router.serve::<Double>("a").unwrap_err();
    assert_eq!(error, Error::Taken("a".parse().unwrap()));
    // Requests of another type and other topics are independent.
    let _other = router.serve::<Bytes>("a").unwrap();
    let _beside = router.serve::<Double>("a/a").unwrap();
    assert!(first.is_serving());
    drop(first);
    assert!(router.serve::<Double>("a").unwrap().is_serving());
}

#[test]
fn a_standby_serves_once_all_before_it_have_left() {
    let router = Router::new();
    let standby = ServeOptions::new().standby();
    let [first, second, third] =
        [(); 3].map(|()| router.serve_with::<Double>("a", standby).unwrap());
    assert_eq!(
        [&first, &second, &third].map(Server::is_serving),
        [true, false, false]
    );
    assert!(third.is_standing_by());
    drop(second);
    drop(first);
    assert!(third.is_serving());
    let mut request = pin!(router.request("a", Double(1)).into_future());
    assert!(poll_once(request.as_mut()).is_pending());
    assert_eq!(serve_all(&third), ["a"]);
}

#[test]
fn a_request_that_was_not_taken_goes_to_who_follows() {
    let router = Router::new();
    let standby = ServeOptions::new().standby();
    let [first, second] = [(); 2].map(|()| router.serve_with::<Double>("a", standby).unwrap());
    let mut queued = pin!(router.request("a", Double(1)).into_future());
    let mut taken = pin!(router.request("a", Double(2)).urgent().into_future());
    assert!(poll_once(queued.as_mut()).is_pending());
    assert!(poll_once(taken.as_mut()).is_pending());
    let (call, rctx) = first.wait().unwrap();
    assert_eq!(call.message, Double(2));
    drop(first);
    assert!(poll_once(queued.as_mut()).is_pending());
    serve_all(&second);
    assert!(matches!(poll_once(queued.as_mut()), Poll::Ready(Ok(2))));
    // The other request may have been executed: it stays with the server that took it.
    rctx.reply(5).unwrap();
    assert!(matches!(poll_once(taken.as_mut()), Poll::Ready(Ok(5))));
}

#[test]
fn a_late_request_goes_to_the_current_server() {
    let router = Router::new();
    let (first, client) = ump::channel();
    let claim = router.serve_by::<Double>("a", client, ServeOptions::new());
    let claim = claim.unwrap();
    let [early, later] = [1, 2].map(|number| router.request("a", Double(number)));
    drop(claim);
    let second = router.serve::<Double>("a").unwrap();
    let mut early = pin!(early.into_future());
    assert!(poll_once(early.as_mut()).is_pending());
    assert!(first.is_empty() && second.len() == 1);
    router.close();
    let error = later.wait().unwrap_err();
    assert!(matches!(
        error,
        RequestError::NotMade(Double(2), Error::Closed)
    ));
}

#[test]
fn a_lost_server_ends_its_requests_at_once() {
    let router = Router::new();
    let server = router.serve::<Double>("a").unwrap();
    let mut queued = pin!(router.request("a", Double(1)).timeout(LONG).into_future());
    let mut taken = pin!(
        router
            .request("a", Double(2))
            .timeout(LONG)
            .urgent()
            .into_future()
    );
    assert!(poll_once(queued.as_mut()).is_pending());
    assert!(poll_once(taken.as_mut()).is_pending());
    drop(server.wait().unwrap());
    drop(server);
    let Poll::Ready(Err(error)) = poll_once(queued.as_mut()) else {
        panic!()
    };
    assert!(matches!(
        error,
        RequestError::Ended(ump::RequestError::ServerDisappeared(Double(1)))
    ));
    let Poll::Ready(Err(error)) = poll_once(taken.as_mut()) else {
        panic!()
    };
    assert!(matches!(
        error,
        RequestError::Ended(ump::RequestError::NoReply(_))
    ));
    assert_eq!(error.executed(), Executed::Perhaps);
}

#[test]
fn a_request_can_wait_for_a_server() {
    let router = Router::new();
    let blocking = thread::spawn({
        let router = router.clone();
        move || {
            router
                .request("a", Double(1))
                .wait_for_server()
                .wait()
                .unwrap()
        }
    });
    let mut awaiting = pin!(
        router
            .request("a", Double(2))
            .wait_for_server()
            .into_future()
    );
    assert!(poll_once(awaiting.as_mut()).is_pending());
    // A server of another topic does not help.
    let other = router.serve::<Double>("b").unwrap();
    assert!(poll_once(awaiting.as_mut()).is_pending());
    let server = router.serve::<Double>("a").unwrap();
    assert!(poll_once(awaiting.as_mut()).is_pending());
    let served = spawn(server);
    assert_eq!(blocking.join().unwrap(), 2);
    assert_eq!(
        ump::Clock::system()
            .block_on(awaiting, None)
            .unwrap()
            .unwrap(),
        4
    );
    drop((router, other));
    assert_eq!(served.join().unwrap(), 2);
}

#[test]
fn waiting_for_a_server_times_out() {
    let clock = ManualClock::new();
    let router = Router::with_clock(clock.clock());
    let request = || {
        router
            .request("a", Double(1))
            .timeout(LONG)
            .wait_for_server()
    };
    let mut awaiting = pin!(request().into_future());
    assert!(poll_once(awaiting.as_mut()).is_pending());
    let blocking = thread::spawn({
        let request = request();
        move || request.wait().unwrap_err()
    });
    clock.wait_for_sleepers(2);
    clock.advance(LONG);
    assert!(matches!(
        blocking.join().unwrap(),
        RequestError::NoServer(Double(1))
    ));
    let Poll::Ready(Err(RequestError::NoServer(Double(1)))) = poll_once(awaiting.as_mut()) else {
        panic!()
    };
}

#[test]
fn a_request_waiting_for_a_server_learns_of_close() {
    let router = Router::new();
    let mut awaiting = pin!(
        router
            .request("a", Double(1))
            .wait_for_server()
            .into_future()
    );
    assert!(poll_once(awaiting.as_mut()).is_pending());
    router.close();
    let Poll::Ready(Err(RequestError::NotMade(Double(1), Error::Closed))) =
        poll_once(awaiting.as_mut())
    else {
        panic!()
    };
    let error = router.request("a", Double(1)).wait().unwrap_err();
    assert!(matches!(
        error,
        RequestError::NotMade(Double(1), Error::Closed)
    ));
    assert_eq!(router.serve::<Double>("a").unwrap_err(), Error::Closed);
}

#[test]
fn a_request_can_wait_for_the_next_server() {
    let router = Router::new();
    let first = router.serve::<Double>("a").unwrap();
    let mut request = pin!(
        router
            .request("a", Double(1))
            .wait_for_server()
            .into_future()
    );
    assert!(poll_once(request.as_mut()).is_pending());
    drop(first);
    assert!(poll_once(request.as_mut()).is_pending(), "it was not taken");
    let second = router.serve::<Double>("a").unwrap();
    assert!(poll_once(request.as_mut()).is_pending());
    serve_all(&second);
    assert!(matches!(poll_once(request.as_mut()), Poll::Ready(Ok(2))));
}

#[test]
fn a_new_server_wakes_requests_that_wait_for_it() {
    let router = Router::new();
    let counting = Arc::<CountingWaker>::default();
    let mut waiting = pin!(
        router
            .request("b", Double(1))
            .wait_for_server()
            .into_future()
    );
    assert!(poll_with(waiting.as_mut(), &counting).is_pending());
    let rings = || counting.0.load(Ordering::SeqCst);

    let (ends, client) = ump::channel();
    let claim = router.serve_by::<Double>("a", client, ServeOptions::new());
    let claim = claim.unwrap();
    assert_eq!(rings(), 1, "it looks whether that is the one");
    assert!(poll_with(waiting.as_mut(), &counting).is_pending());
    let mut lost = [1, 2, 3].map(|n| Box::pin(router.request("a", Double(n)).into_future()));
    for asking in &mut lost {
        assert!(poll_once(asking.as_mut()).is_pending());
    }
    drop(ends);
    for asking in &mut lost {
        let Poll::Ready(Err(error)) = poll_once(asking.as_mut()) else {
            panic!("its server is gone");
        };
        assert!(error.is_server_lost());
    }
    drop(claim);
    assert_eq!(rings(), 1, "nobody came");

    let server = router.serve::<Double>("b").unwrap();
    assert_eq!(rings(), 2);
    assert!(poll_with(waiting.as_mut(), &counting).is_pending());
    assert_eq!(serve_all(&server), ["b"]);
    assert!(matches!(poll_once(waiting.as_mut()), Poll::Ready(Ok(2))));
}

#[test]
fn deadlines_lanes_and_room_are_those_of_the_channel() {
    let clock = ManualClock::new();
    let router = Router::with_clock(clock.clock());
    let server = router
        .serve_with::<Double>("a", ServeOptions::new().capacity(1))
        .unwrap();
    let mut late = pin!(router.request("a", Double(1)).timeout(LONG).into_future());
    assert!(poll_once(late.as_mut()).is_pending());
    let full = router.request("a", Double(2)).if_room().wait().unwrap_err();
    assert!(matches!(
        full,
        RequestError::Ended(ump::RequestError::Full(Double(2)))
    ));
    let mut urgent = pin!(router.request("a", Double(3)).urgent().into_future());
    assert!(poll_once(urgent.as_mut()).is_pending());
    let mut waits = pin!(router.request("a", Double(4)).into_future());
    assert!(poll_once(waits.as_mut()).is_pending(), "for room");
    clock.advance(LONG);
    let Poll::Ready(Err(error)) = poll_once(late.as_mut()) else {
        panic!()
    };
    assert!(error.is_timeout() && !error.is_server_lost());
    assert_eq!(error.into_message(), Some(Double(1)));
    assert_eq!(serve_all(&server), ["a"]);
    assert!(matches!(poll_once(urgent.as_mut()), Poll::Ready(Ok(6))));
    assert!(poll_once(waits.as_mut()).is_pending());
    serve_all(&server);
    assert!(matches!(poll_once(waits.as_mut()), Poll::Ready(Ok(8))));
}

#[test]
fn a_future_that_is_dropped_takes_its_request_back() {
    let router = Router::new();
    let server = router.serve::<Double>("a").unwrap();
    let mut request = Box::pin(router.request("a", Double(1)).into_future());
    assert!(poll_once(request.as_mut()).is_pending());
    drop(request);
    assert!(server.is_empty());
    assert_eq!(server.stats().cancelled_queued, 1);
}

#[test]
fn servers_of_a_dropped_router_serve_their_queues() {
    let router = Router::new();
    let server = router.serve::<Double>("a").unwrap();
    let mut request = Box::pin(router.request("a", Double(1)).into_future());
    assert!(poll_once(request.as_mut()).is_pending());
    drop(router);
    assert!(!server.is_serving());
    assert_eq!(serve_all(&server), ["a"]);
    assert!(matches!(poll_once(request.as_mut()), Poll::Ready(Ok(2))));
    assert_eq!(server.wait().unwrap_err(), ump::Error::ClientsDisappeared);
}

/// A handler of `ump-server`, used by each kind of loop.
#[derive(Clone)]
struct Doubler;

impl ump_server::thread::Handler<Call<Double>, u64, &'static str> for Doubler {
    fn proc_req(
        &mut self,
        Call { topic, message }: Call<Double>,
        rctx: ReplyContext<'_, u64, &'static str>,
    ) -> ControlFlow<()> {
        assert!(topic.as_str().starts_with("by"), "{topic}");
        let _ = match double(message.0) {
            Ok(reply) => rctx.reply(reply),
            Err(refusal) => rctx.fail(refusal),
        };
        ControlFlow::Continue(())
    }
}

impl ump_server::task::Handler<Call<Double>, u64, &'static str> for Doubler {
    async fn proc_req(
        &mut self,
        call: Call<Double>,
        rctx: ReplyContext<'_, u64, &'static str>,
    ) -> ControlFlow<()> {
        tokio::task::yield_now().await;
        ump_server::thread::Handler::proc_req(self, call, rctx)
    }
}

#[test]
fn thread_task_and_pool_loops_serve_a_topic() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let router = Router::new();
    let (by_thread, thread) = ump_server::thread::Builder::new()
        .spawn_with(|_| Ok(Doubler))
        .unwrap();
    let two = NonZeroUsize::new(2).unwrap();
    let (by_pool, pool) = ump_server::thread::Builder::new()
        .spawn_pool(two, |_| Ok(Doubler))
        .unwrap();
    let (by_task, task) = ump_server::task::Builder::new()
        .runtime(runtime.handle().clone())
        .spawn_with(|_| Ok(Doubler))
        .unwrap();
    let options = ServeOptions::new();
    let claims: Vec<_> = [
        ("by/thread", by_thread),
        ("by/pool", by_pool),
        ("by/task", by_task.clone()),
        ("by", by_task),
    ]
    .map(|(topic, client)| router.serve_by(topic, client, options).unwrap())
    .into();
    for claim in &claims {
        assert!(claim.is_serving());
        assert_eq!(router.request(claim.topic(), Double(4)).wait().unwrap(), 8);
        let refused = router.request(claim.topic(), Double(0)).wait().unwrap_err();
        assert_eq!(refused.into_apperr(), Some("nothing"));
    }
    // A router that has dropped all claims of a loop is no longer its client.
    drop(claims);
    assert!(thread.join().is_ok() && pool.join().is_ok() && task.join().is_ok());
}

#[test]
fn a_standby_follows_a_loop_that_has_ended() {
    let router = Router::new();
    let spawn = || {
        ump_server::thread::Builder::new()
            .spawn_with(|_| Ok(Doubler))
            .unwrap()
    };
    let mut changes = router.subscribe::<Change>("**").unwrap();
    let mut heard = || {
        let change = changes.try_recv().unwrap().expect("something has changed");
        assert_eq!(change.topic(), "double/by/one");
        change.kind()
    };
    let options = ServeOptions::new();
    let (client, handle) = spawn();
    let first = router.serve_by("by/one", client, options).unwrap();
    assert_eq!(heard(), ChangeKind::Served);
    let begun = router.request("by/one", Double(1));
    handle.stopper().stop(Stop::Refuse);
    handle.join().unwrap();
    assert_eq!(heard(), ChangeKind::Unserved);
    assert!(!first.is_serving() && router.servers().is_empty());
    for request in [begun, router.request("by/one", Double(1))] {
        let error = request.wait().unwrap_err();
        assert!(matches!(error, RequestError::NoServer(Double(1))));
    }

    let (client, handle) = spawn();
    let second = router.serve_by("by/one", client, options).unwrap();
    let (client, standby) = spawn();
    let third = router
        .serve_by("by/one", client, options.standby())
        .unwrap();
    assert_eq!(
        (heard(), heard()),
        (ChangeKind::Served, ChangeKind::StandsBy)
    );
    handle.stopper().stop(Stop::Refuse);
    handle.join().unwrap();
    assert_eq!(
        (heard(), heard()),
        (ChangeKind::Unserved, ChangeKind::Served)
    );
    assert!(third.is_serving() && !second.is_serving());
    assert_eq!(router.request("by/one", Double(1)).wait().unwrap(), 2);
    drop((third, second));
    standby.join().unwrap();
}

#[test]
fn a_server_that_has_ended_already_claims_nothing() {
    let router = Router::new();
    let (server, client) = ump::channel::<Call<Double>, u64, &'static str>();
    drop(server);
    let claim = router.serve_by("a", client, ServeOptions::new()).unwrap();
    assert!(!claim.is_serving() && !claim.is_standing_by());
    let error = router.request("a", Double(1)).wait().unwrap_err();
    assert!(matches!(error, RequestError::NoServer(Double(1))));
}

#[test]
fn a_closed_server_drains_while_its_standby_serves() {
    let router = Router::new();
    let first = router.serve::<Double>("a").unwrap();
    let next = router
        .serve_with::<Double>("a", ServeOptions::new().standby())
        .unwrap();
    let mut queued = router.request("a", Double(1)).into_future();
    assert!(poll_once(Pin::new(&mut queued)).is_pending());
    first.close();
    assert!(next.is_serving() && !first.is_serving());
    let mut later = router.request("a", Double(2)).into_future();
    assert!(poll_once(Pin::new(&mut later)).is_pending());
    for (server, number) in [(&first, 1), (&next, 2)] {
        let (call, rctx) = server.try_pop().unwrap().expect("a request is queued");
        assert_eq!(call.message, Double(number));
        rctx.reply(number * 2).unwrap();
    }
    assert!(matches!(
        poll_once(Pin::new(&mut queued)),
        Poll::Ready(Ok(2))
    ));
    assert!(matches!(
        poll_once(Pin::new(&mut later)),
        Poll::Ready(Ok(4))
    ));
}

#[test]
fn each_request_ends_once_while_servers_come_and_go() {
    const CLIENTS: u64 = 3;
    const EACH: u64 = 500;
    let router = Router::new();
    let served: usize = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let router = router.clone();
                scope.spawn(move || {
                    for number in 1..=EACH {
                        let reply = router.request("a", Double(number)).wait_for_server().wait();
                        assert_eq!(reply.unwrap(), number * 2);
                    }
                })
            })
            .collect();
        let servers: Vec<_> = (0..2)
            .map(|_| {
                let router = router.clone();
                scope.spawn(move || {
                    let mut served = 0;
                    loop {
                        let Ok(server) =
                            router.serve_with::<Double>("a", ServeOptions::new().standby())
                        else {
                            return served;
                        };
                        for (call, rctx) in server.iter().take(7) {
                            served += 1;
                            rctx.reply(call.message.0 * 2).unwrap();
                        }
                    }
                })
            })
            .collect();
        for client in clients {
            client.join().unwrap();
        }
        router.close();
        servers
            .into_iter()
            .map(|server| server.join().unwrap())
            .sum()
    });
    assert_eq!(served as u64, CLIENTS * EACH);
}
