//! The contract of `poll_ready` and `call`, poll by poll.

mod support;

use std::{
    cell::Cell,
    marker::PhantomPinned,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use support::{CountingWaker, poll_once, poll_ready, poll_ready_with};
use tower_service::Service;
use ump::{
    Builder, Client, Error, Executed, ManualClock, Refused, RequestError, SendError, Server,
};
use ump_tower::{ClientService, PostService};

type TestServer = Server<u32, u32, Refused>;
type TestClient = Client<u32, u32, Refused>;
type TestService = ClientService<u32, u32, Refused>;

const SECOND: Duration = Duration::from_secs(1);

/// A channel with room for one request.
fn one_place() -> (TestServer, TestClient, TestService) {
    let (server, client) = ump::bounded(1).unwrap();
    (server, client.clone(), ClientService::new(client))
}

/// The same, by a clock that the test advances.
fn one_place_with_clock() -> (ManualClock, TestServer, TestClient, TestService) {
    let clock = ManualClock::new();
    let (server, client) = Builder::new()
        .clock(clock.clock())
        .capacity(1)
        .build()
        .unwrap();
    (clock, server, client.clone(), ClientService::new(client))
}

#[track_caller]
fn assert_ready<S: Service<u32>>(service: &mut S) {
    assert!(matches!(poll_ready(service), Poll::Ready(Ok(()))));
}

#[test]
fn an_unbounded_service_is_always_ready() {
    let (server, client) = ump::channel();
    let mut service: TestService = ClientService::new(client);
    assert_ready(&mut service);
    assert_ready(&mut service);
    assert_eq!(service.client().stats().reserved, 0);
    let mut reply = service.call(1);
    assert!(poll_once(&mut reply).is_pending());
    let (n, rctx) = server.wait().unwrap();
    rctx.reply(n + 1).unwrap();
    assert_eq!(poll_once(&mut reply), Poll::Ready(Ok(2)));
}

#[test]
fn a_ready_service_has_room() {
    let (server, client, mut service) = one_place();
    assert_ready(&mut service);
    // Readiness is kept, and reserves once.
    assert_ready(&mut service);
    assert_eq!(client.stats().reserved, 1);
    assert_eq!(
        client.request(7).if_room().wait(),
        Err(RequestError::Full(7))
    );

    let mut reply = service.call(1);
    assert!(poll_once(&mut reply).is_pending());
    assert_eq!((client.len(), client.stats().reserved), (1, 0));
    server.wait().unwrap().1.reply(2).unwrap();
    assert_eq!(poll_once(&mut reply), Poll::Ready(Ok(2)));
}

#[test]
fn a_call_uses_up_readiness() {
    let (_server, client, mut service) = one_place();
    assert_ready(&mut service);
    let mut first = service.call(1);
    assert!(poll_once(&mut first).is_pending());
    assert!(poll_ready(&mut service).is_pending());
    assert_eq!(client.len(), 1);
}

#[test]
fn a_clone_is_not_ready() {
    let (_server, client, mut service) = one_place();
    assert_ready(&mut service);
    let mut clone = service.clone();
    assert!(poll_ready(&mut clone).is_pending());
    // As the documentation of tower advises: the ready one is taken, the clone is left.
    let mut ready = mem::replace(&mut service, clone);
    let mut reply = ready.call(1);
    assert!(poll_once(&mut reply).is_pending());
    assert_eq!(client.len(), 1);
    assert!(poll_ready(&mut service).is_pending());
}

/// Middleware that calls a clone of a ready service is common, and wrong.
#[test]
fn a_call_without_readiness_waits_for_room() {
    let (server, client, mut service) = one_place();
    client.post(0).wait().unwrap();
    let mut reply = service.call(1);
    assert!(poll_once(&mut reply).is_pending());
    assert_eq!(client.len(), 1);
    drop(server.wait().unwrap());
    assert!(poll_once(&mut reply).is_pending());
    let (n, rctx) = server.wait().unwrap();
    rctx.reply(n + 1).unwrap();
    assert_eq!(poll_once(&mut reply), Poll::Ready(Ok(2)));
}

#[test]
fn unused_room_is_given_back() {
    type GiveBack = fn(TestService) -> Option<TestService>;
    let dropped: GiveBack = |_| None;
    let released: GiveBack = |mut service| {
        service.release();
        Some(service)
    };
    let never_polled: GiveBack = |mut service| {
        drop(service.call(1));
        Some(service)
    };
    for give_back in [dropped, released, never_polled] {
        let (_server, client, mut service) = one_place();
        assert_ready(&mut service);
        let mut next = service.clone();
        let counter = CountingWaker::new();
        assert!(poll_ready_with(&mut next, &counter).is_pending());
        let _kept = give_back(service);
        assert_eq!(counter.wakes(), 1);
        assert_ready(&mut next);
        assert_eq!(client.stats().accepted, 0);
    }
}

#[test]
fn the_latest_task_is_woken() {
    let (server, client, mut service) = one_place();
    client.post(0).wait().unwrap();
    let (former, latest) = (CountingWaker::new(), CountingWaker::new());
    assert!(poll_ready_with(&mut service, &former).is_pending());
    assert!(poll_ready_with(&mut service, &latest).is_pending());
    drop(server.wait().unwrap());
    assert_eq!((former.wakes(), latest.wakes()), (0, 1));
    assert_ready(&mut service);
}

/// The documented limit of services that reserve, and its remedy.
#[test]
fn a_release_passes_the_wake_up_on() {
    let (server, client, mut stale) = one_place();
    client.post(0).wait().unwrap();
    assert!(poll_ready(&mut stale).is_pending());
    let mut next = stale.clone();
    let counter = CountingWaker::new();
    assert!(poll_ready_with(&mut next, &counter).is_pending());

    drop(server.wait().unwrap());
    assert_eq!(counter.wakes(), 0); // the stale one got the wake-up
    stale.release();
    assert_eq!(counter.wakes(), 1);
    assert_ready(&mut next);
}

#[test]
fn a_shedding_service_fails_if_the_queue_is_full() {
    let (server, client, service) = one_place();
    let mut service = service.shed();
    assert_ready(&mut service);
    assert_eq!(client.stats().reserved, 0);
    client.post(0).wait().unwrap();
    assert_ready(&mut service);
    let outcome = poll_once(&mut service.call(1));
    assert_eq!(outcome, Poll::Ready(Err(RequestError::Full(()))));
    drop(server.wait().unwrap());
    let mut reply = service.call(2);
    assert!(poll_once(&mut reply).is_pending());
    assert_eq!(server.wait().unwrap().0, 2);
}

/// tower discards a service whose `poll_ready` fails, so a time-out must not do that.
#[test]
fn a_deadline_in_the_wait_for_room_ends_the_next_call_only() {
    let (clock, server, client, service) = one_place_with_clock();
    let mut service = service.timeout(SECOND);
    client.post(0).wait().unwrap();
    assert!(poll_ready(&mut service).is_pending());
    clock.advance(2 * SECOND);
    assert_ready(&mut service);
    assert_ready(&mut service);
    let outcome = poll_once(&mut service.call(1));
    assert_eq!(outcome, Poll::Ready(Err(RequestError::TimeoutQueued(()))));
    assert_eq!(client.stats().accepted, 1);

    drop(server.wait().unwrap());
    assert_ready(&mut service);
    let mut reply = service.call(2);
    assert!(poll_once(&mut reply).is_pending());
    server.wait().unwrap().1.reply(3).unwrap();
    assert_eq!(poll_once(&mut reply), Poll::Ready(Ok(3)));
}

#[test]
fn a_deadline_ends_a_call() {
    let (clock, server, _client, service) = one_place_with_clock();
    let mut service = service.timeout(SECOND);
    assert_ready(&mut service);
    // The time in which the service is ready does not count.
    clock.advance(2 * SECOND);
    let mut queued = service.call(1);
    assert!(poll_once(&mut queued).is_pending());
    clock.advance(2 * SECOND);
    assert_eq!(
        poll_once(&mut queued),
        Poll::Ready(Err(RequestError::TimeoutQueued(())))
    );
    assert!(server.is_empty());

    assert_ready(&mut service);
    let mut taken = service.call(2);
    assert!(poll_once(&mut taken).is_pending());
    let (_, rctx) = server.wait().unwrap();
    clock.advance(2 * SECOND);
    let Poll::Ready(Err(error)) = poll_once(&mut taken) else {
        panic!("the deadline has passed")
    };
    assert_eq!(
        (&error, error.executed()),
        (&RequestError::TimeoutTaken, Executed::Perhaps)
    );
    assert!(rctx.is_cancelled());
}

#[test]
fn the_default_time_out_of_the_client_applies() {
    let (clock, _server, client, _) = one_place_with_clock();
    let mut service = ClientService::new(client.with_timeout(SECOND));
    assert_ready(&mut service);
    let mut reply = service.call(1);
    assert!(poll_once(&mut reply).is_pending());
    clock.advance(2 * SECOND);
    assert_eq!(
        poll_once(&mut reply),
        Poll::Ready(Err(RequestError::TimeoutQueued(())))
    );
}

#[test]
fn a_service_without_a_server_is_never_ready() {
    let gone = Poll::Ready(Err(RequestError::ServerDisappeared(())));
    for capacity in [1, usize::MAX] {
        let (server, client) = ump::bounded(capacity).unwrap();
        let mut service: TestService = ClientService::new(client);
        let mut shedding = service.clone().shed();
        assert_ready(&mut service);
        server.close();
        for _ in 0..2 {
            assert_eq!(poll_ready(&mut service), gone);
            assert_eq!(poll_ready(&mut shedding), gone);
        }
        assert_eq!(service.client().stats().reserved, 0);
        let outcome = poll_once(&mut service.call(1));
        assert_eq!(
            outcome,
            Poll::Ready(Err(RequestError::ServerDisappeared(())))
        );
    }
}

#[test]
fn the_end_of_the_server_wakes_a_service_that_waits() {
    let (server, client, mut service) = one_place();
    client.post(0).wait().unwrap();
    let counter = CountingWaker::new();
    assert!(poll_ready_with(&mut service, &counter).is_pending());
    drop(server);
    assert_eq!(counter.wakes(), 1);
    assert_eq!(
        poll_ready(&mut service),
        Poll::Ready(Err(RequestError::ServerDisappeared(())))
    );
}

#[test]
fn a_ready_service_whose_server_ends_fails() {
    let (server, _client, mut service) = one_place();
    assert_ready(&mut service);
    drop(server);
    let outcome = poll_once(&mut service.call(1));
    assert_eq!(
        outcome,
        Poll::Ready(Err(RequestError::ServerDisappeared(())))
    );
}

#[test]
fn a_dropped_call_is_cancelled() {
    let (server, client, mut service) = one_place();
    assert_ready(&mut service);
    let mut queued = service.call(1);
    assert!(poll_once(&mut queued).is_pending());
    drop(queued);
    assert!(server.is_empty());
    assert_eq!(client.stats().cancelled_queued, 1);

    let mut taken = service.call(2);
    assert!(poll_once(&mut taken).is_pending());
    let (_, rctx) = server.wait().unwrap();
    drop(taken);
    assert!(rctx.is_cancelled());
}

#[test]
fn urgent_requests_overtake() {
    let (server, client, service) = one_place();
    let mut service = service.urgent();
    client.post(0).wait().unwrap();
    // The other lane has room of its own.
    assert_ready(&mut service);
    let mut reply = service.call(1);
    assert!(poll_once(&mut reply).is_pending());
    assert_eq!(server.wait().unwrap().0, 1);
}

#[test]
fn no_waker_stays() {
    let (server, client, mut service) = one_place();
    let counter = CountingWaker::new();
    let waker = Waker::from(Arc::clone(&counter));
    let mut cx = Context::from_waker(&waker);
    for give_up in [ClientService::release, |_: &mut TestService| {}] {
        client.post(0).wait().unwrap();
        let mut waiting = service.clone();
        assert!(waiting.poll_ready(&mut cx).is_pending());
        give_up(&mut waiting);
        drop(waiting);
        assert_eq!(Arc::strong_count(&counter), 2);
        drop(server.wait().unwrap());

        assert_ready(&mut service);
        let mut reply = service.call(1);
        assert!(Pin::new(&mut reply).poll(&mut cx).is_pending());
        drop(reply);
        assert_eq!(Arc::strong_count(&counter), 2);
    }
}

#[test]
fn options_set_later_give_room_back() {
    let (_server, client, mut service) = one_place();
    assert_ready(&mut service);
    let mut service = service.urgent();
    assert_eq!(client.stats().reserved, 0);
    assert_ready(&mut service);
    assert_eq!(client.stats().reserved, 1);
    assert!(client.request(1).if_room().submit().wait().is_ok());
}

#[test]
fn a_finished_future_keeps_no_client() {
    let (server, client, mut service) = one_place();
    drop(client);
    assert_ready(&mut service);
    let mut reply = service.call(1);
    assert!(poll_once(&mut reply).is_pending());
    drop(service);
    server.wait().unwrap().1.reply(2).unwrap();
    assert_eq!(poll_once(&mut reply), Poll::Ready(Ok(2)));
    assert!(matches!(server.try_pop(), Err(Error::ClientsDisappeared)));
    drop(reply);
}

#[test]
fn the_handler_sees_where_the_service_was_made() {
    let (server, client) = ump::bounded::<u32, u32, Refused>(1).unwrap();
    let line = line!() + 1;
    let mut service = ClientService::new(client);
    for is_ready in [true, false] {
        if is_ready {
            assert_ready(&mut service);
        }
        let mut reply = service.call(1);
        assert!(poll_once(&mut reply).is_pending());
        let (_, rctx) = server.wait().unwrap();
        assert_eq!(
            (rctx.caller().file(), rctx.caller().line()),
            (file!(), line)
        );
    }
}

#[test]
fn a_post_is_accepted() {
    let (server, client, _) = one_place();
    let mut service = PostService::new(client.clone().with_timeout(SECOND));
    assert_ready(&mut service);
    assert_eq!(poll_once(&mut service.call(1)), Poll::Ready(Ok(())));
    assert!(poll_ready(&mut service).is_pending());
    let (n, rctx) = server.wait().unwrap();
    // The default time-out is not for posts.
    assert_eq!((n, rctx.is_post(), rctx.deadline()), (1, true, None));
    assert_ready(&mut service);

    let mut shedding = service.clone().shed();
    let outcome = poll_once(&mut shedding.call(2));
    assert_eq!(outcome, Poll::Ready(Err(SendError::Full(()))));
    drop(server);
    assert_eq!(
        poll_ready(&mut service),
        Poll::Ready(Err(SendError::ServerDisappeared(())))
    );
    let outcome = poll_once(&mut service.call(3));
    assert_eq!(outcome, Poll::Ready(Err(SendError::ServerDisappeared(()))));
}

#[test]
fn a_post_that_had_no_room_in_time_fails() {
    let (clock, server, client, _) = one_place_with_clock();
    let mut service = PostService::new(client.clone()).timeout(SECOND);
    client.post(0).wait().unwrap();
    assert!(poll_ready(&mut service).is_pending());
    clock.advance(2 * SECOND);
    assert_ready(&mut service);
    let outcome = poll_once(&mut service.call(1));
    assert_eq!(outcome, Poll::Ready(Err(SendError::TimeoutQueued(()))));
    assert_eq!(server.wait().unwrap().0, 0);
}

#[test]
fn the_default_time_out_of_the_client_is_not_for_posts() {
    let (clock, server, client, _) = one_place_with_clock();
    let mut service = PostService::new(client.clone().with_timeout(SECOND));
    client.post(0).wait().unwrap();
    assert!(poll_ready(&mut service).is_pending());
    clock.advance(2 * SECOND);
    assert!(poll_ready(&mut service).is_pending());
    drop(server.wait().unwrap());
    assert_ready(&mut service);
}

/// `Send`, but neither `Sync` nor `Unpin`, as the requests of axum are.
struct Awkward(
    #[expect(dead_code, reason = "what matters is its type")] Cell<u8>,
    PhantomPinned,
);

fn send_sync_unpin<T: Send + Sync + Unpin>() {}

#[test]
fn messages_and_replies_need_only_be_send() {
    send_sync_unpin::<ClientService<Awkward, Awkward, Awkward>>();
    send_sync_unpin::<ump_tower::ResponseFuture<Awkward, Awkward, Awkward>>();
    send_sync_unpin::<PostService<Awkward, Awkward, Awkward>>();
    send_sync_unpin::<ump_tower::PostFuture<Awkward, Awkward, Awkward>>();
}
