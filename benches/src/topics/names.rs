//! Topics of a factory: a plant has lines, a line has machines, and a machine has ten properties.

use crate::random::Random;

const THINGS: [&str; 10] = [
    "temperature",
    "pressure",
    "speed",
    "vibration",
    "current",
    "voltage",
    "state",
    "alarm",
    "output",
    "uptime",
];

/// The subscriptions and lookups of one round.
pub(super) struct Names {
    /// Patterns, a tenth of them with wildcards.
    pub(super) subscriptions: Vec<String>,
    /// The patterns with each wildcard replaced by a name.
    pub(super) concrete: Vec<String>,
    pub(super) topics: Vec<String>,
    /// Patterns for all properties of a machine.
    pub(super) patterns: Vec<String>,
}

impl Names {
    /// Makes as many names as there are subscriptions, and draws as many of each kind as there is
    /// time to look up.
    pub(super) fn new(count: usize, asked: usize, seed: u64) -> Self {
        let mut random = Random(seed);
        let mut drawn = || Thing(random.below(count));
        let concrete: Vec<Thing> = (0..count).map(|_| drawn()).collect();
        let subscriptions = concrete.iter().enumerate();
        Self {
            subscriptions: subscriptions
                .map(|(nth, thing)| match nth % 10 {
                    0 => thing.pattern(nth / 10),
                    _ => thing.topic(),
                })
                .collect(),
            concrete: concrete.iter().map(Thing::topic).collect(),
            topics: (0..asked).map(|_| drawn().topic()).collect(),
            patterns: (0..asked).map(|_| drawn().pattern(0)).collect(),
        }
    }
}

struct Thing(usize);

impl Thing {
    fn topic(&self) -> String {
        let (line, machine, thing) = self.parts();
        format!("{line}/{machine}/{thing}")
    }

    /// Returns a topic that matches the pattern.
    fn pattern(&self, nth: usize) -> String {
        let (line, machine, thing) = self.parts();
        match nth % 6 {
            0 => format!("{line}/{machine}/*"),
            1 => format!("*/*/{machine}/{thing}"),
            2 => format!("**/{machine}/{thing}"),
            3 => format!("{line}/{machine}/**"),
            4 => format!("**/{machine}/**"),
            _ => format!("*/*/{machine}/*"),
        }
    }

    fn parts(&self) -> (String, String, &'static str) {
        let machine = self.0 / THINGS.len();
        let line = format!("plant-{}/line-{}", machine % 20, machine / 20 % 50);
        (
            line,
            format!("machine-{machine}"),
            THINGS[self.0 % THINGS.len()],
        )
    }
}
