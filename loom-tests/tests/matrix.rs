//! The matrix: each way of asking against each way of serving, and against each way in which a request can end.
//!
//! Each cell asserts that the request ends exactly once and in an outcome that fits what the server did, that message, reply and error are
//! dropped exactly once, that the books are closed, and (loom finds that) that nobody sleeps for ever and nothing leaks.
//!
//! These are the promises at the top of `ump/src/lib.rs`; the invariants behind them are named by the models in the other files.
#![cfg(loom)]

use loom::thread;
use loom_tests::{
    Census, Counted, ask, assert_settled,
    end::{Answerer, Asker, Deed, Ended},
    explore,
    serve::{self, Handle},
};
use ump::Builder;

fn cell(
    capacity: usize,
    ask: fn(&Asker, Counted) -> Ended,
    serve: fn(&Answerer, Handle<'_>),
    deed: Deed,
) {
    explore(move || {
        let census = Census::default();
        let (server, client) = Builder::new().capacity(capacity).build().unwrap();
        let server = thread::spawn(move || {
            let mut taken = 0;
            if deed != Deed::Goes {
                serve(&server, &mut |(message, rctx)| {
                    taken += 1;
                    deed.handle(message, rctx);
                });
            }
            drop(server);
            taken
        });
        let ended = ask(&client, census.named(1));
        let weak = client.weak();
        drop(client);
        let taken = server.join().unwrap();
        assert!(
            deed.allows(ended, taken),
            "{deed:?}, {taken} taken: {ended:?}"
        );
        assert!(weak.upgrade().is_none());
        assert_eq!(census.alive(), 0, "{ended:?}");
    });
}

/// The books are looked at by the server, after the end.
fn books(ask: fn(&Asker, Counted) -> Ended) {
    explore(move || {
        let census = Census::default();
        let (server, client) = ump::channel();
        let server = thread::spawn(move || {
            serve::waiting(&server, &mut |(message, rctx)| {
                Deed::Replies.handle(message, rctx);
            });
            server
        });
        let ended = ask(&client, census.named(1));
        drop(client);
        let stats = server.join().unwrap().stats();
        assert_settled(stats);
        assert_eq!(stats.accepted, 1, "{stats:?}");
        match ended {
            Ended::Replied => assert_eq!(stats.replied, 1, "{stats:?}"),
            Ended::Left => {
                assert_eq!(
                    stats.replied + stats.cancelled_queued + stats.cancelled_taken,
                    1
                );
            }
            Ended::LateQueued => assert_eq!(stats.timeout_queued, 1, "{stats:?}"),
            Ended::LateTaken => assert_eq!(stats.timeout_taken, 1, "{stats:?}"),
            Ended::Failed | Ended::NoReply | Ended::Refused => unreachable!("it replies"),
        }
        assert_eq!(census.alive(), 0);
    });
}

const UNBOUNDED: usize = usize::MAX;

macro_rules! matrix {
    ($($ask:ident),*) => { $(
        mod $ask {
            use super::*;

            fn served(serve: fn(&Answerer, Handle<'_>)) {
                cell(UNBOUNDED, ask::$ask, serve, Deed::Replies);
            }

            fn ended(deed: Deed) {
                cell(UNBOUNDED, ask::$ask, serve::waiting, deed);
            }

            fn bounded(serve: fn(&Answerer, Handle<'_>)) {
                cell(1, ask::$ask, serve, Deed::Replies);
            }

            loom_tests::columns!();

            #[test]
            fn served_by_one_who_awaits_nervously() {
                served(serve::awaiting_nervously);
            }

            #[test]
            fn served_by_one_who_polls_nervously() {
                served(serve::polling_nervously);
            }

            #[test]
            fn booked() {
                books(ask::$ask);
            }
        }
    )* };
}

matrix!(
    blocking,
    awaiting,
    awaiting_nervously,
    polling_once_and_leaving,
    polling_twice_and_leaving,
    submitting_and_waiting,
    submitting_and_awaiting,
    submitting_and_leaving,
    with_a_deadline,
    awaiting_with_a_deadline,
    urgently,
    awaiting_urgently,
    posting
);
