//! How requests of a typed client end that have no reply.

use std::{convert::Infallible, time::Duration};

use tests::store::{
    Store, StoreClient, StoreGet, StorePut, StoreRefusal, StoreReply, StoreRequest,
};
use ump::{Ask, NoReply, RequestError, SendError};
use ump_server::thread;

#[test]
fn an_unsent_message_comes_back_as_the_callers() {
    let (server, client) = ump::bounded(1).unwrap();
    let store = StoreClient(client);
    let queued = store.put(1, "one".to_owned()).submit().wait().unwrap();
    match store.put(2, "two".to_owned()).if_room().wait() {
        Err(RequestError::Full(StorePut { key: 2, value })) => assert_eq!(value, "two"),
        other => panic!("{other:?}"),
    }
    match store.forget(3).if_room().wait() {
        Err(SendError::Full(message)) => assert_eq!(message.key, 3),
        other => panic!("{other:?}"),
    }
    let late = store
        .put(4, "four".to_owned())
        .timeout(Duration::from_millis(1))
        .wait();
    let message: StorePut = late.unwrap_err().into_message().unwrap();
    drop((queued, server));
    let again = store.0.ask(message).wait();
    assert!(matches!(
        again,
        Err(RequestError::ServerDisappeared(StorePut { key: 4, .. }))
    ));
}

#[test]
fn a_panic_is_told_and_names_its_method() {
    let (client, handle) = thread::serve(Store::default());
    let error = StoreClient(client).panic().wait().unwrap_err();
    let RequestError::NoReply(NoReply::Panicked(message)) = error else {
        panic!("{error:?}")
    };
    assert_eq!(message.as_str(), Some("as asked, with 1 values"));
    assert!(handle.join().is_err());
}

fn assert_mismatched<T>(outcome: Result<T, RequestError<StoreGet, Infallible>>) {
    let error = outcome.err().expect("no reply of its own");
    assert!(
        matches!(error, RequestError::NoReply(NoReply::Mismatched)),
        "{error:?}"
    );
}

#[test]
fn an_answer_to_another_message_is_a_mismatch() {
    let (server, client) = ump::channel::<StoreRequest, StoreReply, StoreRefusal>();
    let store = StoreClient(client);
    let get = store.get(1).submit().wait().unwrap();
    server
        .wait()
        .unwrap()
        .1
        .reply(StoreReply::Ticks(1))
        .unwrap();
    assert_mismatched(get.wait());
    let get = store.get(1).submit().wait().unwrap();
    let refusal = StoreRefusal::Put(tests::store::Exists);
    assert!(server.wait().unwrap().1.fail(refusal).is_ok());
    assert_mismatched(get.wait());
}

#[test]
fn a_dropped_future_is_never_executed() {
    let (server, client) = ump::channel();
    let store = StoreClient(client);
    let mut asked = Box::pin(std::future::IntoFuture::into_future(store.get(1)));
    assert!(tests::poll_once(&mut asked).is_pending());
    assert_eq!(server.len(), 1);
    drop(asked);
    assert!(server.is_empty());
}

/// A message whose conversion panics.
struct Panics;

impl Ask<(), u32, Infallible> for Panics {
    type Reply = u32;
    type Error = Infallible;

    fn into_request(self) {}

    fn from_request((): ()) -> Self {
        Self
    }

    fn from_answer(_: Result<u32, Infallible>) -> Option<Result<u32, Infallible>> {
        panic!("on purpose")
    }
}

#[test]
fn a_conversion_that_panics_leaves_the_channel_whole() {
    let (client, _) = thread::serve(thread::reply(|()| 7));
    let asked = std::panic::catch_unwind(|| client.ask(Panics).wait());
    assert!(asked.is_err());
    assert_eq!(client.req(()).unwrap(), 7);
    let get: Option<Result<Option<String>, _>> = StoreGet::from_answer(Ok(StoreReply::Ticks(0)));
    assert!(get.is_none());
}
