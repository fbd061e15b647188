//! Models of eight actors and more. In each of them every request ends exactly once, with the outcome that its caller and its handler agree
//! upon; every message and every reply is dropped once; the books add up; and nobody sleeps for ever (shuttle finds that).
#![cfg(shuttle)]

use std::sync::Arc;

use shuttle_tests::{
    Client, Server,
    actor::{Actor, join},
    book::{Book, End, Ends},
    caller::{self, Caller, Way},
    chance::{any, below},
    explore,
    worker::{self, Look, work},
};
use ump::Builder;

/// Unbounded, as most are; or with so much room.
const CAPACITIES: &[usize] = &[usize::MAX, 1, 2];
const FOR_EVER: usize = usize::MAX;

fn channel(capacity: usize) -> (Arc<Server>, Client) {
    let (server, client) = Builder::new().capacity(capacity).build().unwrap();
    (Arc::new(server), client)
}

/// So many callers, who each ask so often with a client of its own, in ways like these.
fn callers(
    count: usize,
    client: &Client,
    book: &Book,
    ways: &'static [Way],
    times: usize,
) -> Vec<Actor<()>> {
    let call = |number| {
        let caller = Caller {
            number,
            book: book.clone(),
        };
        let client = client.clone();
        Actor::nth(number, async move {
            caller.ask_times(&client, ways, times).await;
        })
    };
    (0..count).map(call).collect()
}

fn workers(count: usize, server: &Arc<Server>, looks: &'static [Look]) -> Vec<Actor<()>> {
    let employ = |n| Actor::nth(n, work(Arc::clone(server), looks, FOR_EVER));
    (0..count).map(employ).collect()
}

/// Ends a model whose server stays till the last client has gone.
fn end(callers: Vec<Actor<()>>, workers: Vec<Actor<()>>, server: &Server, book: &Book) -> Ends {
    join(callers);
    join(workers);
    book.close(server.stats())
}

#[test]
fn whoever_asks_one_worker_in_whatever_way_gets_its_outcome_in_order() {
    explore(
        &[
            End::Replied,
            End::Failed,
            End::NoReply,
            End::TimeoutQueued,
            End::TimeoutTaken,
            End::Left,
            End::Posted,
            End::Unsent,
        ],
        || {
            let book = Book::default();
            let (server, client) = channel(usize::MAX);
            let workers = workers(1, &server, worker::ANY);
            let callers = callers(7, &client, &book, caller::ANY, 3);
            drop(client);
            let ends = end(callers, workers, &server, &book);
            book.assert_in_order();
            ends
        },
    );
}

#[test]
fn the_same_where_there_is_little_room() {
    explore(
        &[
            End::Replied,
            End::Failed,
            End::NoReply,
            End::TimeoutQueued,
            End::TimeoutTaken,
            End::Full,
            End::Left,
            End::Posted,
            End::Unsent,
        ],
        || {
            let book = Book::default();
            let (server, client) = channel(1 + below(2));
            let workers = workers(1, &server, worker::ANY);
            let callers = callers(7, &client, &book, caller::ANY, 3);
            drop(client);
            let ends = end(callers, workers, &server, &book);
            book.assert_in_order();
            ends
        },
    );
}

#[test]
fn several_workers_share_what_is_asked() {
    explore(&[End::Replied, End::Left, End::TimeoutQueued], || {
        let book = Book::default();
        let (server, client) = channel(any(CAPACITIES));
        let workers = workers(4, &server, worker::ANY);
        let callers = callers(4, &client, &book, caller::ANY, 4);
        drop(client);
        end(callers, workers, &server, &book)
    });
}

#[test]
fn workers_that_leave_one_by_one_take_the_server_along_and_tell_everybody() {
    explore(
        &[End::Replied, End::ServerDisappeared, End::Left, End::Posted],
        || {
            let book = Book::default();
            let (server, client) = channel(any(CAPACITIES));
            let workers: Vec<_> = (0..3)
                .map(|n| Actor::nth(n, work(Arc::clone(&server), worker::ANY, 1 + below(3))))
                .collect();
            drop(server);
            let callers: Vec<_> = (0..5)
                .map(|number| {
                    let caller = Caller {
                        number,
                        book: book.clone(),
                    };
                    let client = client.clone();
                    Actor::nth(number, async move {
                        caller.ask_until_gone(&client, caller::ANY).await;
                    })
                })
                .collect();
            join(workers);
            join(callers);
            book.close(client.stats())
        },
    );
}
