//! Subscriptions are told before what is sent after them, and are known before what has come after
//! them.

use std::{
    future::{Future as _, IntoFuture as _},
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Wake, Waker},
};

use ump_router::{
    Bytes, Change, Router,
    link::{
        sockets::Listener,
        wire::{Codec, Message, Status},
    },
};

use crate::{
    raw::{LIMITS, Raw, subscribe, topic},
    requests::claim,
    support::{Double, Price, carrying},
};

/// Publishes when it is woken, and keeps how many subscriptions there were.
struct PublishOnWake {
    router: Router,
    matched: Mutex<Vec<usize>>,
}

impl Wake for PublishOnWake {
    fn wake(self: Arc<Self>) {
        let published = self.router.publish("x", Price(1)).wait().unwrap();
        self.matched.lock().unwrap().push(published.matched);
    }
}

impl PublishOnWake {
    fn new(router: &Router) -> Arc<Self> {
        Arc::new(Self {
            router: router.clone(),
            matched: Mutex::default(),
        })
    }

    fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }
}

/// A subscription of the peer.
fn wanted() -> Message {
    subscribe(1, "price/x", (64, 1 << 16))
}

/// Opens a link whose peer serves a topic.
fn serving(listener: &Listener, first: &[Message]) -> Raw {
    let mut peer = Raw::open(&listener.address().to_string(), LIMITS);
    peer.send(first).unwrap();
    peer.send(&[claim(), Message::Synced]).unwrap();
    loop {
        if let Message::Served { status, .. } = peer.receive().unwrap().unwrap() {
            assert_eq!(status, Status::Accepted);
            return peer;
        }
    }
}

/// Waits until the other end has handled what was sent.
fn handled(peer: &mut Raw) {
    peer.send(&[Message::Ping { token: 1 }]).unwrap();
    while !matches!(peer.receive().unwrap(), Some(Message::Pong { .. })) {}
}

#[test]
fn who_sees_a_served_topic_finds_the_subscriptions_told_before() {
    let hub = carrying();
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    let mut changes = hub.subscribe::<Change>("double/a").unwrap();
    let woken = PublishOnWake::new(&hub);
    let polled = changes.poll_recv(&mut Context::from_waker(&woken.waker()));
    assert!(polled.is_pending());
    serving(&listener, &[wanted()]);
    assert_eq!(*woken.matched.lock().unwrap(), [1]);
}

#[test]
fn who_gets_a_reply_finds_the_subscriptions_told_before() {
    let hub = carrying();
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    let mut peer = serving(&listener, &[]);
    let woken = PublishOnWake::new(&hub);
    let mut reply = pin!(hub.request("a", Double(1)).into_future());
    let polled = reply
        .as_mut()
        .poll(&mut Context::from_waker(&woken.waker()));
    assert!(polled.is_pending());
    let request = loop {
        if let Message::Request { request, .. } = peer.receive().unwrap().unwrap() {
            break request;
        }
    };
    let answer = Message::Reply {
        request,
        refused: false,
        codec: Codec::Cbor,
        payload: Bytes::from([2_u8]),
    };
    peer.send(&[wanted(), answer]).unwrap();
    handled(&mut peer);
    assert_eq!(*woken.matched.lock().unwrap(), [1]);
}

#[test]
fn who_receives_a_message_finds_the_subscriptions_told_before() {
    let hub = carrying();
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    let mut peer = serving(&listener, &[]);
    let mut prices = hub.subscribe::<Price>("y").unwrap();
    let id = loop {
        if let Message::Subscribe { id, .. } = peer.receive().unwrap().unwrap() {
            break id;
        }
    };
    let woken = PublishOnWake::new(&hub);
    let polled = prices.poll_recv(&mut Context::from_waker(&woken.waker()));
    assert!(polled.is_pending());
    let message = Message::Publish {
        topic: 0,
        retain: false,
        retained: false,
        codec: Codec::Cbor,
        to: vec![id],
        payload: Bytes::from([5_u8]),
    };
    peer.send(&[wanted(), topic(0, "price/y"), message])
        .unwrap();
    handled(&mut peer);
    assert_eq!(*woken.matched.lock().unwrap(), [1]);
}

/// Subscribes when it is woken, and then makes a request and publishes.
struct AskOnWake {
    router: Router,
    kept: Mutex<Option<Box<dyn Send>>>,
}

impl Wake for AskOnWake {
    fn wake(self: Arc<Self>) {
        let subscription = self.router.subscribe::<Price>("y").unwrap();
        let mut request = Box::pin(self.router.request("a", Double(1)).into_future());
        let polled = request
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
        self.router.publish("x", Price(1)).wait().unwrap();
        *self.kept.lock().unwrap() = Some(Box::new((subscription, request)));
    }
}

/// The waker runs while the loop handles what the peer has sent: the subscription and the request
/// are there when the loop goes on.
#[test]
fn what_a_thread_sends_comes_after_its_subscriptions() {
    let hub = carrying();
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    let mut changes = hub.subscribe::<Change>("double/a").unwrap();
    let woken = Arc::new(AskOnWake {
        router: hub.clone(),
        kept: Mutex::default(),
    });
    let waker = Waker::from(Arc::clone(&woken));
    let polled = changes.poll_recv(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    let mut peer = Raw::open(&listener.address().to_string(), LIMITS);
    peer.send(&[wanted(), claim(), Message::Synced]).unwrap();
    let mut received = Vec::new();
    while received.len() < 3 {
        match peer.receive().unwrap().unwrap() {
            Message::Subscribe { .. } => received.push("subscribe"),
            Message::Request { .. } => received.push("request"),
            Message::Publish { .. } => received.push("publish"),
            _ => {}
        }
    }
    assert_eq!(received[0], "subscribe", "{received:?}");
    drop(woken.kept.lock().unwrap().take());
}
