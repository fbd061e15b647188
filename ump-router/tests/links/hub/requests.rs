//! Requests of one leaf at the server of another.

use std::{thread, time::Duration};

use ump::Executed;
use ump_router::{Error, RequestError, ServeOptions, link::wire::Failure};

use super::{Star, on_each_star};
use crate::support::{
    Double, LONG, Price, await_server, await_told, carrying, next, publish, serve,
};

#[test]
fn a_request_is_answered_by_the_other_leaf() {
    on_each_star(|star| {
        let server = serve(&star.other, "a");
        await_server(&star.one, "a");
        for number in 1..200 {
            let reply = star.one.request("a", Double(number)).wait();
            assert_eq!(reply.unwrap(), 2 * number);
        }
        let refused = star.one.request("a", Double(0)).wait().unwrap_err();
        assert_eq!(refused.into_apperr().unwrap(), "zero");
        star.other.close();
        assert_eq!(server.join().unwrap(), 200);
    });
}

#[test]
fn callers_of_several_links_get_their_own_answers() {
    on_each_star(|star| {
        let server = serve(&star.other, "a");
        let (third, link) = star.join();
        let callers = [star.one.clone(), third, star.other.clone()];
        thread::scope(|scope| {
            for (caller, router) in (1_u64..).zip(&callers) {
                await_server(router, "a");
                scope.spawn(move || {
                    for number in 0..300 {
                        let number = caller * 1000 + number;
                        let reply = router.request("a", Double(number)).wait();
                        assert_eq!(reply.unwrap(), 2 * number);
                    }
                });
            }
        });
        star.other.close();
        assert_eq!(server.join().unwrap(), 900);
        drop(link);
    });
}

#[test]
fn a_server_of_the_hub_is_asked_there() {
    let star = Star::over_tcp(carrying());
    let first = serve(&star.hub, "a");
    await_server(&star.one, "a");
    await_server(&star.other, "a");
    let standby = ServeOptions::new().standby();
    let standby = star.other.serve_with::<Double>("a", standby).unwrap();
    assert!(standby.is_standing_by());
    for number in 1..50 {
        let reply = star.one.request("a", Double(number)).wait();
        assert_eq!(reply.unwrap(), 2 * number);
    }
    assert!(standby.is_empty());
    star.hub.close();
    assert_eq!(first.join().unwrap(), 49);
}

#[test]
fn the_first_of_two_links_serves_and_the_second_follows() {
    on_each_star(|star| {
        let first = star.other.serve::<Double>("a").unwrap();
        await_server(&star.one, "a");
        let (third, link) = star.join();
        await_server(&third, "a");
        let refused = third.serve::<Double>("a").unwrap_err();
        assert_eq!(refused, Error::Taken("a".parse().unwrap()));
        let standby = ServeOptions::new().standby();
        let second = third.serve_with::<Double>("a", standby).unwrap();
        assert!(second.is_standing_by());
        thread::scope(|scope| {
            let caller = scope.spawn(|| star.one.request("a", Double(1)).wait());
            let (_, rctx) = first.wait().unwrap();
            rctx.reply(10).unwrap();
            assert_eq!(caller.join().unwrap().unwrap(), 10);
        });
        drop(first);
        let serving = thread::spawn(move || {
            let (call, rctx) = second.wait().unwrap();
            rctx.reply(call.message.0 + 100).unwrap();
        });
        let reply = loop {
            let request = star.one.request("a", Double(1)).wait_for_server();
            // Until all know that the first one is gone, it answers with that.
            match request.timeout(LONG).wait() {
                Ok(reply) => break reply,
                Err(error) => assert_eq!(error.executed(), Executed::No, "{error}"),
            }
        };
        assert_eq!(reply, 101);
        serving.join().unwrap();
        drop(link);
    });
}

#[test]
fn two_servers_that_began_at_once_serve_in_turn() {
    on_each_star(|star| {
        // Each leaf has its own, before its link tells it of the other.
        let (third, fourth) = (carrying(), carrying());
        let servers = [&third, &fourth].map(|leaf| leaf.serve::<Double>("a").unwrap());
        let address = star.listener.address().to_string();
        let first_link = third.connect(&address).unwrap();
        await_server(&star.one, "a");
        let second_link = fourth.connect(&address).unwrap();
        assert!(second_link.opened().timeout(LONG).wait());
        let [first, second] = servers;
        thread::scope(|scope| {
            let caller = scope.spawn(|| star.one.request("a", Double(1)).wait());
            let (_, rctx) = first.wait().unwrap();
            rctx.reply(1).unwrap();
            assert_eq!(caller.join().unwrap().unwrap(), 1);
            drop(first);
            scope.spawn(move || {
                let (_, rctx) = second.wait().unwrap();
                rctx.reply(2).unwrap();
            });
            loop {
                let request = star.one.request("a", Double(2)).wait_for_server();
                match request.timeout(LONG).wait() {
                    Ok(reply) => break assert_eq!(reply, 2),
                    Err(error) => assert_eq!(error.executed(), Executed::No, "{error}"),
                }
            }
        });
        drop((first_link, second_link));
    });
}

