//! Servers that leave, and the standbys that follow them.

use std::{
    future::IntoFuture,
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering},
    task::Poll,
};

use ump_router::{
    Error, RequestError, Router, ServeOptions, Server,
    ump::{self, Executed},
};

use crate::{
    Double, LONG,
    counting_waker::{CountingWaker, poll_once, poll_with},
    serve_all, spawn,
};

#[test]
fn a_standby_serves_after_all_servers_before_it() {
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
fn a_queued_request_goes_to_the_standby() {
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
fn a_server_that_waits_learns_that_its_claim_was_closed() {
    let router = Router::new();
    let server = router.serve::<Double>("a").unwrap();
    let handle = server.close_handle();
    let serving = spawn(server);
    assert_eq!(router.request("a", Double(1)).wait().unwrap(), 2);
    assert!(!handle.is_closed());
    handle.close();
    assert_eq!(serving.join().unwrap(), 1);
    assert!(handle.is_closed());
    let refused = router.request("a", Double(1)).wait().unwrap_err();
    assert!(matches!(refused, RequestError::NoServer(Double(1))));
}

#[test]
fn a_server_task_learns_that_its_claim_was_closed() {
    let router = Router::new();
    let server = router.serve::<Double>("a").unwrap();
    let handle = server.close_handle();
    let mut queued = pin!(router.request("a", Double(1)).into_future());
    assert!(poll_once(queued.as_mut()).is_pending());
    handle.close();
    // The queue is served, then the server ends.
    assert_eq!(serve_all(&server), ["a"]);
    assert!(matches!(poll_once(queued.as_mut()), Poll::Ready(Ok(2))));
    let waker = Arc::<CountingWaker>::default();
    let mut next = pin!(server.async_wait());
    assert!(matches!(
        poll_with(next.as_mut(), &waker),
        Poll::Ready(Err(_))
    ));

    let server = router.serve::<Double>("a").unwrap();
    let mut next = pin!(server.async_wait());
    assert!(poll_with(next.as_mut(), &waker).is_pending());
    server.close_handle().close();
    assert_eq!(waker.0.load(Ordering::SeqCst), 1);
    assert!(matches!(
        poll_with(next.as_mut(), &waker),
        Poll::Ready(Err(_))
    ));
}

#[test]
fn a_standby_follows_a_claim_that_was_closed() {
    let router = Router::new();
    let standby = ServeOptions::new().standby();
    let (server, client) = ump::channel();
    let claim = router.serve_by::<Double>("a", client, standby).unwrap();
    let next = router.serve_with::<Double>("a", standby).unwrap();
    let handle = claim.close_handle();
    handle.close();
    handle.close();
    assert!(next.is_serving() && !claim.is_serving() && handle.is_closed());
    drop(claim);
    assert!(next.is_serving(), "the claim was released once");
    assert!(server.wait().is_err(), "the router had its only client");
    next.close_handle().close();
    assert!(!next.is_serving());
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
