//! Clients behind a trait: mapped, type-erased, and with the outcomes of the channel.

use std::{future::IntoFuture, task::Poll, thread, time::Duration};

use tests::{block_on, must_end, poll_once};
use ump::{Builder, Client, DynClient, Executed, ManualClock, RequestError, SendError, Server};

#[derive(Debug, PartialEq, Eq)]
enum Op {
    Get(u32),
    Stop,
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Found(u64),
    Stopped,
}

type Store = (Server<Op, Answer, String>, Client<Op, Answer, String>);

/// Returns a client that makes requests with numbers only.
fn getter(client: Client<Op, Answer, String>) -> DynClient<u32, u64, usize> {
    client.map(
        Op::Get,
        |op| match op {
            Op::Get(id) => id,
            Op::Stop => unreachable!("only `Get` was made"),
        },
        |answer| match answer {
            Ok(Answer::Found(n)) => Ok(n),
            Ok(Answer::Stopped) => Err(0),
            Err(why) => Err(why.len()),
        },
    )
}

fn answer((op, rctx): (Op, ump::ReplyContext<Answer, String>)) {
    let _ = rctx.answer(match op {
        Op::Get(0) => Err("zero".to_owned()),
        Op::Get(1) | Op::Stop => Ok(Answer::Stopped),
        Op::Get(id) => Ok(Answer::Found(u64::from(id) * 10)),
    });
}

#[test]
fn a_mapped_client_blocks_and_awaits() {
    let (server, client): Store = ump::channel();
    let serving = thread::spawn(move || (&server).into_iter().for_each(answer));
    let store = getter(client.clone());
    for (id, expected) in [
        (7, Ok(70)),
        (0, Err(RequestError::App(4))),
        (1, Err(RequestError::App(0))),
    ] {
        assert_eq!(store.request(id).wait(), expected);
        assert_eq!(block_on(store.request(id)), expected);
        assert_eq!(block_on(store.clone().request(id).urgent()), expected);
    }
    // Other clients request the rest.
    assert_eq!(client.req(Op::Stop), Ok(Answer::Stopped));
    drop(client);
    // The client is mapped once more.
    let texts = store.map(
        |text: String| text.parse().unwrap(),
        |id| id.to_string(),
        |answer| answer.map(|n| n.to_string()).map_err(|_| ()),
    );
    assert_eq!(texts.request("7".to_owned()).wait(), Ok("70".to_owned()));
    let awaited = block_on(texts.request("0".to_owned()));
    assert_eq!(awaited, Err(RequestError::App(())));
    drop(texts);
    must_end(move || serving.join().unwrap());
}

#[test]
fn an_unexecuted_message_comes_back_as_it_was_given() {
    let (server, client): Store = ump::bounded(1).unwrap();
    let store = getter(client.clone());
    assert_eq!(store.request(1).wait_post(), Ok(()));
    assert_eq!(
        store.request(2).if_room().wait(),
        Err(RequestError::Full(2))
    );
    assert_eq!(
        block_on(store.request(3).if_room().post()),
        Err(SendError::Full(3))
    );
    assert_eq!(
        store.request(4).if_room().wait_post(),
        Err(SendError::Full(4))
    );
    drop(server);
    assert!(store.is_closed());
    let gone = block_on(store.request(5)).unwrap_err();
    assert_eq!(gone, RequestError::ServerDisappeared(5));
    assert_eq!(gone.executed(), Executed::No);
    assert_eq!(store.stats(), client.stats());
}

