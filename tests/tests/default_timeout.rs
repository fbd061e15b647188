//! The default timeout of a client: which requests have it, and how they end.

use std::{future::IntoFuture, task::Poll, thread, time::Duration};

use tests::{block_on, must_end, poll_once};
use ump::{Builder, Client, Error, ManualClock, ReplyContext, RequestError, Server};

const SHORT: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(60);

type Ends = (Server<u32, u32, ()>, Client<u32, u32, ()>);

fn ends(clock: &ManualClock) -> Ends {
    let builder = Builder::new().clock(clock.clock()).capacity(1);
    builder.default_timeout(SHORT).build().unwrap()
}

/// Makes a request on another thread, and sleeps until the deadline has passed.
fn too_late<T: Send + 'static>(
    clock: &ManualClock,
    client: &Client<u32, u32, ()>,
    taken_by: Option<&Server<u32, u32, ()>>,
    ask: impl FnOnce(Client<u32, u32, ()>) -> T + Send + 'static,
) -> (T, Option<ReplyContext<u32, ()>>) {
    let client = client.clone();
    let asking = thread::spawn(move || ask(client));
    let taken = taken_by.map(|server| server.wait().unwrap().1);
    clock.wait_for_sleepers(1);
    clock.advance(SHORT);
    (must_end(move || asking.join().unwrap()), taken)
}

#[test]
fn plain_blocking_calls_end_in_time() {
    let clock = ManualClock::new();
    let (server, client) = ends(&clock);
    let (ended, _) = too_late(&clock, &client, None, |client| client.req(1));
    assert_eq!(ended, Err(Error::NoReply));
    assert_eq!(client.stats().timeout_queued, 1);
    assert!(server.is_empty());

    let (ended, rctx) = too_late(&clock, &client, Some(&server), |client| client.req(2));
    assert_eq!(ended, Err(Error::NoReply));
    assert!(rctx.unwrap().is_cancelled());
    assert_eq!(client.stats().timeout_taken, 1);

    let ask = |client: Client<_, _, _>| client.req_async(3).unwrap().wait();
    let (ended, _) = too_late(&clock, &client, None, ask);
    assert_eq!(ended, Err(Error::NoReply));
    assert!(Error::<u8>::NoReply.to_string().contains("time-out"));
}

#[test]
fn plain_awaited_calls_end_in_time() {
    let clock = ManualClock::new();
    let (server, client) = ends(&clock);
    let mut ask = Box::pin(client.areq(1));
    assert!(poll_once(&mut ask).is_pending());
    clock.advance(SHORT);
    assert_eq!(poll_once(&mut ask), Poll::Ready(Err(Error::NoReply)));
    assert!(server.is_empty());

    let mut reply = client.req_async(2).unwrap();
    assert!(poll_once(&mut reply).is_pending());
    let (_, rctx) = server.wait().unwrap();
    clock.advance(SHORT);
    assert_eq!(poll_once(&mut reply), Poll::Ready(Err(Error::NoReply)));
    assert!(rctx.is_cancelled());
}

#[test]
fn waiting_for_room_counts_towards_the_timeout() {
    let clock = ManualClock::new();
    let (_server, client) = ends(&clock);
    client.post(0).wait().unwrap();
    let (ended, _) = too_late(&clock, &client, None, |client| client.req(1));
    assert_eq!(ended, Err(Error::NoReply));
    let ask = |client: Client<_, _, _>| client.request(2).wait();
    let (ended, _) = too_late(&clock, &client, None, ask);
    assert_eq!(ended, Err(RequestError::TimeoutQueued(2)));
    let ask = |client: Client<_, _, _>| client.req_async(3).map(drop);
    let (ended, _) = too_late(&clock, &client, None, ask);
    assert_eq!(ended, Err(Error::NoReply));

    let mut ask = Box::pin(client.areq(4));
    assert!(poll_once(&mut ask).is_pending());
    clock.advance(SHORT);
    assert_eq!(poll_once(&mut ask), Poll::Ready(Err(Error::NoReply)));
    assert_eq!(client.stats().refused, 4);
}

