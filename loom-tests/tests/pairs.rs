//! Two clients at once, each on its own thread: selected pairs of ways to send against each way to
//! serve, and against each way in which a request can end.
//!
//! Each cell asserts for both clients what a cell of `matrix.rs` asserts. It also asserts that each
//! client gets the outcome of its own request, that requests of one client in one lane are taken in
//! order, and that the statistics agree with both clients' outcomes.
#![cfg(loom)]

use loom::thread;
use loom_tests::{
    Census, Counted, ask,
    end::{Answerer, Asker, Deed, Ended, assert_booked},
    explore_with_less,
    serve::{self, Handle},
};
use ump::Builder;

/// The requests that one client sends, one after the other, in one lane.
type Asks = &'static [fn(&Asker, Counted) -> Ended];

/// Messages of the second client have names above this one.
const SECOND: u32 = 10;

fn asked(client: &Asker, asks: Asks, census: &Census, above: u32) -> Vec<(u32, Ended)> {
    (above + 1..)
        .zip(asks)
        .map(|(name, ask)| (name, ask(client, census.named(name))))
        .collect()
}

fn cell(
    less: usize,
    capacity: usize,
    (first, second): (Asks, Asks),
    serve: fn(&Answerer, Handle<'_>),
    deed: Deed,
) {
    explore_with_less(less, move || {
        let census = Census::default();
        let (server, client) = Builder::new().capacity(capacity).build().unwrap();
        let server = thread::spawn(move || {
            let mut taken = Vec::new();
            if deed == Deed::Goes {
                drop(server);
                return (taken, None);
            }
            serve(&server, &mut |(message, rctx)| {
                taken.push(message.name());
                let deed = match deed {
                    // Each reply from elsewhere needs a thread, and loom has five.
                    Deed::RepliesElsewhere if taken.len() > 1 => Deed::Replies,
                    deed => deed,
                };
                deed.handle(message, rctx);
            });
            (taken, Some(server))
        });
        let other = {
            let (client, census) = (client.clone(), census.clone());
            thread::spawn(move || asked(&client, second, &census, SECOND))
        };
        let mut told = asked(&client, first, &census, 0);
        told.extend(other.join().unwrap());

        let weak = client.weak();
        let (taken, stats) = if deed == Deed::Goes {
            let (taken, _) = server.join().unwrap();
            let stats = client.stats();
            drop(client);
            (taken, stats)
        } else {
            drop(client);
            let (taken, server) = server.join().unwrap();
            (taken, server.unwrap().stats())
        };
        for &(name, ended) in &told {
            let times = taken.iter().filter(|&&one| one == name).count();
            assert!(
                deed.allows(ended, times),
                "{deed:?}, {taken:?} taken: {ended:?}"
            );
        }
        let (these, those): (Vec<u32>, Vec<_>) = taken.iter().partition(|&&name| name < SECOND);
        assert!(these.is_sorted() && those.is_sorted(), "{taken:?}");
        assert_booked(stats, told.iter().map(|&(_, ended)| ended));
        assert!(weak.upgrade().is_none());
        assert_eq!(census.alive(), 0, "{told:?}");
    });
}

const UNBOUNDED: usize = usize::MAX;

macro_rules! pairs {
    ($($name:ident: $first:expr, $second:expr;)*) => { $(
        mod $name {
            use super::*;

            const PAIR: (Asks, Asks) = (&$first, &$second);

            fn served(serve: fn(&Answerer, Handle<'_>)) {
                cell(2, UNBOUNDED, PAIR, serve, Deed::Replies);
            }

            fn ended(deed: Deed) {
                // This ending needs one more thread.
                let less = 2 + usize::from(deed == Deed::RepliesElsewhere);
                cell(less, UNBOUNDED, PAIR, serve::waiting, deed);
            }

            fn bounded(serve: fn(&Answerer, Handle<'_>)) {
                cell(1, 1, PAIR, serve, Deed::Replies);
            }

            loom_tests::columns!();
        }
    )* };
}

pairs! {
    two_that_block: [ask::blocking], [ask::blocking];
    two_that_await: [ask::awaiting], [ask::awaiting];
    one_that_blocks_and_one_that_awaits: [ask::blocking], [ask::awaiting];
    two_that_block_one_of_them_urgently: [ask::blocking], [ask::urgently];
    two_that_await_one_of_them_urgently: [ask::awaiting], [ask::awaiting_urgently];
    one_that_blocks_and_one_that_leaves: [ask::blocking], [ask::polling_once_and_leaving];
    one_that_blocks_and_one_that_is_late: [ask::blocking], [ask::with_a_deadline];
    one_that_awaits_and_one_that_is_late: [ask::awaiting], [ask::awaiting_with_a_deadline];
    one_that_posts_and_blocks_and_one_that_awaits: [ask::posting, ask::blocking], [ask::awaiting];
    one_that_posts_and_awaits_and_one_that_posts: [ask::posting, ask::awaiting], [ask::posting];
}
