//! One run of one contender, and its usage.

use std::{
    ops::Sub,
    time::{Duration, Instant},
};

use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeVal,
};

use crate::{allocations, contenders::Shape};

/// The quantity that a pass measures. Measuring one would disturb the others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Throughput,
    Latency,
    Allocations,
}

/// The amount of work.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) shape: Shape,
    /// The number of requests of each client.
    pub(crate) requests: u64,
    /// The number of requests of each client before the clock starts.
    pub(crate) warm_up: u64,
    pub(crate) purpose: Purpose,
}

/// The result of a run.
pub(crate) struct Sample {
    pub(crate) requests: u64,
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    /// Present if the pass counts allocations.
    pub(crate) allocations: u64,
    /// The latency of each request in nanoseconds, if the pass measures latency.
    pub(crate) latencies: Vec<u64>,
}

/// The usage of the process, so far or in between.
#[derive(Clone, Copy)]
pub(crate) struct Usage {
    cpu: Duration,
    allocations: u64,
}

impl Usage {
    pub(crate) fn now() -> Self {
        let usage = getrusage(UsageWho::RUSAGE_SELF).expect("the system tells");
        let duration = |time: TimeVal| {
            let seconds = u64::try_from(time.tv_sec()).expect("not negative");
            let micros = u64::try_from(time.tv_usec()).expect("not negative");
            Duration::from_secs(seconds) + Duration::from_micros(micros)
        };
        Self {
            cpu: duration(usage.user_time()) + duration(usage.system_time()),
            allocations: allocations::count(),
        }
    }

    pub(crate) fn cpu(&self) -> Duration {
        self.cpu
    }
}

impl Sub for Usage {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(before.cpu),
            allocations: self.allocations - before.allocations,
        }
    }
}

/// The time of one client, from its first request to its last reply.
pub(crate) struct Lap {
    pub(crate) start: Instant,
    pub(crate) end: Instant,
    pub(crate) meter: Meter,
}

impl Sample {
    /// Returns the time from the first request of any client to the last reply of any.
    pub(crate) fn new(load: &Load, usage: Usage, laps: Vec<Lap>) -> Self {
        let start = laps.iter().map(|lap| lap.start).min().expect("a client");
        let end = laps.iter().map(|lap| lap.end).max().expect("a client");
        Self {
            requests: load.requests * laps.len() as u64,
            wall: end - start,
            cpu: usage.cpu,
            allocations: usage.allocations,
            latencies: laps
                .into_iter()
                .flat_map(|lap| lap.meter.latencies)
                .collect(),
        }
    }

    pub(crate) fn seconds_each(&self) -> f64 {
        self.wall.as_secs_f64() / as_f64(self.requests)
    }
}

/// Times each request, if the pass measures latency.
pub(crate) struct Meter {
    on: bool,
    latencies: Vec<u64>,
}

impl Meter {
    pub(crate) fn off() -> Self {
        Self {
            on: false,
            latencies: Vec::new(),
        }
    }

    pub(crate) fn new(load: &Load) -> Self {
        if load.purpose != Purpose::Latency {
            return Self::off();
        }
        // Written to once, so that the pages are there.
        let mut latencies = vec![u64::MAX; usize::try_from(load.requests).expect("it fits")];
        latencies.clear();
        Self {
            on: true,
            latencies,
        }
    }

    pub(crate) fn start(&self) -> Option<Instant> {
        self.on.then(Instant::now)
    }

    pub(crate) fn stop(&mut self, start: Option<Instant>) {
        if let Some(start) = start {
            let nanoseconds = start.elapsed().as_nanos();
            self.latencies
                .push(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2⁵²")]
pub(crate) fn as_f64(number: u64) -> f64 {
    number as f64
}
