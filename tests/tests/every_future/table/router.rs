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

#[derive(Clone, Debug)]
struct Question;

impl RequestMessage for Question {
    type Reply = u32;
    type Error = ();
    const PREFIX: &str = "question";
}

type Watch = Rc<RefCell<ump_router::SubscriberWatch<Word>>>;
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
    let watch = |topic: &str| {
        let watch = router.watch_subscribers::<Word>(topic).unwrap();
        Rc::new(RefCell::new(watch))
    };
    let watches = |name, change: fn(Watch) -> Made| {
        let (unwatched, watched) = (watch("nobody"), watch("watched"));
        let router = Rc::clone(&router);
        entry(
            name,
            move || change(Rc::clone(&unwatched)),
            move || {
                drop(router.subscribe::<Word>("watched").unwrap());
                change(Rc::clone(&watched))
            },
        )
    };
    let changed = watches("ump_router::Changed", |watch| {
        made(async move { watch.borrow_mut().changed().await.map(drop) })
    });
    let poll_changed: fn(Watch) -> Made =
        |watch| polled(&watch, |of, cx| of.get_mut().poll_changed(cx));
    let poll_changed = Entry {
        keeps_latest: true,
        ..watches("ump_router::poll_changed", poll_changed)
    };
    let request_all = {
        let [asks, asking] = [(); 2].map(|()| Rc::clone(&router));
        entry(
            "ump_router::RequestAllFuture",
            move || made(asking.request_all("silent", Question)),
            move || made(asks.request_all("none/*", Question)),
        )
    };
    let answers = {
        let [asks, asking] = [(); 2].map(|()| Rc::clone(&router));
        let gathered = |router: &Router, pattern| {
            let answers = router.request_all(pattern, Question).send().unwrap();
            polled(&Rc::new(RefCell::new(answers)), Stream::poll_next)
        };
        entry(
            "ump_router::Answers",
            move || gathered(&asking, "silent"),
            move || gathered(&asks, "none/*"),
        )
    };
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
        changed,
        poll_changed,
        request_all,
        answers,
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
