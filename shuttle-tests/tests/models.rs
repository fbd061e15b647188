//! Models with eight actors or more. In each of them every request ends exactly once, with an
//! outcome on which its caller and its handler agree; every message and every reply is dropped
//! once; the counts agree; and no actor sleeps for ever (shuttle detects that).
#![cfg(shuttle)]

use std::sync::Arc;

use shuttle_tests::{
    Client, Server,
    actor::{Actor, join},
    caller::{self, Caller, RequestKind},
    explore,
    quarantine::Quarantine,
    rng::{any, below, one_in},
    tracker::{Outcome, Outcomes, Tracker},
    worker::{self, ReceiveKind, drop_request, fail, reply, work, work_briefly},
};
use ump::Builder;

#[global_allocator]
static ALLOCATOR: Quarantine = Quarantine;

/// Unbounded, or with little room.
const CAPACITIES: &[usize] = &[usize::MAX, 1, 2];
const UNLIMITED: usize = usize::MAX;

/// The outcomes that most models have.
const USUAL: &[Outcome] = &[
    Outcome::Replied,
    Outcome::Failed,
    Outcome::NoReply,
    Outcome::TimeoutQueued,
    Outcome::TimeoutTaken,
    Outcome::Left,
    Outcome::Posted,
    Outcome::Unsent,
];

fn channel(capacity: usize) -> (Arc<Server>, Client) {
    let (server, client) = Builder::new().capacity(capacity).build().unwrap();
    (Arc::new(server), client)
}

/// Spawns callers, each with its own client and number, that make requests of these kinds.
fn callers(
    numbers: impl Iterator<Item = usize>,
    client: &Client,
    tracker: &Tracker,
    kinds: &'static [RequestKind],
    times: usize,
) -> Vec<Actor<()>> {
    let call = |number| {
        let caller = Caller::new(number, tracker);
        let client = client.clone();
        Actor::nth(number, async move {
            caller.request_times(&client, kinds, times).await;
        })
    };
    numbers.map(call).collect()
}

/// Spawns workers that serve until the last client has gone.
fn workers(count: usize, server: &Arc<Server>, kinds: &'static [ReceiveKind]) -> Vec<Actor<()>> {
    let spawn = |n| Actor::nth(n, work(Arc::clone(server), kinds, UNLIMITED));
    (0..count).map(spawn).collect()
}

/// Spawns workers that receive a few times and leave.
fn brief_workers(count: usize, server: &Arc<Server>) -> Vec<Actor<()>> {
    let spawn = |n| {
        let kinds = 1 + below(6);
        Actor::nth(n, work_briefly(Arc::clone(server), worker::BRIEF, kinds))
    };
    (0..count).map(spawn).collect()
}

/// Ends a model whose server stays until the last client has gone.
fn end(
    callers: Vec<Actor<()>>,
    workers: Vec<Actor<()>>,
    server: &Server,
    tracker: &Tracker,
) -> Outcomes {
    join(callers);
    join(workers);
    tracker.close(server.stats())
}

#[test]
fn all_kinds_of_requests_to_one_worker_end_in_order() {
    explore(USUAL, || {
        let tracker = Tracker::default();
        let (server, client) = channel(usize::MAX);
        let workers = workers(1, &server, worker::SINGLE);
        let callers = callers(0..7, &client, &tracker, caller::ANY, 3);
        drop(client);
        let outcomes = end(callers, workers, &server, &tracker);
        tracker.assert_in_order();
        outcomes
    });
}

#[test]
fn the_same_where_there_is_little_room() {
    let to_be_seen = [USUAL, &[Outcome::Full]].concat();
    explore(&to_be_seen, || {
        let tracker = Tracker::default();
        let (server, client) = channel(1 + below(2));
        let workers = workers(1, &server, worker::SINGLE);
        let callers = callers(0..7, &client, &tracker, caller::ANY, 3);
        drop(client);
        let outcomes = end(callers, workers, &server, &tracker);
        tracker.assert_in_order();
        outcomes
    });
}

#[test]
fn several_workers_share_the_requests() {
    explore(USUAL, || {
        let tracker = Tracker::default();
        let (server, client) = channel(any(CAPACITIES));
        let mut workers = workers(2, &server, worker::ANY);
        workers.extend(brief_workers(2, &server));
        let callers = callers(0..4, &client, &tracker, caller::ANY, 4);
        drop(client);
        end(callers, workers, &server, &tracker)
    });
}

#[test]
fn the_last_leaving_worker_ends_all_requests() {
    explore(
        &[
            Outcome::Replied,
            Outcome::ServerDisappeared,
            Outcome::Left,
            Outcome::Posted,
        ],
        || {
            let tracker = Tracker::default();
            let (server, client) = channel(any(CAPACITIES));
            let spawn = |n| Actor::nth(n, work(Arc::clone(&server), worker::ANY, 1 + below(3)));
            let workers: Vec<_> = (0..3).map(spawn).collect();
            drop(server);
            let call = |number| {
                let caller = Caller::new(number, &tracker);
                let client = client.clone();
                Actor::nth(number, async move {
                    caller.request_until_gone(&client, caller::ANY).await;
                })
            };
            let callers: Vec<_> = (0..5).map(call).collect();
            join(workers);
            join(callers);
            tracker.close(client.stats())
        },
    );
}

#[test]
fn a_favoured_client_stays_in_order_under_contention() {
    explore(&[Outcome::Replied, Outcome::Posted], || {
        let tracker = Tracker::default();
        let (server, client) = channel(usize::MAX);
        let workers = workers(1, &server, worker::STEADY);
        let mut callers = callers(0..2, &client, &tracker, caller::FREQUENT, 8);
        callers.extend(self::callers(2..7, &client, &tracker, caller::ANY, 1));
        drop(client);
        let outcomes = end(callers, workers, &server, &tracker);
        tracker.assert_in_order();
        outcomes
    });
}

