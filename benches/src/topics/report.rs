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
    ("find by topic", |sample| sample.find),
    ("find by pattern", |sample| sample.find_pattern),
    ("find by topic, no wildcards", |sample| sample.find_concrete),
    ("subscribe", |sample| sample.insert),
    ("unsubscribe", |sample| sample.remove),
];

const ABOUT: &str = "\
Whom does a message reach? The `TopicIndex` of `ump-router` beside the `KeBoxTree` of `zenoh-keyexpr`, and beside the `HashMap` of `std`, which knows no wildcards and is
what finding by a text costs at least. Each subscription has a value of eight bytes. Names are like `plant-3/line-17/machine-1423/speed`; all of them are
drawn at random, so that a part has no subscription and another part several. A tenth of the subscriptions have wildcards, in six forms like
`**/machine-1423/speed`, `*/*/machine-1423/*`, `plant-3/line-17/machine-1423/**`; the patterns by which one finds are like `plant-3/line-17/machine-1423/*`. (That meets each `**/machine-7/**` too, as the last name
could be `machine-7`; so they reach many.)

Nanoseconds of CPU time for each, medians, what is found and validating the text included; in brackets the median of the rounds' ratios to `ump-router`. *Bytes*: allocated for each
subscription, and altogether when all were removed, in any order. (`KeBoxTree` gives its nodes back when it is told to prune, which looks at all of them; here it is told once, at the end, and that is
not in the times. Once there is a wildcard in it, it looks at all children of the nodes on the way.)
";

pub(super) fn markdown(results: &Results) -> String {
    let mut text = heading("Topics", ABOUT, &results.machine, results.rounds);
    for each in &results.sizes {
        table(&mut text, each).expect(TAKES_ALL);
    }
    text
}

fn table(text: &mut String, size: &SizeResult) -> fmt::Result {
    writeln!(
        text,
        "\n## {} subscriptions\n\nOn average a topic reaches {:.1} of them, and a pattern {:.1}.\n",
        size.subscriptions, size.of_topic, size.of_pattern
    )?;
    let names = COLUMNS.map(|(name, _)| name);
    writeln!(text, "| | {} | bytes | left |", names.join(" | "))?;
    writeln!(text, "|---|{}", "--:|".repeat(COLUMNS.len() + 2))?;
    for contender in &size.contenders {
        write!(text, "| {} |", contender.name)?;
        for (_, value) in COLUMNS {
            let rounds = Distribution::of(contender.rounds.iter().map(value));
            if rounds.most > 0.0 {
                let ratio = ratio(contender, &size.contenders[0], value);
                write!(
                    text,
                    " {:.0} / {:.0} ({ratio:.2}) |",
                    rounds.median, rounds.p90
                )?;
            } else {
                write!(text, " – |")?;
            }
        }
        let median =
            |value: fn(&Sample) -> f64| Distribution::of(contender.rounds.iter().map(value)).median;
        writeln!(
            text,
            " {:.0} | {:.0} |",
            median(|sample| sample.bytes),
            median(|sample| sample.bytes_left),
        )?;
    }
    Ok(())
}

fn ratio(contender: &ContenderResult, to: &ContenderResult, value: fn(&Sample) -> f64) -> f64 {
    let rounds = contender.rounds.iter().zip(&to.rounds);
    Distribution::of(rounds.map(|(one, other)| value(one) / value(other))).median
}
