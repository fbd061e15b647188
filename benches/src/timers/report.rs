//! Tables.

use std::fmt::{self, Write};

use super::{ContenderResult, Results, Sample, SizeResult};
use crate::{
    results::Distribution,
    subject::{TAKES_ALL, heading},
};

/// The name of a column, and the value that it shows.
type Column = (&'static str, fn(&Sample) -> f64);

const COLUMNS: [Column; 5] = [
    ("arm", |sample| sample.arm),
    ("cancel any, arm", |sample| sample.any),
    ("cancel oldest, arm", |sample| sample.oldest),
    ("cancel newest, arm", |sample| sample.newest),
    ("arm, come due", |sample| sample.expire),
];

const ABOUT: &str = "\
Timers of `ump-server` beside those of tokio and beside simpler structures, with a token of eight bytes each.

Nanoseconds of CPU time for each timer, medians; in brackets the median of the rounds' ratios to `ump-server`. Deadlines are random within a minute; where
the oldest is cancelled all have the same time-out. *Longest look*: what a loop that looks each millisecond while all come due takes at the most, in
milliseconds of CPU time, median. *Bytes*: allocated for each timer when all are armed, and altogether when all were cancelled, in any order.

`ump-server` is measured with the lock by which other threads can arm timers, and so is `wheel`, a hierarchical timing wheel with exact deadlines and 64 slots
a level: what it could have instead. The others have no lock. `DelayQueue` is that of `tokio-util`; `tokio sleep` is polled once, in a runtime of one thread;
both round to milliseconds. `BinaryHeap` is that of `std`: what is cancelled stays in it until it comes up.
";

pub(super) fn markdown(results: &Results) -> String {
    let mut text = heading("Timers", ABOUT, &results.machine, results.rounds);
    for each in &results.sizes {
        table(&mut text, each).expect(TAKES_ALL);
    }
    text
}

fn table(text: &mut String, size: &SizeResult) -> fmt::Result {
    let names: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
    writeln!(text, "\n## {} timers\n", size.armed)?;
    writeln!(
        text,
        "| | {} | longest look | bytes | left |",
        names.join(" | ")
    )?;
    writeln!(text, "|---|{}", "--:|".repeat(COLUMNS.len() + 3))?;
    for contender in &size.contenders {
        write!(text, "| {} |", contender.name)?;
        for (_, value) in COLUMNS {
            let rounds = Distribution::of(contender.rounds.iter().map(value));
            let ratio = ratio(contender, &size.contenders[0], value);
            write!(
                text,
                " {:.0} / {:.0} ({ratio:.2}) |",
                rounds.median, rounds.p90
            )?;
        }
        let median =
            |value: fn(&Sample) -> f64| Distribution::of(contender.rounds.iter().map(value));
        writeln!(
            text,
            " {:.2} | {:.0} | {:.0} |",
            median(|sample| sample.longest_look).median / 1e6,
            median(|sample| sample.bytes).median,
            median(|sample| sample.bytes_left).median,
        )?;
    }
    Ok(())
}

fn ratio(contender: &ContenderResult, to: &ContenderResult, value: fn(&Sample) -> f64) -> f64 {
    let rounds = contender.rounds.iter().zip(&to.rounds);
    Distribution::of(rounds.map(|(one, other)| value(one) / value(other))).median
}
