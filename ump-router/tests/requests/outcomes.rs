//! Requests to a server: their replies and errors, and the options that they pass to its channel.

use std::{
    future::IntoFuture,
    panic::Location,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use futures_core::Stream;
use ump_router::{
    Call, RequestError, Router, ServeOptions,
    ump::{self, Executed, ManualClock},
};

use crate::{Double, LONG, counting_waker::poll_once, serve_all, spawn};

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
async fn callers_and_servers_block_or_await() {
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
fn request_options_are_those_of_the_channel() {
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
fn a_dropped_future_revokes_its_queued_request() {
    let router = Router::new();
    let server = router.serve::<Double>("a").unwrap();
    let mut request = Box::pin(router.request("a", Double(1)).into_future());
    assert!(poll_once(request.as_mut()).is_pending());
    drop(request);
    assert!(server.is_empty());
    assert_eq!(server.stats().cancelled_queued, 1);
}
