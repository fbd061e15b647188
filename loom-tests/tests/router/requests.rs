//! Models of servers that serve, stand by and leave, of callers, and of watchers.

use std::{future::IntoFuture, task::Poll};

use loom::thread;
use loom_tests::{explore, explore_fully, poll_once};
use ump_router::{
    Change,
    ChangeKind::{Served, StandsBy, Unserved},
    Error, Router, ServeOptions, ump,
};

use super::{Ask, Seen, answer, ask, ask_and_wait_for_server, change_kinds};

/// [servers: a server that comes notifies the waiting callers]
#[test]
fn a_new_server_serves_a_waiting_request() {
    explore(|| {
        let router = Router::new();
        let server = {
            let router = router.clone();
            thread::spawn(move || answer(&router.serve("a").unwrap()))
        };
        assert_eq!(ask_and_wait_for_server(&router).unwrap(), 2);
        server.join().unwrap();
    });
}

/// [request: sent; the server leaves before it takes the request, and there is no successor]
#[test]
fn a_request_to_a_server_that_leaves_ends_once() {
    let (seen, add) = Seen::new();
    explore_fully(move || {
        let router = Router::new();
        let server = router.serve::<Ask>("a").unwrap();
        let server = thread::spawn(move || {
            if let Ok(Some((call, rctx))) = server.try_pop() {
                let _ = rctx.reply(call.message.0 + 1);
            }
        });
        let outcome = ask(&router);
        server.join().unwrap();
        add.add(match outcome {
            Ok(reply) => format!("reply {reply}"),
            Err(error) => {
                let name = format!("{error:?}");
                assert_eq!(error.into_message().unwrap().0, 1);
                name
            }
        });
        assert!(router.servers().is_empty());
    });
    seen.exactly(&["reply 2", "NoServer(..)", "ServerDisappeared(..)"].map(str::to_owned));
}

/// [request: the server has a successor; claims 1]
#[test]
fn a_standby_replies_if_the_server_leaves() {
    explore(|| {
        let router = Router::new();
        let first = router.serve::<Ask>("a").unwrap();
        let standby = ServeOptions::new().standby();
        let second = router.serve_with::<Ask>("a", standby).unwrap();
        let second = thread::spawn(move || answer(&second));
        let first = thread::spawn(move || drop(first));
        assert_eq!(ask(&router).unwrap(), 2);
        first.join().unwrap();
        second.join().unwrap();
    });
}

/// [pinned: once a request has come back, no later one is taken; a server whose claim was closed
/// takes what is queued]
#[test]
fn requests_of_a_pinned_client_keep_their_order() {
    let (seen, add) = Seen::new();
    explore(move || {
        let router = Router::new();
        let first = router.serve::<Ask>("a").unwrap();
        let standby = ServeOptions::new().standby();
        let second = router.serve_with::<Ask>("a", standby).unwrap();
        let client = router.pin::<Ask>("a").unwrap().unwrap();
        let [mut one, mut two] = [1, 2].map(|n| client.request(Ask(n)).into_future());
        let leaving = thread::spawn(move || {
            first.close_handle().close();
            while let Ok(Some((call, rctx))) = first.try_pop() {
                let _ = rctx.reply(call.message.0 + 1);
            }
        });
        let sent_one = poll_once(&mut one);
        // Another thread sends the other one, after that.
        let sending = thread::spawn(move || {
            let sent_two = poll_once(&mut two);
            (sent_two, two)
        });
        let (sent_two, mut two) = sending.join().unwrap();
        leaving.join().unwrap();
        let outcomes = [(sent_one, &mut one), (sent_two, &mut two)].map(|(sent, request)| {
            let ended = sent.is_ready();
            let outcome = if ended { sent } else { poll_once(request) };
            match outcome {
                Poll::Ready(Ok(reply)) => Some(reply),
                Poll::Ready(Err(error)) => {
                    assert!(error.into_message().is_some(), "it was not executed");
                    None
                }
                Poll::Pending => panic!("the server has left"),
            }
        });
        assert!(second.is_empty());
        add.add(outcomes);
    });
    seen.exactly(&[[Some(2), Some(3)], [Some(2), None], [None, None]]);
}

/// [request: waits for another server]
#[test]
fn a_later_server_replies_to_a_waiting_request() {
    explore(|| {
        let router = Router::new();
        let first = router.serve::<Ask>("a").unwrap();
        let server = {
            let router = router.clone();
            thread::spawn(move || {
                drop(first);
                answer(&router.serve("a").unwrap());
            })
        };
        assert_eq!(ask_and_wait_for_server(&router).unwrap(), 2);
        server.join().unwrap();
    });
}