#[test]
fn the_loss_of_the_server_ends_its_requests_at_once() {
    on_each_star(|star| {
        let server = star.other.serve::<Double>("a").unwrap();
        await_server(&star.one, "a");
        thread::scope(|scope| {
            let callers: Vec<_> = (0..20)
                .map(|number| scope.spawn(move || star.one.request("a", Double(number)).wait()))
                .collect();
            let (_, held) = server.wait().unwrap();
            while server.len() < 19 {
                thread::yield_now();
            }
            star.other.close();
            for caller in callers {
                let error = caller.join().unwrap().unwrap_err();
                let link = error.link().unwrap_or_else(|| panic!("{error}"));
                assert_eq!(link.failure, Failure::ServerLost);
                assert_eq!(link.executed, Executed::Perhaps);
            }
            drop(held);
        });
    });
}

#[test]
fn an_untaken_request_of_a_server_that_ends_comes_back() {
    on_each_star(|star| {
        let server = star.other.serve::<Double>("a").unwrap();
        await_server(&star.one, "a");
        thread::scope(|scope| {
            let caller = scope.spawn(|| star.one.request("a", Double(1)).wait().unwrap_err());
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

/// Makes a request that is cancelled once the server has it, in some way.
fn cancelled_by(star: &Star, cancel: impl FnOnce()) {
    let server = star.other.serve::<Double>("a").unwrap();
    await_server(&star.one, "a");
    thread::scope(|scope| {
        let (taken, has_taken) = tokio::sync::oneshot::channel();
        scope.spawn(move || {
            let (_, mut rctx) = server.wait().unwrap();
            taken.send(()).unwrap();
            assert!(rctx.wait_cancelled(LONG), "the server is told");
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            tokio::select! {
                outcome = star.one.request("a", Double(1)) => panic!("{outcome:?}"),
                _ = has_taken => cancel(),
            }
        });
    });
}

#[test]
fn a_caller_that_leaves_cancels_the_request() {
    on_each_star(|star| cancelled_by(star, || {}));
}

#[test]
fn a_caller_whose_router_ends_cancels_the_request() {
    on_each_star(|star| cancelled_by(star, || star.one.close()));
}

#[test]
fn the_time_that_is_left_travels() {
    on_each_star(|star| {
        let server = star.other.serve::<Double>("a").unwrap();
        await_server(&star.one, "a");
        thread::scope(|scope| {
            let caller = scope.spawn(|| {
                let request = star.one.request("a", Double(1));
                request.timeout(Duration::from_secs(1)).wait()
            });
            let taken = server.wait_timeout(LONG).unwrap();
            let (_, mut rctx) = taken.expect("it is taken in time");
            assert!(rctx.deadline().is_some());
            assert!(rctx.wait_cancelled(LONG), "the deadline ends the wait");
            let error = caller.join().unwrap().unwrap_err();
            assert!(error.is_timeout(), "{error}");
            assert_eq!(error.executed(), Executed::Perhaps);
        });
    });
}

#[test]
fn a_caller_receives_what_its_request_publishes() {
    on_each_star(|star| {
        let server = star.other.serve::<Double>("a").unwrap();
        await_server(&star.one, "a");
        let other = star.other.clone();
        let serving = thread::spawn(move || {
            for (call, rctx) in &server {
                publish(&other, "done", call.message.0);
                rctx.reply(0).unwrap();
            }
        });
        for round in 0..20 {
            let mut done = star.one.subscribe::<Price>("done").unwrap();
            star.one.request("a", Double(round)).wait().unwrap();
            assert_eq!(next(&mut done), Ok(round));
        }
        star.other.close();
        serving.join().unwrap();
    });
}

#[test]
fn what_only_a_hub_behind_knows_is_not_found() {
    // A hub is linked to another hub: each of both passes on between its own leaves only.
    let near = Star::over_tcp(crate::support::router());
    let far = Star::over_tcp(crate::support::router());
    let between = near.hub.connect(far.listener.address()).unwrap();
    assert!(between.opened().timeout(LONG).wait());
    let server = serve(&far.one, "a");
    await_server(&far.other, "a");
    let prices = far.one.subscribe::<Price>("**").unwrap();
    await_told(&far.other, "price/**");
    let error = near.one.request("a", Double(1)).wait().unwrap_err();
    assert_eq!(error, RequestError::NoServer(Double(1)));
    assert!(!near.one.has_subscribers::<Price>("a").unwrap());
    far.one.close();
    server.join().unwrap();
    drop(prices);
}
