//! Rounds of samples, interleaved.

use std::hint::black_box;

use super::{
    ContenderResult, Sample, clock,
    contenders::{
        Queue, btree::Sorted, delay_queue::Delays, lazy_heap::LazyHeap, sleep::Sleeps, ump::Ump,
        wheel::LockedWheel,
    },
};
use crate::{allocations, lap::Lap, random::Random, sample::as_f64};

const MILLISECOND: u64 = 1_000_000;
const MINUTE: u64 = 60_000 * MILLISECOND;

/// The number of timers that are cancelled and replaced in a sample.
const CHANGES: usize = 100_000;

/// The names of the contenders, and the function that takes a sample of each.
type Contender = (&'static str, fn(usize, u64) -> Sample);

const CONTENDERS: [Contender; 6] = [
    ("ump-server", sample::<Ump>),
    ("wheel", sample::<LockedWheel>),
    ("DelayQueue", sample::<Delays>),
    ("tokio sleep", sample::<Sleeps>),
    ("BinaryHeap, lazy", sample::<LazyHeap>),
    ("BTreeMap", sample::<Sorted>),
];

pub(super) fn all(armed: usize, rounds: usize) -> Vec<ContenderResult> {
    let mut results = CONTENDERS.map(|(name, _)| ContenderResult {
        name: name.into(),
        rounds: Vec::with_capacity(rounds),
    });
    for round in 0..rounds {
        cli::log!("{armed} timers, round {} of {rounds}", round + 1);
        for turn in 0..CONTENDERS.len() {
            let at = (turn + round) % CONTENDERS.len(); // nobody is always first
            let sample = clock::within(|| CONTENDERS[at].1(armed, round as u64));
            results[at].rounds.push(sample);
        }
    }
    results.into()
}

fn sample<Q: Queue>(armed: usize, seed: u64) -> Sample {
    let (bytes, bytes_left) = memory::<Q>(armed, seed);
    let (arm, any, newest, expire) = random::<Q>(armed, seed);
    Sample {
        arm,
        any,
        oldest: oldest::<Q>(armed),
        newest,
        expire,
        longest_look: longest_look::<Q>(armed, seed),
        bytes,
        bytes_left,
    }
}

/// Bytes for each timer, and for all after they were cancelled.
fn memory<Q: Queue>(armed: usize, seed: u64) -> (f64, f64) {
    let mut random = Random(seed);
    let mut ids = Vec::with_capacity(armed);
    allocations::enable(true);
    let before = allocations::bytes();
    let mut queue = Q::new();
    ids.extend((0..armed as u64).map(|token| queue.arm(deadline(&mut random), token)));
    let full = allocations::bytes() - before;
    while !ids.is_empty() {
        queue.cancel(ids.swap_remove(random.below(ids.len())));
    }
    let empty = allocations::bytes() - before;
    allocations::enable(false);
    (number(full) / as_f64(armed as u64), number(empty))
}

#[expect(clippy::cast_precision_loss, reason = "far below 2⁵²")]
fn number(bytes: i64) -> f64 {
    bytes as f64
}

/// Times of arming, of cancelling any or the newest timer and arming another, and of arming and
/// firing.
fn random<Q: Queue>(armed: usize, seed: u64) -> (f64, f64, f64, f64) {
    let mut random = Random(seed);
    let deadlines: Vec<u64> = (0..armed).map(|_| deadline(&mut random)).collect();
    let changes: Vec<(usize, u64)> = (0..CHANGES)
        .map(|_| (random.below(armed), deadline(&mut random)))
        .collect();
    let mut queue = Q::new();
    let mut ids = Vec::with_capacity(armed);

    let start = Lap::start();
    ids.extend(
        (0..)
            .zip(&deadlines)
            .map(|(token, &at)| Some(queue.arm(at, token))),
    );
    let arm = start.nanoseconds_each(armed);

    let start = Lap::start();
    for &(index, at) in &changes {
        queue.cancel(ids[index].take().expect("armed"));
        ids[index] = Some(queue.arm(at, 0));
    }
    let any = start.nanoseconds_each(CHANGES);

    let start = Lap::start();
    for &(_, at) in &changes {
        let id = black_box(queue.arm(at, 0));
        queue.cancel(id);
    }
    let newest = start.nanoseconds_each(CHANGES);

    let looks = (armed as u64 / 10).min(100);
    let start = Lap::start();
    let due: usize = (0..=looks)
        .map(|look| queue.look(MINUTE * look / looks + MILLISECOND))
        .sum();
    drop(ids);
    let expire = arm + start.nanoseconds_each(armed);
    assert_eq!(due, armed, "all came due");
    (arm, any, newest, expire)
}

/// The time of cancelling the oldest timer and arming another, all with the same timeout.
fn oldest<Q: Queue>(armed: usize) -> f64 {
    let mut deadlines = (0..).map(|n| MINUTE / 2 + n * (MINUTE / 2 / armed as u64));
    let mut queue = Q::new();
    let mut ids: Vec<_> = (0..armed as u64)
        .zip(&mut deadlines)
        .map(|(token, at)| Some(queue.arm(at, token)))
        .collect();
    let start = Lap::start();
    for (change, at) in (0..CHANGES).zip(deadlines) {
        let id = &mut ids[change % armed];
        queue.cancel(id.take().expect("armed"));
        *id = Some(queue.arm(at, 0));
    }
    start.nanoseconds_each(CHANGES)
}

/// Looks each millisecond until all timers have fired.
fn longest_look<Q: Queue>(armed: usize, seed: u64) -> f64 {
    let mut random = Random(seed);
    let mut queue = Q::new();
    let ids: Vec<_> = (0..armed as u64)
        .map(|token| queue.arm(deadline(&mut random), token))
        .collect();
    let mut longest = 0.0_f64;
    for millisecond in 0..=60_001 {
        let start = Lap::start();
        queue.look(millisecond * MILLISECOND);
        longest = longest.max(start.nanoseconds_each(1));
    }
    drop(ids);
    longest
}

/// Deadlines within a minute, in whole milliseconds: tokio has nothing finer.
fn deadline(random: &mut Random) -> u64 {
    (1 + random.next() % 60_000) * MILLISECOND
}
