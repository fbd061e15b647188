//! Models of loops on threads: how they end, are stopped and renew their handlers, while clients
//! send requests.
//!
//! They cover what a loop adds to the channel (`ump-server/src/worker/lifecycle.rs`, `stop.rs`,
//! `join.rs`). Each request is served or refused, each join returns, and the loop does not sleep
//! through an event.
#![cfg(loom)]

use std::{ops::ControlFlow, time::Duration};

use loom_tests::explore_large;
use ump::Error;
use ump_server::{Client, Context, OnPanic, ReplyContext, Restart, Stop, thread as loops};

type Asked = Client<u32, u32, ()>;

/// Replies with `n + 1`. Ends the loop at zero.
fn add_one(n: u32, rctx: ReplyContext<'_, u32, ()>) -> ControlFlow<u32> {
    let _ = rctx.reply(n + 1);
    if n == 0 {
        ControlFlow::Break(7)
    } else {
        ControlFlow::Continue(())
    }
}

/// Sends a request now. The returned closure waits for the outcome and returns whether it was
/// served; otherwise it was refused.
fn ask(client: &Asked, n: u32) -> impl FnOnce() -> bool + use<> {
    let asked = client.req_async(n);
    move || match asked.and_then(ump::WaitReply::wait) {
        Ok(reply) => {
            assert_eq!(reply, n + 1);
            true
        }
        Err(error) => {
            assert_eq!(error, Error::ServerDisappeared);
            false
        }
    }
}

#[test]
fn it_ends_when_the_last_client_is_gone() {
    explore_large(|| {
        let (client, handle) = loops::spawn(|_| Ok(add_one)).unwrap();
        let asked = ask(&client, 1);
        drop(client);
        assert!(asked(), "what is queued is served before that");
        assert_eq!(handle.join(), Ok(None));
    });
}

#[test]
fn a_request_against_its_end_is_served_or_refused() {
    explore_large(|| {
        let (client, handle) = loops::spawn(|_| Ok(add_one)).unwrap();
        let last = ask(&client, 0);
        let too_late = ask(&client, 1);
        assert!(last());
        assert!(!too_late());
        assert_eq!(handle.join(), Ok(Some(7)));
    });
}

#[test]
fn a_request_before_a_drain_is_served() {
    explore_large(|| {
        let (client, handle) = loops::spawn(|_| Ok(add_one)).unwrap();
        let before = ask(&client, 1);
        handle.stopper().stop(Stop::Drain);
        let after = ask(&client, 1);
        assert!(before() && !after());
        assert_eq!(handle.join(), Ok(None));
    });
}

#[test]
fn a_request_before_a_refusal_is_served_or_refused() {
    explore_large(|| {
        let (client, handle) = loops::spawn(|_| Ok(add_one)).unwrap();
        let before = ask(&client, 1);
        handle.stopper().stop(Stop::Refuse);
        let after = ask(&client, 1);
        before();
        assert!(!after());
        assert_eq!(handle.join(), Ok(None));
    });
}

/// The loop sleeps and no client sends a request: only the renewal wakes it.
#[test]
fn a_renewal_is_not_slept_through() {
    explore_large(|| {
        let (made, hear) = loom::sync::mpsc::channel();
        let (client, handle) = loops::Builder::new()
            .spawn_with(move |cx: &Context<u32, u32, ()>| {
                made.send(cx.restarts()).unwrap();
                Ok(add_one)
            })
            .unwrap();
        assert_eq!(hear.recv(), Ok(0));
        assert!(handle.stopper().renew());
        assert_eq!(hear.recv(), Ok(1));
        drop(client);
        assert_eq!(handle.join(), Ok(None));
    });
}

/// The factory fails once, so the loop pauses.
#[test]
fn what_the_last_client_sent_in_a_pause_is_served() {
    explore_large(|| {
        let (refused, hear) = loom::sync::mpsc::channel();
        let restart = Restart::new().pause(Duration::ZERO, Duration::ZERO);
        let (client, handle) = loops::Builder::new()
            .on_panic(OnPanic::Restart(restart))
            .spawn_with(move |cx: &Context<u32, u32, ()>| {
                if cx.restarts() == 1 {
                    refused.send(()).unwrap();
                    Err(())
                } else {
                    Ok(add_one)
                }
            })
            .unwrap();
        assert!(handle.stopper().renew());
        hear.recv().unwrap();
        let asked = ask(&client, 1);
        drop(client);
        assert!(asked());
        assert_eq!(handle.join(), Ok(None));
    });
}
