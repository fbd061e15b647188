//! Two routers with a link between them, and the types that travel.

use std::{
    path::PathBuf,
    process::Child,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use ump_router::{
    Change, ChangeKind, Message, RecvError, RequestMessage, Router, Subscription,
    SubscriptionOwner, SubscriptionStatus,
    link::sockets::{Link, Listener},
};

/// No test waits longer for what has to come.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// Another process, which ends with the test.
pub(crate) struct KillOnDrop(pub(crate) Child);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Price(pub(crate) u64);

impl Message for Price {
    const PREFIX: &str = "price";
}

/// Has the prefix of [`Price`] and another form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct OtherPrice {
    pub(crate) text: String,
}

impl Message for OtherPrice {
    const PREFIX: &str = "price";
}

/// It is not carried.
#[derive(Debug)]
pub(crate) struct Secret;

impl Message for Secret {
    const PREFIX: &str = "secret";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Double(pub(crate) u64);

impl RequestMessage for Double {
    type Reply = u64;
    type Error = String;
    const PREFIX: &str = "double";
}

/// The temporary path of a unix socket.
pub(crate) struct SocketPath(pub(crate) PathBuf);

impl SocketPath {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ump-links-{}-{number}.sock", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    pub(crate) fn address(&self) -> String {
        format!("unix:{}", self.0.display())
    }
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

pub(crate) struct Pair {
    pub(crate) leaf: Router,
    pub(crate) hub: Router,
    pub(crate) link: Link,
    pub(crate) listener: Listener,
    _path: SocketPath,
}

impl Pair {
    pub(crate) fn new(is_tcp: bool) -> Self {
        let path = SocketPath::new();
        let (hub, leaf) = (carrying(), carrying());
        let address = if is_tcp {
            "tcp:127.0.0.1:0".to_owned()
        } else {
            path.address()
        };
        let listener = hub.listen(&address).unwrap();
        let link = leaf.connect(listener.address()).unwrap();
        assert!(link.opened().timeout(LONG).wait());
        Self {
            leaf,
            hub,
            link,
            listener,
            _path: path,
        }
    }
}

/// A router whose links a thread drives. If `LINKS_ON_TOKIO` is set, a task does.
pub(crate) fn router() -> Router {
    driven(Router::new())
}

#[cfg(feature = "tokio")]
fn driven(router: Router) -> Router {
    if std::env::var_os("LINKS_ON_TOKIO").is_some() {
        router.drive_links_on(runtime()).unwrap();
    }
    router
}

#[cfg(not(feature = "tokio"))]
fn driven(router: Router) -> Router {
    router
}

/// The runtime of all links that tasks drive. Tests block their own threads.
#[cfg(feature = "tokio")]
pub(crate) fn runtime() -> &'static tokio::runtime::Handle {
    static RUNTIME: std::sync::LazyLock<tokio::runtime::Runtime> = std::sync::LazyLock::new(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2).enable_io().build().unwrap()
    });
    RUNTIME.handle()
}

pub(crate) fn carrying() -> Router {
    carrying_with(Router::new())
}

pub(crate) fn carrying_with(router: Router) -> Router {
    let router = driven(router);
    router.carry::<Price>().unwrap();
    router.carry_requests::<Double>().unwrap();
    router
}

/// Runs a test with a unix socket and with TCP, and from either end.
pub(crate) fn on_each(test: impl Fn(&Router, &Router, &Pair)) {
    for is_tcp in [false, true] {
        let pair = Pair::new(is_tcp);
        test(&pair.leaf, &pair.hub, &pair);
        let pair = Pair::new(is_tcp);
        test(&pair.hub, &pair.leaf, &pair);
    }
}

/// Waits until a router knows of a subscription.
pub(crate) fn await_subscriber(router: &Router, topic: &str) {
    let mut watch = router.watch_subscribers::<Price>(topic).unwrap();
    let changed = watch.changed().wait_timeout(LONG).unwrap();
    assert_eq!(changed, Some(true), "a subscriber of {topic}");
}

/// Waits until a link has told a router of a subscription with this full pattern.
pub(crate) fn await_told(router: &Router, pattern: &str) {
    let mut changes = router.subscribe::<Change>("**").unwrap();
    loop {
        let all = router.subscriptions();
        let is_of_link =
            |one: &&SubscriptionStatus| matches!(one.owner, SubscriptionOwner::Link(_));
        let mut told = all.iter().filter(is_of_link);
        if told.any(|one| one.patterns.iter().any(|own| own.as_str() == pattern)) {
            return;
        }
        let change = changes.recv().wait_timeout(LONG).unwrap();
        assert!(change.is_some(), "{pattern} was not told: {all:?}");
    }
}

/// Waits until a router knows of no subscription.
pub(crate) fn await_no_subscriber(router: &Router, topic: &str) {
    let mut watch = router.watch_subscribers::<Price>(topic).unwrap();
    while watch.has_subscribers() {
        watch
            .changed()
            .wait_timeout(LONG)
            .unwrap()
            .expect("a change");
    }
}

/// Waits until a router knows of a server.
pub(crate) fn await_server(router: &Router, topic: &str) {
    let mut changes = router
        .subscribe::<Change>(format!("double/{topic}"))
        .unwrap();
    if router.pin::<Double>(topic).unwrap().is_some() {
        return;
    }
    loop {
        let change = changes.recv().wait_timeout(LONG).unwrap();
        if change.expect("a change").kind() == ChangeKind::Served {
            return;
        }
    }
}

pub(crate) fn publish(router: &Router, topic: &str, price: u64) {
    router.publish(topic, Price(price)).wait().unwrap();
}

/// Receives the next message, or what there is instead.
pub(crate) fn next(subscription: &mut Subscription<Price>) -> Result<u64, RecvError> {
    let received = subscription.recv().wait_timeout(LONG)?;
    Ok(received.expect("a message in time").0)
}

/// Serves a topic until the router is closed: doubles, and refuses zero.
pub(crate) fn serve(router: &Router, topic: &str) -> std::thread::JoinHandle<u64> {
    let server = router.serve::<Double>(topic).unwrap();
    std::thread::spawn(move || {
        let mut served = 0;
        for (call, rctx) in &server {
            served += 1;
            let Double(number) = call.message;
            let answer = if number == 0 {
                Err("zero".to_owned())
            } else {
                Ok(2 * number)
            };
            let _ = rctx.answer(answer);
        }
        served
    })
}
