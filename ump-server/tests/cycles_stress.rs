//! Many loops that send requests to each other at random, wait for room in bounded queues of each
//! other, and join loops that do so.
#![cfg(feature = "tokio")]

use std::sync::{
    Arc, Barrier,
    atomic::{AtomicUsize, Ordering},
};

use ump_server::{JoinError, JoinErrorKind, Stop, task, thread, ump::SendError};

#[allow(unused_macros, reason = "these run on several threads only")]
mod job_runner;
use job_runner::{
    Job, JobClient, JobRunner, LONG, Running, ask, awaiting, blocking, fine, giving_away, must_end,
    on_task, on_thread, outcome_text, task_by, task_pool, thread_by,
};

/// A random number generator (xorshift64, Marsaglia).
#[derive(Clone)]
struct Rng(u64);

impl Rng {
    fn below(&mut self, limit: usize) -> usize {
        for shift in [(13, false), (7, true), (17, false)] {
            self.0 ^= match shift {
                (by, false) => self.0 << by,
                (by, true) => self.0 >> by,
            };
        }
        usize::try_from(self.0 % limit as u64).unwrap()
    }

    /// Returns a second, independent generator.
    fn split(&mut self) -> Self {
        self.below(2);
        Self(self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }
}

#[derive(Clone)]
struct Node {
    client: JobClient,
    is_thread: bool,
}

#[derive(Clone)]
struct World {
    nodes: Arc<Vec<Node>>,
    /// Whether a server may send requests to itself and to the servers before it.
    has_cycles: bool,
}

impl World {
    /// Returns a job for one of the servers: it sends further jobs to other servers, in a random
    /// way.
    fn job(&self, at: usize, depth: usize, mut rng: Rng) -> Job {
        let least = if self.has_cycles { 0 } else { at + 1 };
        let choice = self.nodes.len().saturating_sub(least);
        if depth == 0 || choice == 0 || rng.below(4) == 0 {
            return fine();
        }
        let mut next = || {
            let to = least + rng.below(choice);
            (
                self.nodes[to].client.clone(),
                self.job(to, depth - 1, rng.split()),
            )
        };
        let ((client, job), (second, other)) = (next(), next());
        if self.nodes[at].is_thread {
            return blocking(move || outcome_text(client.request(job).wait()));
        }
        // Some of these ways are invisible to the detection, so a cycle of them would never end.
        let ways = if self.has_cycles { 4 } else { 8 };
        match rng.below(ways) {
            0 | 1 => awaiting(async move { ask(&client, job).await }),
            2 => awaiting(async move {
                let reply = client.request(job).submit().await.unwrap();
                tokio::task::yield_now().await;
                outcome_text(reply.await)
            }),
            3 => awaiting(async move {
                let (one, two) = tokio::join!(ask(&client, job), ask(&second, other));
                format!("{one}; {two}")
            }),
            4 => awaiting(async move { outcome_text(client.request(job).timeout(LONG).await) }),
            5 => giving_away(async move |duty| {
                let answered = tokio::spawn(async move { duty.reply(ask(&client, job).await) });
                let _ = ask(&second, other).await;
                let _ = answered.await.unwrap();
            }),
            6 => awaiting(async move {
                tokio::select! {
                    text = ask(&client, job) => text,
                    text = ask(&second, other) => text,
                }
            }),
            _ => awaiting(async move {
                let reply = tokio::spawn(async move { ask(&client, job).await });
                let text = ask(&second, other).await;
                format!("{text}; {}", reply.await.unwrap())
            }),
        }
    }
}

/// Returns the number of requests and the number of deadlocks.
async fn run(has_cycles: bool, rounds: usize) -> (usize, usize) {
    let servers: Vec<(Running, bool)> = (0..12)
        .map(|number| {
            let name = format!("server {number}");
            match number % 4 {
                0 => (on_thread(&name), true),
                1 => (task_pool(&name, 2), false),
                _ => (on_task(&name), false),
            }
        })
        .collect();
    let nodes = servers.iter().map(|(server, is_thread)| Node {
        client: server.client(),
        is_thread: *is_thread,
    });
    let world = World {
        nodes: Arc::new(nodes.collect()),
        has_cycles,
    };
    let callers: Vec<_> = (1..=8)
        .map(|seed| {
            let world = world.clone();
            tokio::spawn(async move {
                let mut rng = Rng(seed * 0x9e37_79b9);
                for _ in 0..rounds {
                    let at = rng.below(world.nodes.len());
                    let job = world.job(at, 4, rng.split());
                    let text = ask(&world.nodes[at].client, job).await;
                    assert!(text.contains("fine") || text.contains("deadlock"), "{text}");
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let (mut asked, mut deadlocks) = (0, 0);
    for (server, _) in &servers {
        let stats = server.checked_stats();
        asked += usize::try_from(stats.accepted).unwrap();
        deadlocks +=
            usize::try_from(stats.would_deadlock_queued + stats.would_deadlock_taken).unwrap();
    }
    (asked, deadlocks)
}

#[test]
fn acyclic_requests_never_deadlock() {
    must_end(2, async {
        let (asked, deadlocks) = run(false, 1000).await;
        assert!(asked > 8000);
        assert_eq!(deadlocks, 0, "of {asked}");
    });
}

/// An undetected cycle would hang.
#[test]
fn random_requests_are_answered_or_deadlock() {
    must_end(2, async {
        let (asked, deadlocks) = run(true, 500).await;
        assert!(deadlocks > 0, "of {asked}");
    });
}

/// Counts the waits that ended in a deadlock error.
#[derive(Clone, Default)]
struct DeadlockCount(Arc<AtomicUsize>);

impl DeadlockCount {
    fn count(&self, is_deadlock: bool) -> bool {
        self.0.fetch_add(is_deadlock.into(), Ordering::Relaxed);
        is_deadlock
    }

    fn of_text(&self, text: String) -> String {
        self.count(text.contains("deadlock"));
        text
    }

    fn of_send(&self, sent: Result<(), SendError<Job>>) -> String {
        match sent {
            Ok(()) => "fine".to_owned(),
            Err(error) if self.count(matches!(error, SendError::WouldDeadlock(..))) => {
                "deadlock".to_owned()
            }
            Err(error) => error.to_string(),
        }
    }

    fn of_join(&self, ended: Result<Option<()>, JoinError>) -> String {
        match ended {
            Ok(_) => "fine".to_owned(),
            Err(error) if self.count(matches!(error.kind(), JoinErrorKind::WouldDeadlock(_))) => {
                "deadlock".to_owned()
            }
            Err(error) => error.to_string(),
        }
    }
}

/// Servers with bounded queues. Each sends requests and posts to later ones and reserves room
/// there, or has a child loop do so and joins it.
#[derive(Clone)]
struct Rooms {
    nodes: Arc<Vec<Node>>,
    deadlocks: DeadlockCount,
}

impl Rooms {
    fn job(&self, at: usize, depth: usize, rng: Rng) -> Job {
        let is_thread = self.nodes[at].is_thread;
        self.job_on(is_thread, at, depth, rng)
    }

    /// Returns a job for the server at that place or for a child of it.
    fn job_on(&self, is_thread: bool, at: usize, depth: usize, mut rng: Rng) -> Job {
        let choice = self.nodes.len() - at - 1;
        if depth == 0 || choice == 0 || rng.below(4) == 0 {
            return fine();
        }
        let to = at + 1 + rng.below(choice);
        let client = self.nodes[to].client.clone();
        let deadlocks = self.deadlocks.clone();
        let way = rng.below(5);
        if way == 4 {
            return self.joining(is_thread, at, depth, rng);
        }
        let job = self.job(to, depth - 1, rng.split());
        if is_thread {
            return blocking(move || match way {
                0 | 1 => outcome_text(client.request(job).wait()),
                2 => deadlocks.of_send(client.post(job).wait()),
                _ => match client.reserve().wait() {
                    Ok(permit) => outcome_text(permit.request(job).wait()),
                    Err(error) => deadlocks.of_send(Err(error.map_message(|()| fine()))),
                },
            });
        }
        awaiting(async move {
            match way {
                0 | 1 => ask(&client, job).await,
                2 => deadlocks.of_send(client.post(job).await),
                _ => match client.reserve().await {
                    Ok(permit) => outcome_text(permit.request(job).await),
                    Err(error) => deadlocks.of_send(Err(error.map_message(|()| fine()))),
                },
            }
        })
    }

    /// Returns a job that starts a child loop and joins it.
    fn joining(&self, is_thread: bool, at: usize, depth: usize, mut rng: Rng) -> Job {
        let job = self.job_on(is_thread, at, depth - 1, rng.split());
        let deadlocks = self.deadlocks.clone();
        if is_thread {
            return blocking(move || {
                let builder = thread::Builder::new().name("child");
                let (child, handle) = builder.spawn_with(|_| Ok(JobRunner)).unwrap();
                child.post(job).wait().unwrap();
                handle.stopper().stop(Stop::Drain);
                deadlocks.of_join(handle.join())
            });
        }
        awaiting(async move {
            let builder = task::Builder::new().name("child");
            let (child, handle) = builder.spawn_with(|_| Ok(JobRunner)).unwrap();
            child.post(job).await.unwrap();
            handle.stopper().stop(Stop::Drain);
            deadlocks.of_join(handle.await)
        })
    }
}

/// Runs many callers of bounded servers that wait only for later servers and for their own
/// children.
async fn run_with_rooms(rounds: usize) -> (usize, u64) {
    let servers: Vec<(Running, bool)> = (0..12)
        .map(|number| {
            let name = format!("server {number}");
            let capacity = [1, usize::MAX, 2][number % 3];
            if number % 2 == 0 {
                let builder = thread::Builder::new().name(&name).capacity(capacity);
                (thread_by(builder), true)
            } else {
                let builder = task::Builder::new().name(&name).capacity(capacity);
                (task_by(builder, 1 + number % 4 / 3), false)
            }
        })
        .collect();
    let nodes = servers.iter().map(|(server, is_thread)| Node {
        client: server.client(),
        is_thread: *is_thread,
    });
    let rooms = Rooms {
        nodes: Arc::new(nodes.collect()),
        deadlocks: DeadlockCount::default(),
    };
    let callers: Vec<_> = (1..=8)
        .map(|seed| {
            let rooms = rooms.clone();
            tokio::spawn(async move {
                let mut rng = Rng(seed * 0x9e37_79b9);
                for _ in 0..rounds {
                    let at = rng.below(rooms.nodes.len());
                    let job = rooms.job(at, 4, rng.split());
                    let client = &rooms.nodes[at].client;
                    if rng.below(3) == 0 {
                        client.post(job).await.unwrap();
                    } else {
                        assert_eq!(ask(client, job).await, "fine");
                    }
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let stats = servers.iter().map(|(server, _)| server.checked_stats());
    let deadlocks = stats.map(|stats| stats.would_deadlock_queued + stats.would_deadlock_taken);
    (rooms.deadlocks.0.load(Ordering::Relaxed), deadlocks.sum())
}

#[test]
fn acyclic_waits_for_room_and_ends_never_deadlock() {
    must_end(2, async {
        assert_eq!(run_with_rooms(500).await, (0, 0));
    });
}

/// Sends in one of the ways.
fn send(way: usize, next: &JobClient, deadlocks: &DeadlockCount) -> String {
    match way {
        0 => deadlocks.of_text(outcome_text(next.request(fine()).wait())),
        1 => match next.reserve().wait() {
            Ok(permit) => deadlocks.of_text(outcome_text(permit.request(fine()).wait())),
            Err(error) => deadlocks.of_send(Err(error.map_message(|()| fine()))),
        },
        _ => deadlocks.of_send(next.post(fine()).wait()),
    }
}

async fn send_async(way: usize, next: &JobClient, deadlocks: &DeadlockCount) -> String {
    match way {
        0 => deadlocks.of_text(ask(next, fine()).await),
        1 => match next.reserve().await {
            Ok(permit) => deadlocks.of_text(outcome_text(permit.request(fine()).await)),
            Err(error) => deadlocks.of_send(Err(error.map_message(|()| fine()))),
        },
        _ => deadlocks.of_send(next.post(fine()).await),
    }
}

/// Sends more to the next server than it has room for, directly or by a child loop that is joined.
fn send_on(
    is_thread: bool,
    next: JobClient,
    deadlocks: &DeadlockCount,
    go: &Arc<Barrier>,
    rng: &mut Rng,
) -> Job {
    let ways: Vec<usize> = (0..3 + rng.below(3)).map(|_| rng.below(4)).collect();
    let joins = rng.below(3) == 0;
    let (deadlocks, go) = (deadlocks.clone(), Arc::clone(go));
    if is_thread {
        return blocking(move || {
            go.wait();
            let sender = deadlocks.clone();
            let send_all = move || {
                let text = ways.iter().map(|&way| send(way, &next, &sender));
                text.collect::<Vec<_>>().join(", ")
            };
            if !joins {
                return send_all();
            }
            let builder = thread::Builder::new().name("child");
            let (child, handle) = builder.spawn_with(|_| Ok(JobRunner)).unwrap();
            child.post(blocking(send_all)).wait().unwrap();
            handle.stopper().stop(Stop::Drain);
            deadlocks.of_join(handle.join())
        });
    }
    awaiting(async move {
        // Each has a thread of the runtime to block.
        go.wait();
        let sender = deadlocks.clone();
        let send_all = async move {
            let mut text = Vec::new();
            for way in ways {
                text.push(send_async(way, &next, &sender).await);
            }
            text.join(", ")
        };
        if !joins {
            return send_all.await;
        }
        let builder = task::Builder::new().name("child");
        let (child, handle) = builder.spawn_with(|_| Ok(JobRunner)).unwrap();
        child.post(awaiting(send_all)).await.unwrap();
        handle.stopper().stop(Stop::Drain);
        deadlocks.of_join(handle.await)
    })
}

/// Runs a ring of servers, each of which sends to the next one only, all at the same time. So no
/// queue has more than one sender that waits for room. Returns the number of deadlock errors.
async fn ring(size: usize, mut rng: Rng) -> usize {
    let deadlocks = DeadlockCount::default();
    let servers: Vec<(Running, bool)> = (0..size)
        .map(|number| {
            let name = format!("server {number}");
            let capacity = 1 + rng.below(2);
            if rng.below(2) == 0 {
                let builder = thread::Builder::new().name(&name).capacity(capacity);
                (thread_by(builder), true)
            } else {
                let builder = task::Builder::new().name(&name).capacity(capacity);
                (task_by(builder, 1), false)
            }
        })
        .collect();
    let go = Arc::new(Barrier::new(size));
    let mut all = Vec::new();
    for (number, (server, is_thread)) in servers.iter().enumerate() {
        let next = servers[(number + 1) % size].0.client();
        let job = send_on(*is_thread, next, &deadlocks, &go, &mut rng);
        all.push(server.client().request(job).submit().await.unwrap());
    }
    for asked in all {
        let text = outcome_text(asked.await);
        assert!(text.contains("fine") || text.contains("deadlock"), "{text}");
    }
    for (server, _) in &servers {
        server.checked_stats();
    }
    deadlocks.0.load(Ordering::Relaxed)
}

/// If one cycle were not detected, this would hang.
#[test]
fn rings_of_waits_for_room_and_ends_deadlock() {
    must_end(6, async {
        let mut rng = Rng(0x9e37_79b9);
        for round in 0..200 {
            let deadlocks = ring(1 + round % 5, rng.split()).await;
            assert!(deadlocks > 0, "round {round}");
        }
    });
}
