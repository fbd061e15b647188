//! Measures the contenders of a case, interleaved.

use std::{mem, time::Duration};

use hdrhistogram::Histogram;

use crate::{
    cases::{Case, Entry},
    contenders::{Role, Shape},
    progress::Progress,
    results::{CaseResult, ContenderResult, Distribution, Latency, Round, SLOW, Settings},
    sample::{Load, Purpose, Sample, as_f64},
};

/// An entry and its samples.
struct Lane<'a> {
    entry: &'a Entry,
    shape: Shape,
    /// The number of requests of each client, so that a sample takes the intended time.
    requests: u64,
    allocations: f64,
    samples: Vec<Sample>,
    latencies: Histogram<u64>,
}

pub(crate) fn measure(case: &Case, settings: &Settings, progress: &mut Progress) -> CaseResult {
    let target = Duration::from_millis(settings.sample_milliseconds);
    progress.case(&case.name);
    let mut lanes: Vec<Lane<'_>> = Vec::new();
    for entry in &case.entries {
        progress.step("calibration", &entry.name);
        lanes.push(Lane::calibrate(entry, case.shape(entry), target));
    }
    for round in 0..settings.rounds {
        for index in order(round, lanes.len()) {
            progress.step(&format!("round {}", round + 1), &lanes[index].entry.name);
            let sample = lanes[index].run(Purpose::Throughput);
            // What was quicker or slower than in the calibration should not stay too short or too
            // long.
            lanes[index].scale(growth(target, &sample).clamp(0.5, 2.0));
            lanes[index].samples.push(sample);
        }
    }
    let latency_rounds = if case.latency {
        settings.latency_rounds
    } else {
        0
    };
    for round in 0..latency_rounds {
        for index in order(round, lanes.len()) {
            progress.step(&format!("latency {}", round + 1), &lanes[index].entry.name);
            let sample = lanes[index].run(Purpose::Latency);
            for latency in sample.latencies {
                lanes[index].latencies.saturating_record(latency);
            }
        }
    }
    CaseResult {
        name: case.name.clone(),
        about: case.about.into(),
        clients: case.shape.channels * case.shape.clients,
        scaling: case.scaling.map(Into::into),
        contenders: conclude(&mut lanes),
    }
}

impl<'a> Lane<'a> {
    /// Finds the number of requests of a sample. This pass also counts allocations.
    fn calibrate(entry: &'a Entry, shape: Shape, target: Duration) -> Self {
        let most = Duration::from_secs(60);
        let bound = u64::try_from(most.as_nanos()).expect("it fits");
        let mut lane = Self {
            entry,
            shape,
            requests: (64 / shape.clients).max(2 * shape.depth) as u64,
            allocations: 0.0,
            samples: Vec::new(),
            latencies: Histogram::new_with_bounds(1, bound, 3).expect("sound bounds"),
        };
        loop {
            let sample = lane.run(Purpose::Allocations);
            lane.allocations = as_f64(sample.allocations) / as_f64(sample.requests);
            let growth = growth(target, &sample);
            lane.scale(growth.min(20.0));
            if growth < 4.0 {
                return lane;
            }
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small, positive"
    )]
    fn scale(&mut self, factor: f64) {
        let depth = self.shape.depth as u64;
        let requests = (as_f64(self.requests) * factor) as u64;
        self.requests = requests.next_multiple_of(depth).max(2 * depth);
    }

    fn run(&self, purpose: Purpose) -> Sample {
        let depth = self.shape.depth as u64;
        (self.entry.run)(&Load {
            shape: self.shape,
            requests: self.requests,
            warm_up: (self.requests / 10).max(1).next_multiple_of(depth),
            purpose,
        })
    }

    fn latency(&self) -> Option<Latency> {
        let of_nines = |nines: u32| f64::from(nines) / 20.0;
        let quantile = |nines: f64| 1.0 - 10_f64.powf(-nines);
        let count = self.latencies.len();
        let has_any_above = |nines: &f64| (1.0 - quantile(*nines)) * as_f64(count) >= 1.0;
        (count > 0).then(|| Latency {
            count,
            p50: self.latencies.value_at_quantile(0.5),
            p99: self.latencies.value_at_quantile(0.99),
            p99_9: self.latencies.value_at_quantile(0.999),
            most: self.latencies.max(),
            curve: (0..=200)
                .map(of_nines)
                .take_while(has_any_above)
                .map(|nines| (nines, self.latencies.value_at_quantile(quantile(nines))))
                .collect(),
        })
    }

    fn nanoseconds(&self) -> Distribution {
        Distribution::of(
            self.samples
                .iter()
                .map(|sample| sample.seconds_each() * 1e9),
        )
    }

    fn slow_rounds(&self) -> f64 {
        let bound = SLOW * self.nanoseconds().least / 1e9;
        let is_slow = |sample: &&Sample| sample.seconds_each() > bound;
        let slow = self.samples.iter().filter(is_slow).count();
        as_f64(slow as u64) / as_f64(self.samples.len() as u64)
    }

    /// Returns the median of the ratios within the rounds.
    fn ratio(&self, other: &[f64]) -> f64 {
        let ratios = self
            .samples
            .iter()
            .zip(other)
            .map(|(sample, other)| sample.seconds_each() / other);
        Distribution::of(ratios).median
    }
}

/// Returns the factor by which to increase the number of requests.
fn growth(target: Duration, sample: &Sample) -> f64 {
    target.as_secs_f64() / sample.wall.as_secs_f64()
}

/// Shuffles the order of each round, so that no contender always follows the same neighbour.
fn order(round: usize, count: usize) -> Vec<usize> {
    // A small generator of its own makes runs comparable.
    let mut state = round as u64 + 1;
    let mut next = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("31 bits")
    };
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        order.swap(last, next() % (last + 1));
    }
    order
}

fn conclude(lanes: &mut [Lane<'_>]) -> Vec<ContenderResult> {
    let best_of = |role: Role| {
        let lanes = lanes.iter().filter(|lane| lane.entry.role == role);
        let best =
            lanes.min_by(|a, b| a.nanoseconds().median.total_cmp(&b.nanoseconds().median))?;
        Some(
            best.samples
                .iter()
                .map(Sample::seconds_each)
                .collect::<Vec<f64>>(),
        )
    };
    let (ump, floor) = (best_of(Role::Ump), best_of(Role::Floor));
    let conclude = |lane: &mut Lane<'_>| {
        let cpu = |sample: &Sample| sample.cpu.as_secs_f64() / as_f64(sample.requests) * 1e6;
        ContenderResult {
            name: lane.entry.name.clone(),
            role: lane.entry.role,
            nanoseconds: lane.nanoseconds(),
            slow_rounds: lane.slow_rounds(),
            to_ump: ump.as_ref().map(|ump| lane.ratio(ump)),
            to_floor: floor.as_ref().map(|floor| lane.ratio(floor)),
            cpu_seconds_per_million: Distribution::of(lane.samples.iter().map(cpu)).median,
            allocations_per_request: lane.allocations,
            latency: lane.latency(),
            rounds: mem::take(&mut lane.samples)
                .into_iter()
                .map(|sample| Round {
                    requests: sample.requests,
                    seconds: sample.wall.as_secs_f64(),
                    cpu_seconds: sample.cpu.as_secs_f64(),
                })
                .collect(),
        }
    };
    lanes.iter_mut().map(conclude).collect()
}
