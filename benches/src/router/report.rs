//! Tables.

use std::fmt::{self, Write};

use super::{ContenderResult, Results, Table};
use crate::{
    results::Distribution,
    subject::{TAKES_ALL, heading},
};

const ABOUT: &str = "\
Nanoseconds for a request, or for a message that one subscriber has received: medians of the rounds; *ratio*: the median of the rounds' ratios to the first line; *over*: the median
of their differences. Allocations for each, of the message and of all.

A request by topic finds its server by the topic's text each time. Messages have 64 bytes and are published in bursts of 64, then each subscriber receives them: all in tasks of one executor
thread, so that what is measured is the work, not the waiting. `tokio::sync::broadcast` has no topics: it is what fan-out costs at least, with one queue that all read. `t2_bus` 0.2 is the published bus of
this kind, in memory, each subscriber with a client of its own, as in its examples; it serialises each message.

In a group each message goes to one member: the members receive by turns. All servers that are asked are tasks of the same thread; the time is that of one of the requests. A message that nobody receives
is published among 1,000 subscriptions to other topics, a tenth of which have wildcards.
";

pub(super) fn markdown(results: &Results) -> String {
    let mut text = heading("Names", ABOUT, &results.machine, results.rounds);
    for each in &results.tables {
        table(&mut text, each).expect(TAKES_ALL);
    }
    text
}

fn table(text: &mut String, table: &Table) -> fmt::Result {
    writeln!(text, "\n## {}\n", table.title)?;
    writeln!(
        text,
        "| | median | p90 | least | most | ratio | over | allocations |"
    )?;
    writeln!(text, "|---|--:|--:|--:|--:|--:|--:|--:|")?;
    let first = &table.contenders[0];
    for contender in &table.contenders {
        let rounds = Distribution::of(contender.rounds.iter().copied());
        let against = |f: fn(f64, f64) -> f64| against(contender, first, f);
        writeln!(
            text,
            "| {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.2} | {:.0} | {:.3} |",
            contender.name,
            rounds.median,
            rounds.p90,
            rounds.least,
            rounds.most,
            against(|one, first| one / first),
            against(|one, first| one - first),
            contender.allocations,
        )?;
    }
    Ok(())
}

fn against(one: &ContenderResult, first: &ContenderResult, f: fn(f64, f64) -> f64) -> f64 {
    let rounds = one.rounds.iter().zip(&first.rounds);
    Distribution::of(rounds.map(|(one, first)| f(*one, *first))).median
}
