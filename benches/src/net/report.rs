//! Tables.

use std::fmt::{self, Write};

use super::{CaseResult, Results};
use crate::subject::{TAKES_ALL, heading};

const ABOUT: &str = "\
A loop of `ump-server` that owns sockets (the feature `net`), beside loops by hand and tokio, on loopback. Nanoseconds each: median and 90th percentile of the rounds. The
ratios are to the first row of the table, within each round; their median and 90th percentile are what counts. The sender and the server share the machine, each with a
thread of its own. A client of several connections sends a message by each, and then reads all answers. The tokio runtime has one thread. `mio by hand` has nothing but
what the echo needs: no ids, counters, fairness, back-pressure or time-outs.
";

const IDLE: &str = "\
Ten thousand connections, each of which has echoed one byte. Resident bytes for each connection, with the state that each contender has for it (tokio: a task with
a buffer of 4 KiB; the others share one buffer), without the kernel's. Then CPU time of the whole process while nothing happens.
";

pub(super) fn markdown(results: &Results) -> String {
    let mut text = heading("Sockets", ABOUT, &results.machine, results.rounds);
    for case in &results.cases {
        table(&mut text, case).expect(TAKES_ALL);
    }
    idle(&mut text, results).expect(TAKES_ALL);
    text
}

fn table(text: &mut String, case: &CaseResult) -> fmt::Result {
    writeln!(text, "\n## {}\n", case.title)?;
    writeln!(
        text,
        "| | median | 90 % | thousands per second | ratio | 90 % |"
    )?;
    writeln!(text, "|---|--:|--:|--:|--:|--:|")?;
    let reference = &case.contenders[0].nanoseconds;
    for contender in &case.contenders {
        let times = &contender.nanoseconds;
        let ratios: Vec<f64> = times
            .iter()
            .zip(reference)
            .map(|(it, of)| it / of)
            .collect();
        let [median, high] = [50, 90].map(|percent| percentile(times, percent));
        let [ratio, high_ratio] = [50, 90].map(|percent| percentile(&ratios, percent));
        writeln!(
            text,
            "| {} | {median:.0} | {high:.0} | {:.0} | {ratio:.3} | {high_ratio:.3} |",
            contender.name,
            1e6 / median,
        )?;
    }
    Ok(())
}

fn idle(text: &mut String, results: &Results) -> fmt::Result {
    let Some(first) = results.idle.first() else {
        return Ok(());
    };
    writeln!(text, "\n## Idle connections\n\n{IDLE}")?;
    let seconds = first.seconds;
    writeln!(text, "| | bytes each | CPU time in {seconds} s, ms |")?;
    writeln!(text, "|---|--:|--:|")?;
    for idle in &results.idle {
        writeln!(
            text,
            "| {} | {} | {:.1} |",
            idle.name, idle.bytes, idle.milliseconds
        )?;
    }
    Ok(())
}

/// Returns the smallest of which at least so many hundredths are not larger.
fn percentile(all: &[f64], percent: usize) -> f64 {
    let mut all = all.to_vec();
    all.sort_by(f64::total_cmp);
    all[(all.len() * percent).div_ceil(100) - 1]
}
