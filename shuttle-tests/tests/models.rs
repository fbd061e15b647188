//! Models of eight actors and more. In each of them every request ends exactly once, with the outcome that its caller and its handler agree
//! upon; every message and every reply is dropped once; the books add up; and nobody sleeps for ever (shuttle finds that).
#![cfg(shuttle)]

use std::sync::Arc;

use shuttle_tests::{
    Client, Server,
    actor::{Actor, join},
    book::{Book, End, Ends},
    caller::{self, Caller, Way},
    chance::{any, below, one_in},
    explore,
    quarantine::Quarantine,
    worker::{self, Look, let_go, pass_by, refuse, reply, work},
};
use ump::Builder;

#[global_allocator]
static ALLOCATOR: Quarantine = Quarantine;

/// Unbounded, as most are; or with so much room.
const CAPACITIES: &[usize] = &[usize::MAX, 1, 2];
const FOR_EVER: usize = usize::MAX;

/// What one sees of most models.
const USUAL: &[End] = &[
    End::Replied,
    End::Failed,
    End::NoReply,
    End::TimeoutQueued,
    End::TimeoutTaken,
    End::Left,
    End::Posted,
    End::Unsent,
];

fn channel(capacity: usize) -> (Arc<Server>, Client) {
    let (server, client) = Builder::new().capacity(capacity).build().unwrap();
    (Arc::new(server), client)
}

/// Callers of these numbers, who each ask so often with a client of its own, in ways like these.
fn callers(
    numbers: impl Iterator<Item = usize>,
    client: &Client,
    book: &Book,
    ways: &'static [Way],
    times: usize,
) -> Vec<Actor<()>> {
    let call = |number| {
        let caller = Caller::new(number, book);
        let client = client.clone();
        Actor::nth(number, async move {
            caller.ask_times(&client, ways, times).await;
        })
    };
    numbers.map(call).collect()
}

/// So many workers, who stay till the last client has gone.
fn workers(count: usize, server: &Arc<Server>, looks: &'static [Look]) -> Vec<Actor<()>> {
    let employ = |n| Actor::nth(n, work(Arc::clone(server), looks, FOR_EVER));
    (0..count).map(employ).collect()
}

/// So many who look a few times and do not come back.
fn passers_by(count: usize, server: &Arc<Server>) -> Vec<Actor<()>> {
    let pass = |n| {
        let looks = 1 + below(6);
        Actor::nth(n, pass_by(Arc::clone(server), worker::FLEETING, looks))
    };
    (0..count).map(pass).collect()
}

/// Ends a model whose server stays till the last client has gone.
fn end(callers: Vec<Actor<()>>, workers: Vec<Actor<()>>, server: &Server, book: &Book) -> Ends {
    join(callers);
    join(workers);
    book.close(server.stats())
}

#[test]
fn all_kinds_of_requests_to_one_worker_end_in_order() {
    explore(USUAL, || {
        let book = Book::default();
        let (server, client) = channel(usize::MAX);
        let workers = workers(1, &server, worker::ALONE);
        let callers = callers(0..7, &client, &book, caller::ANY, 3);
        drop(client);
        let ends = end(callers, workers, &server, &book);
        book.assert_in_order();
        ends
    });
}

#[test]
fn the_same_where_there_is_little_room() {
    let to_be_seen = [USUAL, &[End::Full]].concat();
    explore(&to_be_seen, || {
        let book = Book::default();
        let (server, client) = channel(1 + below(2));
        let workers = workers(1, &server, worker::ALONE);
        let callers = callers(0..7, &client, &book, caller::ANY, 3);
        drop(client);
        let ends = end(callers, workers, &server, &book);
        book.assert_in_order();
        ends
    });
}

#[test]
fn several_workers_share_what_is_asked() {
    explore(USUAL, || {
        let book = Book::default();
        let (server, client) = channel(any(CAPACITIES));
        let mut workers = workers(2, &server, worker::ANY);
        workers.extend(passers_by(2, &server));
        let callers = callers(0..4, &client, &book, caller::ANY, 4);
        drop(client);
        end(callers, workers, &server, &book)
    });
}

#[test]
fn the_last_leaving_worker_ends_all_requests() {
    explore(
        &[End::Replied, End::ServerDisappeared, End::Left, End::Posted],
        || {
            let book = Book::default();
            let (server, client) = channel(any(CAPACITIES));
            let employ = |n| Actor::nth(n, work(Arc::clone(&server), worker::ANY, 1 + below(3)));
            let workers: Vec<_> = (0..3).map(employ).collect();
            drop(server);
            let call = |number| {
                let caller = Caller::new(number, &book);
                let client = client.clone();
                Actor::nth(number, async move {
                    caller.ask_until_gone(&client, caller::ANY).await;
                })
            };
            let callers: Vec<_> = (0..5).map(call).collect();
            join(workers);
            join(callers);
            book.close(client.stats())
        },
    );
}

#[test]
fn a_favoured_client_stays_in_order_under_contention() {
    explore(&[End::Replied, End::Posted], || {
        let book = Book::default();
        let (server, client) = channel(usize::MAX);
        let workers = workers(1, &server, worker::STEADY);
        let mut callers = callers(0..2, &client, &book, caller::FAMILIAR, 8);
        callers.extend(self::callers(2..7, &client, &book, caller::ANY, 1));
        drop(client);
        let ends = end(callers, workers, &server, &book);
        book.assert_in_order();
        ends
    });
}

