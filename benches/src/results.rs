//! The results, as they are in `results.json`.

use serde::{Deserialize, Serialize};

use crate::{contenders::Role, machine::Machine};

#[derive(Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) settings: Settings,
    pub(crate) cases: Vec<CaseResult>,
    pub(crate) idle: Vec<Idle>,
}

/// The length of the measurement.
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
    /// The plot of throughput by clients that this case is a point of.
    pub(crate) scaling: Option<String>,
    pub(crate) contenders: Vec<ContenderResult>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct ContenderResult {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) nanoseconds: Distribution,
    /// The share of rounds that took more than [`SLOW`] times the least one.
    pub(crate) slow_rounds: f64,
    /// The median of the ratios to this crate's time within the rounds.
    pub(crate) to_ump: Option<f64>,
    /// The median of the ratios to the fastest floor within the rounds.
    pub(crate) to_floor: Option<f64>,
    /// The user and system time of the process, as a median.
    pub(crate) cpu_seconds_per_million: f64,
    pub(crate) allocations_per_request: f64,
    pub(crate) latency: Option<Latency>,
    pub(crate) rounds: Vec<Round>,
}

/// A round that takes this many times the least one is in a slower mode.
pub(crate) const SLOW: f64 = 5.0;

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Distribution {
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

/// Nanoseconds from request to reply.
#[derive(Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) count: u64,
    pub(crate) p50: u64,
    pub(crate) p99: u64,
    pub(crate) p99_9: u64,
    pub(crate) most: u64,
    /// Numbers of nines with the latency of that percentile: 2 is for 99 %.
    pub(crate) curve: Vec<(f64, u64)>,
}

/// The usage of a process that only waits for requests.
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

    /// Returns the fastest contender of this role.
    pub(crate) fn best(&self, role: Role) -> Option<&ContenderResult> {
        self.of(role)
            .min_by(|a, b| a.nanoseconds.median.total_cmp(&b.nanoseconds.median))
    }
}

impl Distribution {
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
