//! Many loops that send requests to each other at random.
#![cfg(feature = "tokio")]

use std::sync::Arc;

#[allow(unused_macros, reason = "these run on several threads only")]
mod obedient;
use obedient::{
    Asked, Job, LONG, Running, ask, awaiting, blocking, fine, giving_away, must_end, on_task,
    on_thread, task_pool, tell,
};

/// A random number generator (xorshift64, Marsaglia).
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: usize) -> usize {
        for shift in [(13, false), (7, true), (17, false)] {
            self.0 ^= match shift {
                (by, false) => self.0 << by,
                (by, true) => self.0 >> by,
            };
        }
        usize::try_from(self.0 % sides as u64).unwrap()
    }

    /// Returns a second, independent generator.
    fn split(&mut self) -> Self {
        self.throw(2);
        Self(self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }
}

#[derive(Clone)]
struct Node {
    client: Asked,
    is_thread: bool,
}

#[derive(Clone)]
struct World {
    nodes: Arc<Vec<Node>>,
    /// Whether a server may send requests to itself and to the servers before it.
    has_circles: bool,
}

impl World {
    /// Returns a job for one of the servers: it sends further jobs to other servers, in a random
    /// way.
    fn job(&self, at: usize, depth: usize, mut dice: Dice) -> Job {
        let least = if self.has_circles { 0 } else { at + 1 };
        let choice = self.nodes.len().saturating_sub(least);
        if depth == 0 || choice == 0 || dice.throw(4) == 0 {
            return fine();
        }
        let mut next = || {
            let to = least + dice.throw(choice);
            (
                self.nodes[to].client.clone(),
                self.job(to, depth - 1, dice.split()),
            )
        };
        let ((client, job), (second, other)) = (next(), next());
        if self.nodes[at].is_thread {
            return blocking(move || tell(client.request(job).wait()));
        }
        // Some of these ways are invisible to the detection, so a cycle of them would never end.
        let ways = if self.has_circles { 4 } else { 8 };
        match dice.throw(ways) {
            0 | 1 => awaiting(async move { ask(&client, job).await }),
            2 => awaiting(async move {
                let reply = client.request(job).submit().await.unwrap();
                tokio::task::yield_now().await;
                tell(reply.await)
            }),
            3 => awaiting(async move {
                let (one, two) = tokio::join!(ask(&client, job), ask(&second, other));
                format!("{one}; {two}")
            }),
            4 => awaiting(async move { tell(client.request(job).timeout(LONG).await) }),
            5 => giving_away(async move |duty| {
                let answered = tokio::spawn(async move { duty.reply(ask(&client, job).await) });
                let _ = ask(&second, other).await;
                let _ = answered.await.unwrap();
            }),
            6 => awaiting(async move {
                tokio::select! {
                    said = ask(&client, job) => said,
                    said = ask(&second, other) => said,
                }
            }),
            _ => awaiting(async move {
                let reply = tokio::spawn(async move { ask(&client, job).await });
                let said = ask(&second, other).await;
                format!("{said}; {}", reply.await.unwrap())
            }),
        }
    }
}

/// Returns the number of requests and the number of deadlocks.
async fn run(has_circles: bool, rounds: usize) -> (usize, usize) {
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
        has_circles,
    };
    let callers: Vec<_> = (1..=8)
        .map(|seed| {
            let world = world.clone();
            tokio::spawn(async move {
                let mut dice = Dice(seed * 0x9e37_79b9);
                for _ in 0..rounds {
                    let at = dice.throw(world.nodes.len());
                    let job = world.job(at, 4, dice.split());
                    let said = ask(&world.nodes[at].client, job).await;
                    assert!(said.contains("fine") || said.contains("deadlock"), "{said}");
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let (mut asked, mut told) = (0, 0);
    for (server, _) in &servers {
        let books = server.books();
        asked += usize::try_from(books.accepted).unwrap();
        told += usize::try_from(books.would_deadlock_queued + books.would_deadlock_taken).unwrap();
    }
    (asked, told)
}

#[test]
fn who_asks_no_one_before_it_is_never_told() {
    must_end(2, async {
        let (asked, told) = run(false, 1000).await;
        assert!(asked > 8000);
        assert_eq!(told, 0, "of {asked}");
    });
}

/// An undetected cycle would hang.
#[test]
fn whoever_asks_anybody_is_answered_or_told() {
    must_end(2, async {
        let (asked, told) = run(true, 500).await;
        assert!(told > 0, "of {asked}");
    });
}