#[test]
fn pairs_that_are_used_to_each_other_let_others_in() {
    explore(&[End::Replied, End::Posted], || {
        let book = Book::default();
        let (server, client) = channel(usize::MAX);
        let mut workers = workers(2, &server, worker::STEADY);
        workers.extend(passers_by(2, &server));
        let mut callers = callers(0..2, &client, &book, caller::FAMILIAR, 8);
        callers.extend(self::callers(2..4, &client, &book, caller::URGENT, 2));
        drop(client);
        end(callers, workers, &server, &book)
    });
}

#[test]
fn a_passing_receiver_leaves_the_favoured_caller() {
    explore(&[End::Replied], || {
        let book = Book::default();
        let (server, client) = channel(usize::MAX);
        let mut workers = workers(1, &server, worker::STEADY);
        workers.extend(passers_by(4, &server));
        let mut callers = callers(0..1, &client, &book, caller::STEADY, 10);
        callers.extend(self::callers(1..2, &client, &book, caller::URGENT, 2));
        drop(client);
        end(callers, workers, &server, &book)
    });
}

#[test]
fn those_who_are_in_a_hurry_leave_nothing_behind() {
    let to_be_seen = [
        End::Replied,
        End::Full,
        End::TimeoutQueued,
        End::TimeoutTaken,
        End::Left,
    ];
    explore(&to_be_seen, || {
        let book = Book::default();
        let (server, client) = channel(any(CAPACITIES));
        let mut workers = workers(1, &server, &[Look::Wait, Look::Await]);
        workers.extend(passers_by(2, &server));
        let mut callers = callers(0..4, &client, &book, caller::HASTY, 5);
        callers.extend(self::callers(4..5, &client, &book, caller::STEADY, 3));
        drop(client);
        end(callers, workers, &server, &book)
    });
}

#[test]
fn a_client_is_shared_cloned_and_dropped_anywhere() {
    explore(USUAL, || {
        let book = Book::default();
        let (server, client) = channel(any(CAPACITIES));
        let workers = workers(2, &server, worker::ANY);
        let client = Arc::new(client);
        let call = |number| {
            let caller = Caller::new(number, &book);
            let shared = Arc::clone(&client);
            Actor::nth(number, async move {
                caller.ask_times(&shared, caller::ANY, 2).await;
                let own = Client::clone(&shared);
                drop(shared);
                caller.ask_times(&own, caller::ANY, 2).await;
            })
        };
        let callers: Vec<_> = (0..6).map(call).collect();
        drop(client);
        end(callers, workers, &server, &book)
    });
}

#[test]
fn a_weak_client_works_only_with_a_strong_one() {
    explore(&[End::Replied, End::Left, End::Posted], || {
        let book = Book::default();
        let (server, client) = channel(any(CAPACITIES));
        let workers = workers(1, &server, worker::ALONE);
        let visit = |number| {
            let caller = Caller::new(number, &book);
            let weak = client.weak();
            Actor::nth(number, async move {
                let mut is_over = false;
                for _ in 0..4 {
                    match weak.upgrade() {
                        Some(client) => {
                            assert!(!is_over, "revived");
                            caller.ask(&client, any(caller::ANY)).await;
                        }
                        None => is_over = true,
                    }
                }
            })
        };
        let visitors = (0..5).map(visit).collect::<Vec<_>>();
        let mut callers = callers(5..7, &client, &book, caller::ANY, 2);
        callers.extend(visitors);
        drop(client);
        end(callers, workers, &server, &book)
    });
}

#[test]
fn gathered_replies_come_once_or_are_cancelled() {
    explore(
        &[End::Replied, End::Failed, End::Left, End::TimeoutTaken],
        || {
            let book = Book::default();
            let (server, client) = channel(any(CAPACITIES));
            let workers = workers(3, &server, worker::ANY);
            let gather = |number| {
                let caller = Caller::new(number, &book);
                let client = client.clone();
                Actor::nth(number, async move {
                    caller.gather(&client, 3).await;
                    caller.gather(&client, 4).await;
                })
            };
            let mut callers: Vec<_> = (0..4).map(gather).collect();
            callers.extend(self::callers(4..5, &client, &book, caller::ANY, 4));
            drop(client);
            end(callers, workers, &server, &book)
        },
    );
}

#[test]
fn those_who_answer_by_asking_others_end_with_them() {
    explore(USUAL, || {
        let [book, back_book] = [Book::default(), Book::default()];
        let (server, client) = channel(any(CAPACITIES));
        let (back_server, back_client) = channel(any(CAPACITIES));
        let back_workers = workers(2, &back_server, worker::ANY);
        let mediate = |number| {
            let server = Arc::clone(&server);
            let back_client = back_client.clone();
            let caller = Caller::new(number, &back_book);
            Actor::nth(number, async move {
                while let Ok((message, duty)) = if one_in(2) {
                    server.wait()
                } else {
                    server.async_wait().await
                } {
                    let answer = message.take();
                    match caller.ask(&back_client, any(caller::ANY)).await {
                        End::Replied | End::Posted => reply(&answer, duty),
                        End::Failed => refuse(&answer, duty),
                        _ => let_go(&answer, duty),
                    }
                }
            })
        };
        let mediators: Vec<_> = (0..2).map(mediate).collect();
        drop(back_client);
        let callers = callers(0..4, &client, &book, caller::ANY, 3);
        drop(client);
        let ends = end(callers, mediators, &server, &book);
        end(Vec::new(), back_workers, &back_server, &back_book);
        ends
    });
}
