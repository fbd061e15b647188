//! The futures of servers, of contexts and of the clock.

use std::{cell::RefCell, future::poll_fn, pin::Pin, rc::Rc, time::Instant};

use futures_core::Stream;
use tests::LONG;
use ump::{Clock, ReplyContext, Server, channel};

use super::{Ends, Entry, Made, ends, entry, made, polled};

pub(super) fn servers() -> Vec<Entry> {
    // The future waits on a server without requests, and is ready with one more request each time.
    let received = |name, receive: fn(Rc<Server<u32, u32, ()>>) -> Made| {
        let ((idle, nobody), (busy, client)) = (ends(), ends());
        let waiting = move || {
            let _kept = &nobody;
            receive(Rc::clone(&idle))
        };
        entry(name, waiting, move || {
            client.post(1).wait().unwrap();
            receive(Rc::clone(&busy))
        })
    };
    let polled_server = |name, poll: fn(Rc<Server<u32, u32, ()>>) -> Made| Entry {
        keeps_latest: true,
        ..received(name, poll)
    };
    let owned = || {
        let (server, client): Ends = channel();
        (Rc::new(RefCell::new(server)), client)
    };
    let ((idle, nobody), (busy, client)) = (owned(), owned());
    let stream = entry(
        "ump::Server",
        move || {
            let _kept = &nobody;
            polled(&idle, Stream::poll_next)
        },
        move || {
            client.post(1).wait().unwrap();
            polled(&busy, Stream::poll_next)
        },
    );
    vec![
        received("ump::async_wait", |server| {
            made(async move { server.async_wait().await.map(drop) })
        }),
        received("ump::async_wait_many", |server| {
            made(async move { server.async_wait_many(&mut Vec::new(), 1).await.map(drop) })
        }),
        received("ump::Requests", |server| {
            made(async move {
                let mut requests = server.stream();
                poll_fn(|cx| Pin::new(&mut requests).poll_next(cx)).await;
            })
        }),
        polled_server("ump::poll_wait", |server| {
            made(poll_fn(move |cx| server.poll_wait(cx).map(drop)))
        }),
        Entry {
            keeps_latest: true,
            ..stream
        },
    ]
}

pub(super) fn contexts_and_clocks() -> Vec<Entry> {
    let taken = || {
        let (server, client): Ends = channel();
        let request = client
            .request(1)
            .timeout(60 * LONG)
            .submit()
            .wait()
            .unwrap();
        let (_, rctx) = server.wait().unwrap();
        (Rc::new(RefCell::new(rctx)), request)
    };
    let (rctx, caller) = taken();
    let cancelled = |rctx: &Rc<RefCell<ReplyContext<u32, ()>>>| {
        let rctx = Rc::clone(rctx);
        made(async move {
            let mut rctx = rctx.borrow_mut();
            rctx.cancelled().await;
        })
    };
    let system = Clock::system();
    vec![
        entry(
            "ump::Cancelled",
            move || {
                let _kept = &caller;
                cancelled(&rctx)
            },
            move || cancelled(&taken().0),
        ),
        entry(
            "ump::Sleep",
            {
                let system = system.clone();
                move || made(system.sleep_until(Instant::now() + LONG))
            },
            move || made(system.sleep_until(Instant::now())),
        ),
    ]
}