#[test]
fn favoured_pairs_let_others_in() {
    explore(&[Outcome::Replied, Outcome::Posted], || {
        let tracker = Tracker::default();
        let (server, client) = channel(usize::MAX);
        let mut workers = workers(2, &server, worker::STEADY);
        workers.extend(brief_workers(2, &server));
        let mut callers = callers(0..2, &client, &tracker, caller::FREQUENT, 8);
        callers.extend(self::callers(2..4, &client, &tracker, caller::URGENT, 2));
        drop(client);
        end(callers, workers, &server, &tracker)
    });
}

#[test]
fn a_passing_receiver_leaves_the_favoured_caller() {
    explore(&[Outcome::Replied], || {
        let tracker = Tracker::default();
        let (server, client) = channel(usize::MAX);
        let mut workers = workers(1, &server, worker::STEADY);
        workers.extend(brief_workers(4, &server));
        let mut callers = callers(0..1, &client, &tracker, caller::STEADY, 10);
        callers.extend(self::callers(1..2, &client, &tracker, caller::URGENT, 2));
        drop(client);
        end(callers, workers, &server, &tracker)
    });
}

#[test]
fn impatient_callers_leave_nothing_behind() {
    let to_be_seen = [
        Outcome::Replied,
        Outcome::Full,
        Outcome::TimeoutQueued,
        Outcome::TimeoutTaken,
        Outcome::Left,
    ];
    explore(&to_be_seen, || {
        let tracker = Tracker::default();
        let (server, client) = channel(any(CAPACITIES));
        let mut workers = workers(1, &server, &[ReceiveKind::Wait, ReceiveKind::Await]);
        workers.extend(brief_workers(2, &server));
        let mut callers = callers(0..4, &client, &tracker, caller::IMPATIENT, 5);
        callers.extend(self::callers(4..5, &client, &tracker, caller::STEADY, 3));
        drop(client);
        end(callers, workers, &server, &tracker)
    });
}

#[test]
fn a_client_is_shared_cloned_and_dropped_anywhere() {
    explore(USUAL, || {
        let tracker = Tracker::default();
        let (server, client) = channel(any(CAPACITIES));
        let workers = workers(2, &server, worker::ANY);
        let client = Arc::new(client);
        let call = |number| {
            let caller = Caller::new(number, &tracker);
            let shared = Arc::clone(&client);
            Actor::nth(number, async move {
                caller.request_times(&shared, caller::ANY, 2).await;
                let own = Client::clone(&shared);
                drop(shared);
                caller.request_times(&own, caller::ANY, 2).await;
            })
        };
        let callers: Vec<_> = (0..6).map(call).collect();
        drop(client);
        end(callers, workers, &server, &tracker)
    });
}

#[test]
fn a_weak_client_works_only_with_a_strong_one() {
    explore(&[Outcome::Replied, Outcome::Left, Outcome::Posted], || {
        let tracker = Tracker::default();
        let (server, client) = channel(any(CAPACITIES));
        let workers = workers(1, &server, worker::SINGLE);
        let visit = |number| {
            let caller = Caller::new(number, &tracker);
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
        let mut callers = callers(5..7, &client, &tracker, caller::ANY, 2);
        callers.extend(visitors);
        drop(client);
        end(callers, workers, &server, &tracker)
    });
}

#[test]
fn gathered_replies_come_once_or_are_cancelled() {
    explore(
        &[
            Outcome::Replied,
            Outcome::Failed,
            Outcome::Left,
            Outcome::TimeoutTaken,
        ],
        || {
            let tracker = Tracker::default();
            let (server, client) = channel(any(CAPACITIES));
            let workers = workers(3, &server, worker::ANY);
            let gather = |number| {
                let caller = Caller::new(number, &tracker);
                let client = client.clone();
                Actor::nth(number, async move {
                    caller.gather(&client, 3).await;
                    caller.gather(&client, 4).await;
                })
            };
            let mut callers: Vec<_> = (0..4).map(gather).collect();
            callers.extend(self::callers(4..5, &client, &tracker, caller::ANY, 4));
            drop(client);
            end(callers, workers, &server, &tracker)
        },
    );
}

#[test]
fn intermediate_servers_end_with_their_clients() {
    explore(USUAL, || {
        let [tracker, back_tracker] = [Tracker::default(), Tracker::default()];
        let (server, client) = channel(any(CAPACITIES));
        let (back_server, back_client) = channel(any(CAPACITIES));
        let back_workers = workers(2, &back_server, worker::ANY);
        let mediate = |number| {
            let server = Arc::clone(&server);
            let back_client = back_client.clone();
            let caller = Caller::new(number, &back_tracker);
            Actor::nth(number, async move {
                while let Ok((message, rctx)) = if one_in(2) {
                    server.wait()
                } else {
                    server.async_wait().await
                } {
                    let token = message.take();
                    match caller.ask(&back_client, any(caller::ANY)).await {
                        Outcome::Replied | Outcome::Posted => reply(&token, rctx),
                        Outcome::Failed => fail(&token, rctx),
                        _ => drop_request(&token, rctx),
                    }
                }
            })
        };
        let mediators: Vec<_> = (0..2).map(mediate).collect();
        drop(back_client);
        let callers = callers(0..4, &client, &tracker, caller::ANY, 3);
        drop(client);
        let outcomes = end(callers, mediators, &server, &tracker);
        end(Vec::new(), back_workers, &back_server, &back_tracker);
        outcomes
    });
}