#[test]
fn requests_return_details_and_the_message() {
    let clock = ManualClock::new();
    let (server, client) = ends(&clock);
    let ask = |client: Client<_, _, _>| client.request(1).wait();
    let (ended, _) = too_late(&clock, &client, None, ask);
    assert_eq!(ended, Err(RequestError::TimeoutQueued(1)));
    let (ended, _) = too_late(&clock, &client, Some(&server), ask);
    assert_eq!(ended, Err(RequestError::TimeoutTaken));

    let mut ask = client.request(2).into_future();
    assert!(poll_once(&mut ask).is_pending());
    let owned = std::sync::Arc::new(client.clone());
    let mut ask_too = Client::request_owned(owned, 3).urgent().into_future();
    assert!(poll_once(&mut ask_too).is_pending());
    clock.advance(SHORT);
    let late = |message| Poll::Ready(Err(RequestError::TimeoutQueued(message)));
    assert_eq!(poll_once(&mut ask), late(2));
    assert_eq!(poll_once(&mut ask_too), late(3));

    let submitted = client.request(4).submit().wait().unwrap();
    clock.advance(SHORT);
    assert_eq!(submitted.wait(), Err(RequestError::TimeoutQueued(4)));
}

#[test]
fn a_requests_own_timeout_replaces_the_default() {
    let clock = ManualClock::new();
    let (_server, client) = ends(&clock);
    let mut without = client.request(1).timeout(Duration::MAX).into_future();
    assert!(poll_once(&mut without).is_pending());
    let at = clock.clock().now() + LONG;
    let mut longer = client.request(2).urgent().deadline(at).into_future();
    assert!(poll_once(&mut longer).is_pending());
    clock.advance(SHORT);
    assert!(poll_once(&mut without).is_pending());
    assert!(poll_once(&mut longer).is_pending());
    clock.advance(LONG);
    assert!(poll_once(&mut without).is_pending());
    assert_eq!(
        poll_once(&mut longer),
        Poll::Ready(Err(RequestError::TimeoutQueued(2)))
    );
}

#[test]
fn posts_have_no_default_timeout() {
    let clock = ManualClock::new();
    let (server, client) = ends(&clock);
    client.post(1).wait().unwrap();
    block_on(client.request(2).urgent().post()).unwrap();
    clock.advance(LONG);
    assert_eq!(server.wait().unwrap().0, 2);
    let (message, rctx) = server.wait().unwrap();
    assert_eq!((message, rctx.deadline()), (1, None));
    // A request with its own timeout uses that.
    client.post(3).timeout(SHORT).wait().unwrap();
    clock.advance(SHORT);
    assert!(server.try_pop().unwrap().is_none());
}

#[test]
fn clones_and_weak_clients_keep_the_default() {
    let clock = ManualClock::new();
    let (_server, client) = ends(&clock);
    let other = client.clone().with_timeout(LONG);
    let none = client.clone().without_timeout();
    assert_eq!(client.clone().timeout(), Some(SHORT));
    assert_eq!(other.clone().timeout(), Some(LONG));
    assert_eq!(none.clone().timeout(), None);
    for client in [client, other, none] {
        let timeout = client.timeout();
        let weak = client.weak();
        assert_eq!(weak.clone().upgrade().unwrap().timeout(), timeout);
    }
}

#[test]
fn a_channel_has_no_default_timeout_by_itself() {
    let (_server, client) = ump::channel::<u32, u32, ()>();
    assert_eq!(client.timeout(), None);
    let reply = client.req_async(1).unwrap();
    assert!(reply.try_get().is_err());
}

#[test]
fn an_answer_in_time_is_the_answer() {
    let clock = ManualClock::new();
    let (server, client) = ends(&clock);
    let answering = thread::spawn(move || {
        for (n, rctx) in &server {
            rctx.reply(n + 1).unwrap();
        }
    });
    for n in 0..100 {
        assert_eq!(client.req(n), Ok(n + 1));
        assert_eq!(block_on(client.areq(n)), Ok(n + 1));
    }
    drop(client);
    must_end(move || answering.join().unwrap());
}
