//! Services behind a topic of the router, asked by their messages and by their typed clients.

use std::{panic::Location, time::Duration};

use tests::{
    LONG,
    device::{Device, DeviceTopic, DeviceWait, DeviceWrite},
    poll_once,
    store::{
        Exists, Store, StoreClient, StoreGet, StorePut, StoreRefusal, StoreReply, StoreRequest,
        StoreTopic,
    },
};
use ump::{Executed, NoReply};
use ump_router::{Call, Error, RequestError, Router, ServeOptions, TopicClient};
use ump_server::{ReplyContext, service::ReplyTo, task, thread, thread::Service as _};

/// Serves a store on a topic.
fn serve(router: &Router, topic: &str) -> ump_router::Claim {
    let (client, _) = thread::serve(Store::default());
    let claim = router.serve_messages_by(topic, client, ServeOptions::new());
    claim.unwrap()
}

fn store(router: &Router, topic: &str) -> StoreTopic {
    StoreTopic(TopicClient::new(router, topic).unwrap())
}

fn put(key: u32) -> StorePut {
    let value = "One".to_owned();
    StorePut { key, value }
}

#[test]
fn a_message_is_asked_by_topic() {
    let router = Router::new();
    let _claim = serve(&router, "first");
    router.ask("first", put(1)).wait().unwrap();
    let refused = router.ask("first", put(1)).urgent().wait().unwrap_err();
    assert_eq!(refused.executed(), Executed::Yes);
    assert_eq!(refused.into_apperr(), Some(Exists));
    let value = router.ask("first", StoreGet { key: 1 }).timeout(LONG);
    assert_eq!(value.wait().unwrap().as_deref(), Some("one"));
}

#[test]
fn a_typed_client_stands_over_a_topic() {
    let router = Router::new();
    let _claim = serve(&router, "first");
    let store = store(&router, "first");
    tests::block_on(async {
        store.put(1, "One".to_owned()).await.unwrap();
        let value: Option<String> = store.get(1).timeout(LONG).await.unwrap();
        assert_eq!(value.as_deref(), Some("one"));
        // A post is a request whose reply says that it was executed.
        store.forget(1).if_room().await.unwrap();
        assert_eq!(store.clone().get(1).await.unwrap(), None);
    });
    assert_eq!(store.0.topic().as_str(), "first");
}

#[test]
fn one_server_has_a_topic_and_clients_of_its_own() {
    let router = Router::new();
    let (client, _) = thread::serve(Store::default());
    let direct = StoreClient(client.clone());
    let options = ServeOptions::new();
    let claims = ["a", "b"].map(|topic| {
        let claim = router.serve_messages_by(topic, client.clone(), options);
        claim.unwrap()
    });
    store(&router, "a").put(1, "One".to_owned()).wait().unwrap();
    assert!(store(&router, "b").get(1).wait().unwrap().is_some());
    assert!(direct.get(1).wait().unwrap().is_some());
    assert_eq!(router.servers().len(), 2);
    drop(claims);
    let error = store(&router, "a").get(1).wait().unwrap_err();
    assert!(matches!(error, RequestError::NoServer(StoreGet { key: 1 })));
}

#[test]
fn a_handler_may_see_the_topic_of_a_message() {
    let mut store = Store::default();
    let (client, _) = thread::serve(
        move |call: Call<StoreRequest>, reply: ReplyContext<'_, _, _>| {
            assert_eq!(call.topic.as_str(), "first");
            store.handle(call.message, reply)
        },
    );
    let router = Router::new();
    let claim = router.serve_by("first", client, ServeOptions::new());
    let _claim = claim.unwrap();
    assert_eq!(self::store(&router, "first").get(9).wait().unwrap(), None);
}

#[test]
fn a_message_that_is_not_executed_comes_back_as_the_callers() {
    let router = Router::new();
    let error = router.ask("first", put(7)).wait().unwrap_err();
    assert!(matches!(
        &error,
        RequestError::NoServer(StorePut { key: 7, .. })
    ));
    assert_eq!(error.executed(), Executed::No);
    assert_eq!(error.into_message().unwrap().value, "One");
    let error = router.ask("no/*/topic", put(7)).wait().unwrap_err();
    assert!(matches!(
        error,
        RequestError::NotMade(StorePut { key: 7, .. }, Error::Topic(_))
    ));
    assert!(TopicClient::<StoreRequest>::new(&router, "*").is_err());

    let (server, client) = ump::bounded::<StoreRequest, StoreReply, StoreRefusal>(1).unwrap();
    let claim = router.serve_messages_by("first", client, ServeOptions::new());
    let _claim = claim.unwrap();
    let mut queued = Box::pin(std::future::IntoFuture::into_future(
        router.ask("first", put(1)),
    ));
    assert!(poll_once(&mut queued).is_pending());
    let full = router.ask("first", put(2)).if_room().wait().unwrap_err();
    assert!(matches!(
        full,
        RequestError::Ended(ump::RequestError::Full(StorePut { key: 2, .. }))
    ));
    let late = router
        .ask("first", put(3))
        .timeout(Duration::from_millis(1));
    let late = late.wait().unwrap_err();
    assert!(late.is_timeout());
    assert_eq!(late.into_message().unwrap().key, 3);
    drop(server);
    let lost = tests::block_on(queued).unwrap_err();
    assert!(lost.is_server_lost());
    assert_eq!(lost.into_message().unwrap().key, 1);

    router.close();
    let error = router.ask("second", put(7)).wait().unwrap_err();
    assert!(matches!(error, RequestError::NotMade(_, Error::Closed)));
}