/// [claims 1]
#[test]
fn one_of_two_claimants_serves() {
    let (seen, add) = Seen::new();
    explore_fully(move || {
        let router = Router::new();
        let other = {
            let router = router.clone();
            thread::spawn(move || router.serve::<Ask>("a"))
        };
        let own = router.serve::<Ask>("a");
        let both = [own, other.join().unwrap()];
        let refused = both.iter().filter_map(|claim| claim.as_ref().err());
        assert!(matches!(refused.collect::<Vec<_>>()[..], [Error::Taken(_)]));
        assert_eq!(router.servers().len(), 1);
        add.add(both.map(|claim| claim.is_ok_and(|server| server.is_serving())));
    });
    seen.exactly(&[[true, false], [false, true]]);
}

/// [claims: serving, standby; the changes of a topic come in the order in which they happened]
#[test]
fn a_standby_serves_if_the_server_leaves_meanwhile() {
    let (seen, add) = Seen::new();
    explore_fully(move || {
        let router = Router::new();
        let mut changes = router.subscribe::<Change>("**").unwrap();
        let first = router.serve::<Ask>("a").unwrap();
        let first = thread::spawn(move || drop(first));
        let standby = ServeOptions::new().standby();
        let second = router.serve_with::<Ask>("a", standby).unwrap();
        first.join().unwrap();
        assert!(second.is_serving());
        add.add(change_kinds(&mut changes));
    });
    seen.exactly(&[
        vec![Served, Unserved, Served],
        vec![Served, StandsBy, Unserved, Served],
    ]);
}

/// [watch: subscribe first, then list]
#[test]
fn watching_then_listing_misses_nothing() {
    let (seen, add) = Seen::new();
    explore_fully(move || {
        let router = Router::new();
        let server = {
            let router = router.clone();
            thread::spawn(move || router.serve::<Ask>("a").unwrap())
        };
        let mut changes = router.subscribe::<Change>("**").unwrap();
        let is_listed = !router.servers().is_empty();
        let _server = server.join().unwrap();
        add.add((is_listed, change_kinds(&mut changes).len()));
    });
    seen.exactly(&[(false, 1), (true, 0), (true, 1)]);
}

/// [servers: the claim of a server that ends is released once, by its waker or by a caller;
/// request: the server has a successor]
#[test]
fn a_server_that_ends_is_retired_once() {
    let (seen, add) = Seen::new();
    explore(move || {
        let router = Router::new();
        let mut changes = router.subscribe::<Change>("**").unwrap();
        let (ends, client) = ump::channel();
        let claim = router.serve_by::<Ask>("a", client, ServeOptions::new());
        let claim = claim.unwrap();
        let standby = ServeOptions::new().standby();
        let next = router.serve_with::<Ask>("a", standby).unwrap();
        let ending = thread::spawn(move || drop(ends));
        let mut asking = router.request("a", Ask(1)).into_future();
        assert!(poll_once(&mut asking).is_pending());
        ending.join().unwrap();
        assert!(next.is_serving() && !claim.is_serving());
        // If the request was sent to the first server, it moves on to the next one.
        assert!(poll_once(&mut asking).is_pending());
        answer(&next);
        assert!(matches!(poll_once(&mut asking), Poll::Ready(Ok(2))));
        add.add(change_kinds(&mut changes));
    });
    seen.exactly(&[vec![Served, StandsBy, Unserved, Served]]);
}

/// [servers: a server ends while a request is sent to it]
#[test]
fn a_request_against_the_end_of_a_server_ends_once() {
    let (seen, add) = Seen::new();
    explore_fully(move || {
        let router = Router::new();
        let (server, client) = ump::channel();
        let claim = router.serve_by::<Ask>("a", client, ServeOptions::new());
        let _claim = claim.unwrap();
        let ending = thread::spawn(move || drop(server));
        let error = ask(&router).unwrap_err();
        ending.join().unwrap();
        add.add(format!("{error:?}"));
        assert!(matches!(error.into_message(), Some(Ask(1))));
        assert!(router.serve::<Ask>("a").is_ok());
    });
    seen.exactly(&["NoServer(..)", "ServerDisappeared(..)"].map(str::to_owned));
}