#[test]
fn deadlines_and_the_default_hold() {
    let clock = ManualClock::new();
    let builder = Builder::new().clock(clock.clock());
    let (server, client) = builder.build::<Op, Answer, String>().unwrap();
    let second = Duration::from_secs(1);
    let store = getter(client.with_timeout(second));
    let mut by_default = store.request(7).into_future();
    let mut own = store.request(8).timeout(2 * second).into_future();
    let mut never = store.request(9).timeout(Duration::MAX).into_future();
    assert!(poll_once(&mut by_default).is_pending());
    assert!(poll_once(&mut own).is_pending());
    assert!(poll_once(&mut never).is_pending());
    clock.advance(second);
    let late = |message| Poll::Ready(Err(RequestError::TimeoutQueued(message)));
    assert_eq!(poll_once(&mut by_default), late(7));
    assert!(poll_once(&mut own).is_pending());
    clock.advance(second);
    assert_eq!(poll_once(&mut own), late(8));
    assert!(poll_once(&mut never).is_pending());
    answer(server.wait().unwrap());
    assert_eq!(poll_once(&mut never), Poll::Ready(Ok(90)));
}

#[test]
fn dropping_the_future_cancels_the_request() {
    let (server, client): Store = ump::channel();
    let store = getter(client);
    let mut queued = store.request(7).into_future();
    assert!(poll_once(&mut queued).is_pending());
    drop(queued);
    assert!(server.try_pop().unwrap().is_none());
    let mut taken = store.request(8).into_future();
    assert!(poll_once(&mut taken).is_pending());
    let (_, rctx) = server.wait().unwrap();
    drop(taken);
    assert!(rctx.is_cancelled());
    assert_eq!(store.stats().cancelled_queued, 1);
}

#[test]
fn the_handler_sees_the_call_site() {
    let (server, client): Store = ump::channel();
    let store = getter(client);
    let line = line!() + 1;
    store.request(7).wait_post().unwrap();
    let (_, rctx) = server.wait().unwrap();
    assert_eq!(rctx.caller().line(), line);
    assert!(rctx.is_post());
}

#[test]
fn an_erased_client_keeps_the_server_going() {
    let (server, client) = ump::channel::<u32, u32, ()>();
    let erased = DynClient::from(client);
    let other = erased.clone();
    drop(erased);
    assert!(server.try_pop().unwrap().is_none());
    drop(other);
    server.try_pop().unwrap_err();
}

#[test]
fn a_typed_message_is_asked_through_an_erased_client() {
    use tests::store::{Exists, Store, StoreForget, StoreGet, StorePut};

    let (client, _) = ump_server::thread::serve(Store::default());
    let store = DynClient::from(client);
    let put = |key| StorePut {
        key,
        value: "One".to_owned(),
    };
    store.ask(put(1)).timeout(Duration::MAX).wait().unwrap();
    let refused = store.ask(put(1)).urgent().wait().unwrap_err();
    assert_eq!(refused.into_apperr(), Some(Exists));
    let value: Option<String> = block_on(store.ask(StoreGet { key: 1 }).into_future()).unwrap();
    assert_eq!(value.as_deref(), Some("one"));
    store.ask(StoreForget { key: 1 }).wait_post().unwrap();
    block_on(store.ask(StoreForget { key: 2 }).post()).unwrap();
    assert_eq!(store.ask(StoreGet { key: 1 }).wait().unwrap(), None);
}

#[test]
fn an_erased_client_returns_the_typed_message() {
    use tests::store::{StoreForget, StoreGet, StoreRefusal, StoreReply, StoreRequest};

    let (server, client) = ump::bounded::<StoreRequest, StoreReply, StoreRefusal>(1).unwrap();
    let store = DynClient::from(client);
    let mut asking = store.ask(StoreGet { key: 1 }).into_future();
    assert!(poll_once(&mut asking).is_pending());
    let full = store.ask(StoreGet { key: 2 }).if_room().wait();
    assert!(matches!(full, Err(RequestError::Full(StoreGet { key: 2 }))));
    let full = store.ask(StoreForget { key: 3 }).if_room().wait_post();
    assert!(matches!(full, Err(SendError::Full(StoreForget { key: 3 }))));
    drop(server);
    let lost = block_on(asking);
    assert!(matches!(
        lost,
        Err(RequestError::ServerDisappeared(StoreGet { key: 1 }))
    ));
}
