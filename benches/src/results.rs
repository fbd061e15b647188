//! What is found out, as it goes into `results.json`.

use serde::{Deserialize, Serialize};

use crate::{contenders::Role, machine::Machine};

#[derive(Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) settings: Settings,
    pub(crate) cases: Vec<CaseResult>,
    pub(crate) idle: Vec<Idle>,
}

/// How long was measured.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) rounds: usize,
    pub(crate) latency_rounds: usize,
    pub(crate) sample_milliseconds: u64,
    pub(crate) idle_seconds: u64,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct CaseResult {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) clients: usize,
    /// The plot of throughput against clients that it is a point of.
    pub(crate) scaling: Option<String>,
    pub(crate) contenders: Vec<ContenderResult>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct ContenderResult {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) nanoseconds: Spread,
    /// The share of rounds that took more than [`SLOW`] times the least one.
    pub(crate) slow_rounds: f64,
    /// The median of the ratios within the rounds: how many times this crate's time it took.
    pub(crate) to_ump: Option<f64>,
    /// Likewise, to the fastest floor.
    pub(crate) to_floor: Option<f64>,
    /// User and system time of the process, median.
    pub(crate) cpu_seconds_per_million: f64,
    pub(crate) allocations_per_request: f64,
    pub(crate) latency: Option<Latency>,
    pub(crate) rounds: Vec<Round>,
}

/// A round that takes so many times the least one is in another, slower mode.
pub(crate) const SLOW: f64 = 5.0;

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    /// The 90th percentile.
    pub(crate) p90: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

/// One sample.
#[derive(Serialize, Deserialize)]
pub(crate) struct Round {
    pub(crate) requests: u64,
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
}

/// Nanoseconds from question to reply.
#[derive(Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) count: u64,
    pub(crate) p50: u64,
    pub(crate) p99: u64,
    pub(crate) p99_9: u64,
    pub(crate) most: u64,
    /// How many nines, and the latency that so many did not exceed: at 2 that of 99 %.
    pub(crate) curve: Vec<(f64, u64)>,
}

/// What a process did that only waited for requests.
#[derive(Serialize, Deserialize)]
pub(crate) struct Idle {
    pub(crate) name: String,
    pub(crate) seconds: u64,
    pub(crate) context_switches: u64,
    pub(crate) cpu_milliseconds: f64,
}

impl CaseResult {
    pub(crate) fn of(&self, role: Role) -> impl Iterator<Item = &ContenderResult> {
        self.contenders
            .iter()
            .filter(move |contender| contender.role == role)
    }

    /// The fastest of this role.
    pub(crate) fn best(&self, role: Role) -> Option<&ContenderResult> {
        self.of(role)
            .min_by(|a, b| a.nanoseconds.median.total_cmp(&b.nanoseconds.median))
    }
}

impl Spread {
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let (middle, last) = (values.len() / 2, values.len() - 1);
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        Self {
            median,
            // The nearest rank: of few values the last but one, or the last.
            p90: values[(9 * values.len()).div_ceil(10) - 1],
            least: values[0],
            most: values[last],
        }
    }
}
