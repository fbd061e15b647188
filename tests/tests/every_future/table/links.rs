//! The futures of links.

use std::{cell::RefCell, rc::Rc};

use futures_core::Stream;
use ump_router::{
    Router,
    link::sockets::{Link, LinkState, LinkWatch},
};

use super::{Entry, Made, entry, made, polled};

type Watch = Rc<RefCell<LinkWatch>>;

/// Returns a link that waits for a time that never comes.
fn waiting() -> (Router, Link, Watch) {
    let router = Router::with_clock(ump::ManualClock::new().clock());
    let link = router.connect("unix:/nowhere/ump").unwrap();
    let mut watch = link.watch();
    let is_waiting = |state: &LinkState| matches!(state, LinkState::Waiting { .. });
    while !watch.changed().wait().as_ref().is_some_and(is_waiting) {}
    (router, link, Rc::new(RefCell::new(watch)))
}

pub(super) fn links() -> Vec<Entry> {
    let watches = |name, change: fn(Watch) -> Made| {
        let (router, link, idle) = waiting();
        let (closed, other, busy) = waiting();
        other.close().wait();
        closed.close();
        entry(
            name,
            move || {
                let _kept = (&router, &link);
                change(Rc::clone(&idle))
            },
            // After the last state it is ready, and always.
            move || change(Rc::clone(&busy)),
        )
    };
    let stream: fn(Watch) -> Made = |watch| polled(&watch, Stream::poll_next);
    vec![
        watches("ump_router::LinkChanged", |watch| {
            made(async move { watch.borrow_mut().changed().await.map(drop) })
        }),
        Entry {
            keeps_latest: true,
            ..watches("ump_router::LinkWatch", stream)
        },
    ]
}
