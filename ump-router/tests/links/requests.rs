//! Requests that go over a link.

use std::{thread, time::Duration};

use ump::Executed;
use ump_router::{
    Error, RequestError, ServeOptions,
    link::{
        sockets::{Link, Listener},
        wire::{Failure, Message, Status},
    },
};

use crate::{
    raw::{LIMITS, Raw},
    support::{Double, LONG, Pair, Price, await_server, carrying, on_each, serve},
};

/// The name of the link at the end of a router.
fn is_named(error: &RequestError<Double>, pair: &Pair, link: &Link) -> bool {
    let name = &*error.link().expect("an error of a link").link;
    let kind = |address: &str| address.split_once(':').unwrap().0.to_owned();
    kind(name) == kind(link.name()) && kind(name) == kind(&pair.listener.address().to_string())
}

#[test]
fn a_request_is_answered_by_the_other_router() {
    on_each(|from, to, _| {
        let server = serve(to, "a");
        await_server(from, "a");
        for number in 1..200 {
            assert_eq!(
                from.request("a", Double(number)).wait().unwrap(),
                2 * number
            );
        }
        let refused = from.request("a", Double(0)).wait().unwrap_err();
        assert_eq!(refused.into_apperr().unwrap(), "zero");
        to.close();
        assert_eq!(server.join().unwrap(), 200);
    });
}

#[test]
fn an_open_link_knows_what_the_other_router_has() {
    for round in 0..20 {
        let (hub, leaf) = (carrying(), carrying());
        let topics: Vec<_> = (0..100).map(|n| format!("t{n}")).collect();
        let serve = |topic: &String| hub.serve::<Double>(topic.as_str()).unwrap();
        let servers: Vec<_> = topics.iter().map(serve).collect();
        let subscribe = |topic: &String| hub.subscribe::<Price>(topic.as_str()).unwrap();
        let subscriptions: Vec<_> = topics.iter().map(subscribe).collect();
        let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
        let link = leaf.connect(listener.address()).unwrap();
        assert!(link.opened().timeout(LONG).wait());
        for topic in &topics {
            let pinned = leaf.pin::<Double>(topic.as_str()).unwrap();
            assert!(pinned.is_some(), "round {round}: {topic}");
            let published = leaf.publish(topic.as_str(), Price(1)).wait().unwrap();
            assert_eq!(published.matched, 1, "round {round}: {topic}");
            let taken = leaf.serve::<Double>(topic.as_str());
            assert!(matches!(taken, Err(Error::Taken(_))), "{taken:?}");
        }
        drop((servers, subscriptions));
    }
}

#[test]
fn many_callers_get_their_own_answers() {
    on_each(|from, to, _| {
        let server = serve(to, "a");
        await_server(from, "a");
        thread::scope(|scope| {
            for caller in 1..=8_u64 {
                scope.spawn(move || {
                    for number in 0..100 {
                        let number = caller * 1000 + number;
                        let reply = from.request("a", Double(number)).wait();
                        assert_eq!(reply.unwrap(), 2 * number);
                    }
                });
            }
        });
        to.close();
        assert_eq!(server.join().unwrap(), 800);
    });
}

#[test]
fn an_awaited_request_is_answered() {
    on_each(|from, to, _| {
        let server = serve(to, "a");
        await_server(from, "a");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let reply = runtime.block_on(async { from.request("a", Double(4)).await });
        assert_eq!(reply.unwrap(), 8);
        to.close();
        server.join().unwrap();
    });
}

#[test]
fn a_topic_without_a_server_is_told_at_once() {
    on_each(|from, _, _| {
        let error = from.request("nobody", Double(1)).wait().unwrap_err();
        assert_eq!(error, RequestError::NoServer(Double(1)));
    });
}

#[test]
fn a_dropped_context_is_no_reply_and_names_the_link() {
    on_each(|from, to, pair| {
        let server = to.serve::<Double>("a").unwrap();
        await_server(from, "a");
        let dropper = thread::spawn(move || drop(server.wait().unwrap()));
        let error = from.request("a", Double(1)).wait().unwrap_err();
        dropper.join().unwrap();
        assert!(is_named(&error, pair, &pair.link));
        let link = error.link().unwrap();
        assert_eq!(
            (link.failure, link.executed),
            (Failure::NoReply, Executed::Perhaps)
        );
        assert_eq!(error.into_message(), None);
    });
}

#[test]
fn a_lost_server_gives_an_untaken_request_back() {
    on_each(|from, to, _| {
        let server = to.serve::<Double>("a").unwrap();
        await_server(from, "a");
        thread::scope(|scope| {
            let caller = scope.spawn(|| from.request("a", Double(1)).wait().unwrap_err());
            while server.is_empty() {
                thread::yield_now();
            }
            drop(server);
            let error = caller.join().unwrap();
            assert!(error.is_server_lost(), "{error}");
            assert_eq!(error.executed(), Executed::No);
            assert_eq!(error.into_message(), Some(Double(1)));
        });
    });
}

#[test]
fn a_standby_in_either_process_follows() {
    on_each(|from, to, _| {
        let first = to.serve::<Double>("a").unwrap();
        await_server(from, "a");
        let standby = ServeOptions::new().standby();
        let second = from.serve_with::<Double>("a", standby).unwrap();
        assert!(second.is_standing_by(), "the link has the topic");
        drop(first);
        let serving = thread::spawn(move || {
            let (call, rctx) = second.wait().unwrap();
            rctx.reply(call.message.0 + 100).unwrap();
        });
        let reply = loop {
            let request = from.request("a", Double(1)).wait_for_server();
            // Until the link has told that the first one is gone, it answers with that.
            match request.timeout(LONG).wait() {
                Ok(reply) => break reply,
                Err(error) => assert_eq!(error.executed(), Executed::No, "{error}"),
            }
        };
        assert_eq!(reply, 101);
        serving.join().unwrap();
    });
}

