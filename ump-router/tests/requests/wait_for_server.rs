//! Requests that wait for a server of their topic.

use std::{
    future::IntoFuture,
    pin::pin,
    sync::{Arc, atomic::Ordering},
    task::Poll,
    thread,
};

use ump_router::{
    Error, RequestError, Router, ServeOptions,
    ump::{self, ManualClock},
};

use crate::{
    Double, LONG,
    counting_waker::{CountingWaker, poll_once, poll_with},
    serve_all, spawn,
};

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
    let wakes = || counting.0.load(Ordering::SeqCst);

    let (ends, client) = ump::channel();
    let claim = router.serve_by::<Double>("a", client, ServeOptions::new());
    let claim = claim.unwrap();
    assert_eq!(wakes(), 1, "it looks for its own server");
    assert!(poll_with(waiting.as_mut(), &counting).is_pending());
    let mut lost = [1, 2, 3].map(|n| Box::pin(router.request("a", Double(n)).into_future()));
    for request in &mut lost {
        assert!(poll_once(request.as_mut()).is_pending());
    }
    drop(ends);
    for request in &mut lost {
        let Poll::Ready(Err(error)) = poll_once(request.as_mut()) else {
            panic!("its server has ended");
        };
        assert!(error.is_server_lost());
    }
    drop(claim);
    assert_eq!(wakes(), 1, "no server came");

    let server = router.serve::<Double>("b").unwrap();
    assert_eq!(wakes(), 2);
    assert!(poll_with(waiting.as_mut(), &counting).is_pending());
    assert_eq!(serve_all(&server), ["b"]);
    assert!(matches!(poll_once(waiting.as_mut()), Poll::Ready(Ok(2))));
}
