//! Rounds of samples, interleaved.

use std::{hint::black_box, time::Duration};

use super::{
    ContenderResult, Sample, SizeResult,
    contenders::{Index, hash_map::Map, ump_router::Router, zenoh::Zenoh},
    names::Names,
};
use crate::{allocations, lap::Lap, random::Random, sample::as_f64};

/// The number of topics, and of patterns, that are looked up.
const ASKED: usize = 100_000;

/// The time of a sample. A slow contender does not look up all topics in it.
const TIME: Duration = Duration::from_millis(100);

/// The names of the contenders, and the function that takes a sample of each.
type Contender = (&'static str, fn(&Names, u64) -> Sample);

const CONTENDERS: [Contender; 3] = [
    ("ump-router", sample::<Router>),
    ("zenoh-keyexpr", sample::<Zenoh>),
    ("HashMap", sample::<Map>),
];

pub(super) fn all(subscriptions: usize, rounds: usize) -> SizeResult {
    let mut results = CONTENDERS.map(|(name, _)| ContenderResult {
        name: name.into(),
        rounds: Vec::with_capacity(rounds),
    });
    let (mut of_topic, mut of_pattern) = (0.0, 0.0);
    for round in 0..rounds {
        cli::log!(
            "{subscriptions} subscriptions, round {} of {rounds}",
            round + 1
        );
        let names = Names::new(subscriptions, ASKED, round as u64);
        check(&names);
        of_topic += matches(&names.subscriptions, &names.topics) / as_f64(rounds as u64);
        of_pattern += matches(&names.subscriptions, &names.patterns[..100]) / as_f64(rounds as u64);
        for turn in 0..CONTENDERS.len() {
            let at = (turn + round) % CONTENDERS.len(); // nobody is always first
            results[at]
                .rounds
                .push(CONTENDERS[at].1(&names, round as u64));
        }
    }
    SizeResult {
        subscriptions,
        of_topic,
        of_pattern,
        contenders: results.into(),
    }
}

/// Checks that all contenders find the same.
fn check(names: &Names) {
    let (router, _) = filled::<Router>(&names.subscriptions);
    let (zenoh, _) = filled::<Zenoh>(&names.subscriptions);
    for topic in names.topics.iter().take(10) {
        assert_eq!(
            found(|each| router.find(topic, each)),
            found(|each| zenoh.find(topic, each)),
            "{topic}"
        );
    }
    for pattern in names.patterns.iter().take(10) {
        assert_eq!(
            found(|each| router.find_pattern(pattern, each)),
            found(|each| zenoh.find_pattern(pattern, each)),
            "{pattern}"
        );
    }
    let (router, _) = filled::<Router>(&names.concrete);
    let (map, _) = filled::<Map>(&names.concrete);
    for topic in &names.topics {
        assert_eq!(
            found(|each| router.find(topic, each)),
            found(|each| map.find(topic, each)),
            "{topic}"
        );
    }
}

/// Returns the average number of subscriptions that each of these reaches.
fn matches(subscriptions: &[String], asked: &[String]) -> f64 {
    let (router, _) = filled::<Router>(subscriptions);
    let mut all = 0;
    for text in asked {
        router.find_pattern(text, |_| all += 1);
    }
    as_f64(all) / as_f64(asked.len() as u64)
}

fn found(find: impl FnOnce(&mut dyn FnMut(u64))) -> Vec<u64> {
    let mut found = Vec::new();
    find(&mut |value| found.push(value));
    found.sort_unstable();
    found
}

fn sample<I: Index>(names: &Names, seed: u64) -> Sample {
    let mut sample = Sample::default();
    let (concrete, _) = filled::<I>(&names.concrete);
    sample.find_concrete = time(&names.topics, |topic| concrete.find(topic, see));
    drop(concrete);
    if I::WILDCARDS {
        let (index, _) = filled::<I>(&names.subscriptions);
        sample.find = time(&names.topics, |topic| index.find(topic, see));
        sample.find_pattern = time(&names.patterns, |pattern| index.find_pattern(pattern, see));
    }
    let subscriptions = if I::WILDCARDS {
        &names.subscriptions
    } else {
        &names.concrete
    };
    (sample.insert, sample.remove) = changes::<I>(subscriptions, seed);
    (sample.bytes, sample.bytes_left) = memory::<I>(subscriptions, seed);
    sample
}

fn see(value: u64) {
    black_box(value);
}

/// Nanoseconds for each lookup that there is time for.
fn time(texts: &[String], ask: impl Fn(&str)) -> f64 {
    let lap = Lap::start();
    let mut asked = 0_usize;
    for text in texts {
        ask(text);
        asked += 1;
        // To look at the clock takes longer than to find something.
        if (asked.is_multiple_of(1024) || asked.is_power_of_two()) && lap.elapsed() > TIME {
            break;
        }
    }
    lap.nanoseconds_each(asked)
}

/// The texts and keys of subscriptions, for removing them.
type Inserted<'a, K> = Vec<(&'a str, u64, K)>;

fn filled<I: Index>(subscriptions: &[String]) -> (I, Inserted<'_, I::Key>) {
    let mut inserted = Vec::with_capacity(subscriptions.len());
    let mut index = I::new();
    for (text, value) in subscriptions.iter().zip(0..) {
        inserted.push((&**text, value, index.insert(text, value)));
    }
    (index, inserted)
}

fn empty<I: Index>(index: &mut I, inserted: Inserted<'_, I::Key>) {
    for (text, value, key) in inserted {
        index.remove(text, value, key);
    }
}

/// Fisher and Yates (1938).
fn shuffle<T>(all: &mut [T], seed: u64) {
    let mut random = Random(seed);
    for last in (1..all.len()).rev() {
        all.swap(last, random.below(last + 1));
    }
}

/// Nanoseconds of inserting a subscription, and of removing one.
fn changes<I: Index>(subscriptions: &[String], seed: u64) -> (f64, f64) {
    let lap = Lap::start();
    let (mut index, mut inserted) = filled::<I>(subscriptions);
    let insert = lap.nanoseconds_each(subscriptions.len());
    shuffle(&mut inserted, seed);
    let lap = Lap::start();
    empty(&mut index, inserted);
    (insert, lap.nanoseconds_each(subscriptions.len()))
}

/// Bytes for each subscription, and for all after they were removed.
fn memory<I: Index>(subscriptions: &[String], seed: u64) -> (f64, f64) {
    allocations::enable(true);
    let before = allocations::bytes();
    let (mut index, mut inserted) = filled::<I>(subscriptions);
    let list = size_of_val(&*inserted) as u64;
    let full = (allocations::bytes() - before).unsigned_abs() - list;
    shuffle(&mut inserted, seed);
    empty(&mut index, inserted);
    index.tidy();
    let left = (allocations::bytes() - before).unsigned_abs();
    allocations::enable(false);
    (
        as_f64(full) / as_f64(subscriptions.len() as u64),
        as_f64(left),
    )
}
