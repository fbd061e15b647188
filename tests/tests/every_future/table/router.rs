//! The futures of the router.

use std::{cell::RefCell, future::IntoFuture, rc::Rc};

use futures_core::Stream;
use tests::LONG;
use ump_router::{Message, RequestMessage, Router, SubscribeOptions, WhenFull};

use super::{Entry, Made, entry, made, polled};

#[derive(Debug)]
struct Word;

impl Message for Word {
    const PREFIX: &str = "word";
}

#[derive(Debug)]
struct Question;

impl RequestMessage for Question {
    type Reply = u32;
    type Error = ();
    const PREFIX: &str = "question";
}

type Subscription = Rc<RefCell<ump_router::Subscription<Word>>>;

pub(super) fn router() -> Vec<Entry> {
    let router = Rc::new(Router::new());
    let subscribed = |topic: &str| {
        let subscription = router.subscribe::<Word>(topic).unwrap();
        Rc::new(RefCell::new(subscription))
    };
    let words = Rc::clone(&router);
    let publish = move || {
        let _ = words.publish("busy", Word).wait();
    };
    let receives = |name, receive: fn(Subscription) -> Made| {
        let (idle, busy, publish) = (subscribed("idle"), subscribed("busy"), publish.clone());
        entry(
            name,
            move || receive(Rc::clone(&idle)),
            move || {
                publish();
                receive(Rc::clone(&busy))
            },
        )
    };
    let stream: fn(Subscription) -> Made = |subscription| polled(&subscription, Stream::poll_next);
    let poll_recv: fn(Subscription) -> Made =
        |subscription| polled(&subscription, |of, cx| of.get_mut().poll_recv(cx));
    let recv = receives("ump_router::Recv", |subscription| {
        made(async move { subscription.borrow_mut().recv().await.map(drop) })
    });
    let full = SubscribeOptions::new()
        .capacity(1)
        .when_full(WhenFull::Block(LONG));
    let full = router.subscribe_with::<Word>("full", full).unwrap();
    router.publish("full", Word).wait().unwrap();
    let (publishes, publishing) = (Rc::clone(&router), Rc::clone(&router));
    let (asks, asking) = (Rc::clone(&router), Rc::clone(&router));
    let silent = router.serve::<Question>("silent").unwrap();
    let (idle, busy) = (
        router.serve::<Question>("idle").unwrap(),
        router.serve::<Question>("answers").unwrap(),
    );
    let (idle, busy) = (Rc::new(RefCell::new(idle)), Rc::new(RefCell::new(busy)));
    let requests = Rc::clone(&router);
    let mut asked = Vec::new();
    vec![
        Entry {
            keeps_latest: true,
            ..receives("ump_router::Subscription", stream)
        },
        Entry {
            keeps_latest: true,
            ..receives("ump_router::poll_recv", poll_recv)
        },
        recv,
        entry(
            "ump_router::PublishFuture",
            move || {
                let _kept = &full;
                made(publishing.publish("full", Word))
            },
            move || made(publishes.publish("nobody", Word)),
        ),
        entry(
            "ump_router::RequestFuture",
            {
                let mut times = 0;
                move || {
                    let _kept = &silent;
                    times += 1;
                    // The futures alternate: one waits for a reply, the next for a server.
                    match times % 2 {
                        0 => made(asking.request("silent", Question)),
                        _ => made(asking.request("none", Question).wait_for_server()),
                    }
                }
            },
            move || made(asks.request("none", Question)),
        ),
        Entry {
            keeps_latest: true,
            ..entry(
                "ump_router::Server",
                move || polled(&idle, Stream::poll_next),
                move || {
                    let mut request = Box::pin(requests.request("answers", Question).into_future());
                    let _ = tests::poll_once(&mut request);
                    asked.push(request);
                    polled(&busy, Stream::poll_next)
                },
            )
        },
    ]
}