#[test]
fn a_second_claim_is_refused() {
    on_each(|from, to, _| {
        let first = to.serve::<Double>("a").unwrap();
        await_server(from, "a");
        let second = from.serve::<Double>("a").unwrap_err();
        assert_eq!(second, Error::Taken("a".parse().unwrap()));
        drop(first);
    });
}

#[test]
fn a_dropped_future_cancels_the_handler() {
    on_each(|from, to, _| {
        let server = to.serve::<Double>("a").unwrap();
        await_server(from, "a");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let (taken, has_taken) = tokio::sync::oneshot::channel();
        let handler = thread::spawn(move || {
            let (_, mut rctx) = server.wait().unwrap();
            taken.send(()).unwrap();
            assert!(
                rctx.wait_cancelled(LONG),
                "it learns that the caller is gone"
            );
        });
        runtime.block_on(async {
            tokio::select! {
                outcome = from.request("a", Double(1)) => panic!("{outcome:?}"),
                _ = has_taken => {}
            }
        });
        handler.join().unwrap();
    });
}

#[test]
fn a_cancelled_request_is_not_executed() {
    on_each(|from, to, _| {
        let server = to.serve::<Double>("a").unwrap();
        await_server(from, "a");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async {
            tokio::select! {
                outcome = from.request("a", Double(1)) => panic!("{outcome:?}"),
                () = async {
                    while server.is_empty() {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                } => {}
            }
        });
        // It is revoked before the server takes it.
        while !server.is_empty() {
            thread::yield_now();
        }
        let next = thread::scope(|scope| {
            let caller = scope.spawn(|| from.request("a", Double(2)).wait());
            let (call, rctx) = server.wait().unwrap();
            rctx.reply(0).unwrap();
            caller.join().unwrap().unwrap();
            call.message
        });
        assert_eq!(next, Double(2));
    });
}

#[test]
fn the_time_that_is_left_travels() {
    on_each(|from, to, _| {
        let server = to.serve::<Double>("a").unwrap();
        await_server(from, "a");
        thread::scope(|scope| {
            let caller = scope.spawn(|| {
                let request = from.request("a", Double(1));
                request.timeout(Duration::from_secs(1)).wait()
            });
            let (_, mut rctx) = server
                .wait_timeout(LONG)
                .unwrap()
                .expect("it is taken in time");
            assert!(rctx.deadline().is_some());
            assert!(
                rctx.wait_cancelled(LONG),
                "the deadline of the caller ends the wait"
            );
            let error = caller.join().unwrap().unwrap_err();
            assert!(error.is_timeout(), "{error}");
            assert_eq!(error.executed(), Executed::Perhaps);
            // Without a deadline there is none.
            let caller = scope.spawn(|| from.request("a", Double(2)).wait());
            let (_, rctx) = server.wait().unwrap();
            assert_eq!(rctx.deadline(), None);
            rctx.reply(3).unwrap();
            assert_eq!(caller.join().unwrap().unwrap(), 3);
        });
    });
}

#[test]
fn more_requests_than_the_peer_allows_wait() {
    on_each(|from, to, _| {
        let server = to.serve::<Double>("a").unwrap();
        await_server(from, "a");
        let count = 3000;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let handler = thread::spawn(move || {
            for _ in 0..count {
                let (call, rctx) = server.wait().unwrap();
                rctx.reply(2 * call.message.0).unwrap();
            }
        });
        runtime.block_on(async {
            let mut all = tokio::task::JoinSet::new();
            for number in 0..count {
                let from = from.clone();
                all.spawn(async move {
                    let reply = from.request("a", Double(number)).await;
                    assert_eq!(reply.unwrap(), 2 * number);
                });
            }
            while let Some(one) = all.join_next().await {
                one.unwrap();
            }
        });
        handler.join().unwrap();
    });
}

pub(crate) fn claim() -> Message {
    Message::Serve {
        id: 1,
        stand_by: true,
        topic: "double/a".parse().unwrap(),
    }
}

/// Opens a link whose peer claims the topic.
fn claiming(listener: &Listener) -> Raw {
    let mut peer = Raw::open(&listener.address().to_string(), LIMITS);
    peer.send(&[claim()]).unwrap();
    peer
}

/// Receives the next answer to a claim: its id, and what has become of it.
fn served(peer: &mut Raw) -> (u32, Status) {
    loop {
        if let Message::Served { id, status, .. } = peer.receive().unwrap().unwrap() {
            return (id, status);
        }
    }
}

#[test]
fn a_peer_is_told_that_its_standby_serves() {
    let hub = carrying();
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    let first = hub.serve::<Double>("a").unwrap();
    let mut peer = claiming(&listener);
    assert_eq!(served(&mut peer), (1, Status::StandingBy));
    drop(first);
    assert_eq!(served(&mut peer), (1, Status::Accepted));
}

#[test]
fn a_peer_is_told_that_it_follows_another_one() {
    let hub = carrying();
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    let mut first = claiming(&listener);
    assert_eq!(served(&mut first), (1, Status::Accepted));
    let mut second = claiming(&listener);
    assert_eq!(served(&mut second), (1, Status::StandingBy));
    drop(first);
    assert_eq!(served(&mut second), (1, Status::Accepted));
}
