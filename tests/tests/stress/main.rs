//! Conservation under stress: a million requests of all kinds from threads and tasks to threads and
//! tasks. The counters of the channel must equal those of all participants.
//!
//! The choices come from a seed, which is printed and can be set: `UMP_SEED=7 cargo test -p tests
//! --test stress`. The schedule is that of the operating system.

mod caller;
mod counts;
mod messages;
mod rng;
mod worker;

use std::{
    env,
    sync::{Arc, atomic::AtomicU8, mpsc},
    thread,
};

use tests::{DropCounter, must_end};
use tokio::runtime::Runtime;
use ump::{Stats, bounded};

use crate::{
    caller::{Caller, Unobserved},
    counts::Counts,
    messages::{Shared, StressClient, StressServer},
    rng::Rng,
    worker::Worker,
};

struct Plan {
    seed: u64,
    capacity: usize,
    /// The numbers of calling threads and tasks.
    callers: [usize; 2],
    /// The requests that each of them makes.
    each: usize,
    /// The numbers of serving threads and tasks.
    workers: [usize; 2],
    /// The requests that each of them handles before it leaves; the last one drops the server.
    quota: usize,
}

impl Plan {
    fn server_goes(&self) -> bool {
        self.quota < usize::MAX
    }
}

/// A participant on a thread or a task.
enum Participant<T> {
    Thread(thread::JoinHandle<T>),
    Task(tokio::task::JoinHandle<T>),
}

impl<T> Participant<T> {
    fn end(self, runtime: &Runtime) -> T {
        match self {
            Self::Thread(thread) => thread.join().unwrap(),
            Self::Task(task) => runtime.block_on(task).unwrap(),
        }
    }
}

fn start_workers(
    plan: &Plan,
    shared: &Arc<Shared>,
    runtime: &Runtime,
    server: &Arc<StressServer>,
    mut rng: impl FnMut() -> Rng,
) -> Vec<Participant<Counts>> {
    let quota = plan.quota;
    let (handoff, handed_off) = mpsc::channel();
    let worker = |handoff| Worker {
        shared: Arc::clone(shared),
        handoff,
        counts: Counts::default(),
        handled: 0,
    };
    let mut substitute = worker(None);
    let substitute = Participant::Thread(thread::spawn(move || {
        for (message, rctx) in handed_off {
            substitute.finish(&message, rctx);
        }
        substitute.counts
    }));
    let worker = || (worker(Some(handoff.clone())), Arc::clone(server));
    let mut participants = vec![substitute];
    for _ in 0..plan.workers[0] {
        let ((worker, server), mut rng) = (worker(), rng());
        participants.push(Participant::Thread(thread::spawn(move || {
            worker.serve(&server, &mut rng, quota)
        })));
    }
    for place in 0..plan.workers[1] {
        let ((worker, server), mut rng) = (worker(), rng());
        participants.push(Participant::Task(runtime.spawn(async move {
            let poller = place == 0;
            worker.serve_async(&server, &mut rng, poller, quota).await
        })));
    }
    participants
}

fn start_callers(
    plan: &Plan,
    shared: &Arc<Shared>,
    runtime: &Runtime,
    client: &StressClient,
    mut rng: impl FnMut() -> Rng,
) -> Vec<Participant<(Counts, Vec<(usize, Unobserved)>)>> {
    let mut ids = (0..).map(|n| n * plan.each..(n + 1) * plan.each);
    let mut caller = || Caller {
        shared: Arc::clone(shared),
        client: client.clone(),
        rng: rng(),
        ids: ids.next().unwrap(),
        counts: Counts::default(),
        unobserved: Vec::new(),
        server_gone: false,
        posts_expire: !plan.server_goes(),
    };
    let mut participants = Vec::new();
    for _ in 0..plan.callers[0] {
        let mut caller = caller();
        participants.push(Participant::Thread(thread::spawn(move || {
            while caller.continues() {
                caller.step();
            }
            (caller.counts, caller.unobserved)
        })));
    }
    for _ in 0..plan.callers[1] {
        let mut caller = caller();
        participants.push(Participant::Task(runtime.spawn(async move {
            while caller.continues() {
                caller.step_async().await;
            }
            (caller.counts, caller.unobserved)
        })));
    }
    participants
}

