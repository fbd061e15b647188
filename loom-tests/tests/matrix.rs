//! The matrix: each way to send a request against each way to serve, and against each way in which
//! a request can end.
//!
//! Each cell asserts that the request ends exactly once, in an outcome that fits what the server
//! did; that message, reply and error are dropped exactly once; and that the statistics are
//! settled. Loom itself finds a thread that sleeps for ever, and a leak.
//!
//! These are the guarantees at the top of `ump/src/lib.rs`. The models in the other files name the
//! invariants behind them.
#![cfg(loom)]

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use loom::thread;
use loom_tests::{
    Census, Counted, ask,
    end::{Answerer, Asker, Deed, Ended, assert_booked},
    explore_with_less,
    serve::{self, Handle},
};
use ump::Builder;

/// How long a client stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stay {
    ToTheEnd,
    UntilItIsLate,
    /// It leaves before it knows the outcome, or does not wait at all.
    Leaves,
}

impl Stay {
    /// Returns the endings that must occur in some interleaving.
    fn sees(self, deed: Deed) -> Vec<Ended> {
        match (self, deed) {
            (Self::ToTheEnd, _) => vec![deed.tells()],
            (Self::UntilItIsLate, Deed::Goes) => vec![deed.tells(), Ended::LateQueued],
            (Self::UntilItIsLate, _) => vec![deed.tells(), Ended::LateQueued, Ended::LateTaken],
            (Self::Leaves, _) => vec![Ended::Left],
        }
    }
}

/// One way to send a request, and how long its client stays.
type Row = (Stay, fn(&Asker, Counted) -> Ended);

fn cell(capacity: usize, (stay, ask): Row, serve: fn(&Answerer, Handle<'_>), deed: Deed) {
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let note = Arc::clone(&seen);
    // This cell has a third thread.
    let less = usize::from(deed == Deed::RepliesElsewhere);
    explore_with_less(less, move || {
        let census = Census::default();
        let (server, client) = Builder::new().capacity(capacity).build().unwrap();
        let server = thread::spawn(move || {
            let mut taken = 0;
            if deed == Deed::Goes {
                return (taken, None);
            }
            serve(&server, &mut |(message, rctx)| {
                taken += 1;
                deed.handle(message, rctx);
            });
            (taken, Some(server.stats()))
        });
        let ended = ask(&client, census.named(1));
        let weak = client.weak();
        let (taken, stats) = if deed == Deed::Goes {
            let (taken, _) = server.join().unwrap();
            let stats = client.stats();
            drop(client);
            (taken, stats)
        } else {
            drop(client);
            let (taken, stats) = server.join().unwrap();
            (taken, stats.unwrap())
        };
        assert!(
            deed.allows(ended, taken),
            "{deed:?}, {taken} taken: {ended:?}"
        );
        assert_booked(stats, [ended]);
        assert!(weak.upgrade().is_none());
        assert_eq!(census.alive(), 0, "{ended:?}");
        note.lock().unwrap().insert(ended);
    });
    let seen = seen.lock().unwrap();
    let must = stay.sees(deed);
    assert!(must.iter().all(|ended| seen.contains(ended)), "{seen:?}");
}

const UNBOUNDED: usize = usize::MAX;

macro_rules! matrix {
    ($($ask:ident: $stay:ident,)*) => { $(
        mod $ask {
            use super::*;

            const ROW: Row = (Stay::$stay, ask::$ask);

            fn served(serve: fn(&Answerer, Handle<'_>)) {
                cell(UNBOUNDED, ROW, serve, Deed::Replies);
            }

            fn ended(deed: Deed) {
                cell(UNBOUNDED, ROW, serve::waiting, deed);
            }

            fn bounded(serve: fn(&Answerer, Handle<'_>)) {
                cell(1, ROW, serve, Deed::Replies);
            }

            loom_tests::columns!();

            #[test]
            fn served_by_async_wait_with_spurious_polls() {
                served(serve::awaiting_nervously);
            }

            #[test]
            fn served_by_poll_wait_with_spurious_polls() {
                served(serve::polling_nervously);
            }
        }
    )* };
}

matrix! {
    blocking: ToTheEnd,
    awaiting: ToTheEnd,
    awaiting_nervously: ToTheEnd,
    polling_once_and_leaving: Leaves,
    polling_twice_and_leaving: Leaves,
    submitting_and_waiting: ToTheEnd,
    submitting_and_awaiting: ToTheEnd,
    submitting_and_leaving: Leaves,
    with_a_deadline: UntilItIsLate,
    awaiting_with_a_deadline: UntilItIsLate,
    urgently: ToTheEnd,
    awaiting_urgently: ToTheEnd,
    posting: Leaves,
}