#[test]
fn a_dropped_request_is_never_executed() {
    let router = Router::new();
    let (server, client) = ump::channel::<StoreRequest, StoreReply, StoreRefusal>();
    let claim = router.serve_messages_by("first", client, ServeOptions::new());
    let _claim = claim.unwrap();
    let store = store(&router, "first");
    let mut asked = Box::pin(std::future::IntoFuture::into_future(store.get(1)));
    assert!(poll_once(&mut asked).is_pending());
    assert_eq!(server.len(), 1);
    drop(asked);
    assert!(server.is_empty());
}

#[test]
fn a_request_waits_for_a_service_and_follows_a_standby() {
    let router = Router::new();
    let waiting = store(&router, "first").get(1).wait_for_server();
    let mut waiting = Box::pin(std::future::IntoFuture::into_future(waiting));
    assert!(poll_once(&mut waiting).is_pending());
    let (server, client) = ump::channel::<StoreRequest, StoreReply, StoreRefusal>();
    let first = router.serve_messages_by("first", client, ServeOptions::new());
    let first = first.unwrap();
    assert!(poll_once(&mut waiting).is_pending());
    assert_eq!(server.len(), 1);
    // The first server leaves, and a service follows.
    let (client, _) = thread::serve(Store::default());
    let second = router.serve_messages_by("first", client, ServeOptions::new().standby());
    let second = second.unwrap();
    assert!(second.is_standing_by());
    drop(server);
    assert_eq!(tests::block_on(waiting).unwrap(), None);
    assert!(second.is_serving() && !first.is_serving());
}

#[test]
fn a_panic_and_a_mismatch_are_told_by_topic() {
    let router = Router::new();
    let _claim = serve(&router, "first");
    let error = store(&router, "first").panic().wait().unwrap_err();
    let RequestError::Ended(ump::RequestError::NoReply(NoReply::Panicked(message))) = error else {
        panic!("{error:?}")
    };
    assert_eq!(message.as_str(), Some("as asked, with 1 values"));

    let (server, client) = ump::channel::<StoreRequest, StoreReply, StoreRefusal>();
    let claim = router.serve_messages_by("second", client, ServeOptions::new());
    let _claim = claim.unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| server.wait().unwrap().1.reply(StoreReply::Ticks(1)));
        let error = router
            .ask("second", StoreGet { key: 1 })
            .wait()
            .unwrap_err();
        assert!(matches!(
            error,
            RequestError::Ended(ump::RequestError::NoReply(NoReply::Mismatched))
        ));
    });
}

#[test]
fn a_service_on_a_task_serves_a_topic() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _entered = runtime.enter();
    let (client, _) = task::serve(Device::default());
    let router = Router::new();
    let claim = router.serve_messages_by("here", client, ServeOptions::new());
    let _claim = claim.unwrap();
    let device = DeviceTopic(TopicClient::new(&router, "here").unwrap());
    assert_eq!(device.write(b"ab".to_vec()).wait().unwrap(), 2);
    let empty = DeviceWrite { bytes: Vec::new() };
    let error = router.ask("here", empty).wait().unwrap_err();
    let kind = error.into_apperr().unwrap().kind();
    assert_eq!(kind, std::io::ErrorKind::InvalidInput);
    runtime.block_on(async {
        let cut = router
            .ask("here", DeviceWait)
            .timeout(Duration::from_millis(5));
        let cut = cut.await.unwrap_err();
        assert!(cut.is_timeout());
        // On a busy machine it may not be taken in time.
        let seen = u32::from(cut.executed() != Executed::No);
        assert_eq!(device.cancelled().await.unwrap(), seen);
    });
}

/// Tells who called it, and keeps what it is given.
struct Who<T>(Option<T>);

#[ump_server::service(topic = concat!("wh", "o"))]
impl<T> Who<T> {
    fn called(&mut self, value: T, reply: ReplyTo<'_, Self, &'static Location<'static>>) {
        self.0 = Some(value);
        let caller = reply.caller();
        let _ = reply.reply(caller);
    }

    fn take(&mut self) -> Option<T> {
        self.0.take()
    }
}

#[test]
fn a_generic_service_serves_a_topic_and_sees_its_caller() {
    let router = Router::new();
    let (client, _) = thread::serve(Who::<u8>(None));
    let claim = router.serve_messages_by("first", client, ServeOptions::new());
    let _claim = claim.unwrap();
    let who = WhoTopic::<u8>::from(TopicClient::new(&router, "first").unwrap());
    let caller = who.called(3).wait().unwrap();
    assert_eq!((caller.file(), caller.line()), (file!(), line!() - 1));
    assert_eq!(who.take().wait().unwrap(), Some(3));
}
