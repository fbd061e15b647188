//! The methods of clients.

use std::{panic::Location, time::Duration};

use tests::{
    LONG, block_on,
    device::{Device, DeviceClient},
    store::{Exists, Gone, Store, StoreClient},
};
use ump::{Executed, Gather, WaitReply};
use ump_server::{task, thread};

#[test]
fn each_method_has_its_own_reply() {
    let (client, handle) = thread::serve(Store::default());
    let store = StoreClient(client);
    store.put(1, "One".to_owned()).wait().unwrap();
    let refused = store.put(1, "Two".to_owned()).wait().unwrap_err();
    assert_eq!(refused.into_apperr(), Some(Exists));
    let value: Option<String> = store.get(1).wait().unwrap();
    assert_eq!(value.as_deref(), Some("one"));
    store.clear().wait().unwrap();
    assert_eq!(store.get(1).wait().unwrap(), None);
    drop(store);
    assert_eq!(handle.join().unwrap(), None);
}

#[test]
fn a_blocking_service_is_awaited_too() {
    let (client, _) = thread::serve(Store::default());
    let store = StoreClient::from(client);
    block_on(async {
        store.put(1, "One".to_owned()).await.unwrap();
        assert_eq!(
            store
                .get(1)
                .urgent()
                .timeout(LONG)
                .await
                .unwrap()
                .as_deref(),
            Some("one")
        );
        let submitted = store.get(1).submit().await.unwrap();
        assert_eq!(submitted.await.unwrap().as_deref(), Some("one"));
        store.forget(1).await.unwrap();
        assert_eq!(store.get(1).await.unwrap(), None);
    });
}

#[test]
fn a_method_replies_later() {
    let (client, handle) = thread::serve(Store::default());
    let store = StoreClient(client);
    let first = store.watch(1).submit().wait().unwrap();
    let second = store.watch(2).submit().wait().unwrap();
    store.put(1, "One".to_owned()).wait().unwrap();
    assert_eq!(first.wait().unwrap(), "one");
    let second = second.try_get().unwrap_err();
    assert!(!second.is_ready());
    let second = second.wait_timeout(Duration::ZERO).unwrap_err();
    assert_eq!(store.give_up().wait().unwrap(), 1);
    assert_eq!(second.wait().unwrap_err().into_apperr(), Some(Gone));
    assert_eq!(handle.join().unwrap(), Some(100));
}

#[test]
fn a_post_may_end_the_loop() {
    let (client, handle) = thread::serve(Store::default());
    let store = StoreClient(client);
    store.put(1, "One".to_owned()).wait().unwrap();
    store.end().urgent().wait().unwrap();
    assert_eq!(handle.join().unwrap(), Some(102));
}

#[test]
fn an_async_service_is_asked_from_both_sides() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _entered = runtime.enter();
    let (client, _) = task::serve(Device::default());
    let device = DeviceClient(client);
    assert_eq!(device.write(b"ab".to_vec()).wait().unwrap(), 2);
    runtime.block_on(async {
        assert_eq!(device.write(b"c".to_vec()).await.unwrap(), 3);
        let refused = device.write(Vec::new()).await.unwrap_err();
        let error = refused.into_apperr().unwrap();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        let cut = device.wait().timeout(Duration::from_millis(5)).await;
        let cut = cut.unwrap_err();
        assert!(cut.is_timeout());
        // On a busy machine it may not be taken in time.
        let seen = u32::from(cut.executed() != Executed::No);
        assert_eq!(device.cancelled().await.unwrap(), seen);
    });
    assert_eq!(device.written().wait().unwrap(), b"abc");
}

#[test]
fn replies_of_different_methods_are_gathered() {
    let (client, _) = thread::serve(Store::default());
    let store = StoreClient(client);
    let mut replies = Gather::new();
    replies.push(0, store.ticks().submit().wait().unwrap().into_untyped());
    let last: WaitReply<_, _, _> = store.get(1).submit().wait().unwrap().into_untyped();
    replies.push(1, last);
    assert!(replies.wait().unwrap().1.is_ok());
    assert!(replies.wait().unwrap().1.is_ok());
}

/// Tells who called it.
struct Who;

#[ump_server::service]
impl Who {
    fn called(
        &mut self,
        reply: ump_server::service::ReplyTo<'_, Self, &'static Location<'static>>,
    ) {
        let caller = reply.caller();
        let _ = reply.reply(caller);
    }
}

#[test]
fn a_method_sees_its_caller() {
    let (client, _) = thread::serve(Who);
    let caller = WhoClient(client).called().wait().unwrap();
    assert_eq!((caller.file(), caller.line()), (file!(), line!() - 1));
}