/// Runs a plan and compares the counts. Returns those of the channel.
fn run(plan: &Plan) -> Stats {
    let shared = Arc::new(Shared {
        handled: (0..(plan.callers[0] + plan.callers[1]) * plan.each)
            .map(|_| AtomicU8::new(0))
            .collect(),
        messages: DropCounter::default(),
        replies: DropCounter::default(),
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let mut seeds = plan.seed..;
    let mut rng = || Rng::new(seeds.next().unwrap());

    let (server, client) = bounded(plan.capacity).unwrap();
    let server = Arc::new(server);
    let workers = start_workers(plan, &shared, &runtime, &server, &mut rng);
    let callers = start_callers(plan, &shared, &runtime, &client, &mut rng);
    // One end stays to read the counters: not the one whose end is tested.
    let stay: Box<dyn Fn() -> Stats> = if plan.server_goes() {
        drop(server);
        Box::new(move || client.stats())
    } else {
        drop(client);
        Box::new(move || server.stats())
    };

    let mut observed = Counts::default();
    let mut unobserved = Vec::new();
    for caller in callers {
        let (counts, without_end) = caller.end(&runtime);
        observed += counts;
        unobserved.extend(without_end);
    }
    for worker in workers {
        observed += worker.end(&runtime);
    }
    for (id, why) in unobserved {
        if !shared.was_handled(id) {
            *match why {
                Unobserved::Post => &mut observed.server_disappeared,
                Unobserved::PostWithDeadline => &mut observed.timeout_queued,
                // The caller or the server ended the request, whichever left first.
                Unobserved::Dropped if plan.server_goes() => &mut observed.gone_or_cancelled,
                Unobserved::Dropped => &mut observed.cancelled_queued,
            } += 1;
        }
    }
    let stats = stay();
    println!("{stats:?}");
    compare(&observed, &stats, plan.server_goes());
    assert_eq!(shared.messages.dropped(), shared.messages.created());
    assert_eq!(shared.replies.dropped(), shared.replies.created());
    stats
}

/// Compares the counts of all participants with those of the channel.
fn compare(observed: &Counts, stats: &Stats, server_goes: bool) {
    assert_eq!((stats.queued, stats.taken), (0, 0));
    assert_eq!(stats.accepted, stats.ended());
    assert_eq!(observed.replied, stats.replied);
    assert_eq!(observed.failed, stats.failed);
    assert_eq!(observed.no_reply, stats.no_reply);
    assert_eq!(observed.panicked, stats.panicked);
    assert_eq!(observed.timeout_taken, stats.timeout_taken);
    assert_eq!(observed.cancelled_taken, stats.cancelled_taken);
    // Each request that was late or found the server gone is in one of these.
    let late_accepted = stats.accepted - observed.accepted;
    let late_refused = stats.refused - observed.refused;
    assert_eq!(late_accepted + late_refused, observed.late);
    if server_goes {
        assert_eq!(
            observed.cancelled_queued
                + observed.server_disappeared
                + observed.timeout_queued
                + observed.gone_or_cancelled
                + late_accepted,
            stats.cancelled_queued + stats.server_disappeared + stats.timeout_queued
        );
        assert!(stats.server_disappeared >= observed.server_disappeared);
    } else {
        assert_eq!(observed.cancelled_queued, stats.cancelled_queued);
        assert_eq!(
            observed.timeout_queued + late_accepted,
            stats.timeout_queued
        );
        assert_eq!(
            (observed.server_disappeared, stats.server_disappeared),
            (0, 0)
        );
    }
}

fn seed() -> u64 {
    let seed = env::var("UMP_SEED").map_or(20_260, |seed| seed.parse().unwrap());
    println!("UMP_SEED={seed}");
    seed
}

#[test]
fn a_million_requests_of_all_kinds_end_exactly_once() {
    must_end(|| {
        let stats = run(&Plan {
            seed: seed(),
            capacity: 32,
            callers: [3, 4],
            each: 150_000,
            workers: [2, 2],
            quota: usize::MAX,
        });
        assert!(stats.accepted >= 900_000, "{stats:?}");
        assert!(stats.accepted + stats.refused >= 1_000_000, "{stats:?}");
    });
}

#[test]
fn all_kinds_end_once_through_a_queue_of_one() {
    must_end(|| {
        run(&Plan {
            seed: seed(),
            capacity: 1,
            callers: [3, 3],
            each: 20_000,
            workers: [1, 1],
            quota: usize::MAX,
        });
    });
}

#[test]
fn all_kinds_end_once_through_an_unbounded_queue() {
    must_end(|| {
        let stats = run(&Plan {
            seed: seed(),
            capacity: usize::MAX,
            callers: [3, 3],
            each: 20_000,
            workers: [2, 2],
            quota: usize::MAX,
        });
        // These are only requests whose deadline was in the past.
        assert!(stats.refused < 20_000, "{stats:?}");
    });
}

#[test]
fn all_kinds_end_once_when_the_server_goes() {
    must_end(|| {
        let seed = seed();
        for round in 0..60 {
            run(&Plan {
                seed: seed + 1000 * round,
                capacity: 1 + usize::try_from(round).unwrap() % 8,
                callers: [2, 2],
                each: 2_000,
                workers: [1, 1],
                quota: 200,
            });
        }
    });
}
