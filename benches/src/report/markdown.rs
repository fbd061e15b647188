//! Tables.

use std::fmt::{self, Write};

use crate::{
    contenders::Role,
    results::{CaseResult, ContenderResult, Idle, Results},
};

/// Returns the summary, then a table for each case.
pub(crate) fn markdown(results: &Results) -> String {
    let mut text = String::new();
    write_all(&mut text, results).expect("a string takes all");
    text
}

fn write_all(text: &mut String, results: &Results) -> fmt::Result {
    let (machine, settings) = (&results.machine, &results.settings);
    writeln!(text, "# Results\n")?;
    writeln!(
        text,
        "{}, {}, {} CPUs, {}, {}; {} rounds of {} ms.\n",
        machine.date,
        machine.cpu,
        machine.cpus,
        machine.kernel,
        machine.compiler,
        settings.rounds,
        settings.sample_milliseconds,
    )?;
    if !results.cases.is_empty() {
        summary(text, &results.cases)?;
    }
    if !results.idle.is_empty() {
        idle(text, &results.idle)?;
    }
    results
        .cases
        .iter()
        .try_for_each(|case| details(text, case))
}

fn summary(text: &mut String, cases: &[CaseResult]) -> fmt::Result {
    writeln!(
        text,
        "Nanoseconds per request, medians, and after the slash the 90th percentile of the rounds. The ratio is the median of the rounds' ratios.\n"
    )?;
    writeln!(
        text,
        "| case | floor | ump | best peer | ump 0.13 | best peer / ump |"
    )?;
    writeln!(text, "|---|--:|--:|--:|--:|--:|")?;
    let plain = |contender: &ContenderResult| {
        let nanoseconds = contender.nanoseconds;
        format!(
            "{} / {}",
            grouped(nanoseconds.median),
            grouped(nanoseconds.p90)
        )
    };
    for case in cases {
        let named = |contender: &ContenderResult| {
            format!(
                "{} ({})",
                plain(contender),
                contender.name.trim_start_matches("floor-")
            )
        };
        let best = case.best(Role::Peer);
        writeln!(
            text,
            "| {} | {} | **{}** | {} | {} | {} |",
            link(&case.name),
            case.best(Role::Floor).map_or(NONE.into(), named),
            case.best(Role::Ump).map_or(NONE.into(), plain),
            best.map_or(NONE.into(), named),
            case.best(Role::Published).map_or(NONE.into(), plain),
            ratio(best.and_then(|best| best.to_ump)),
        )?;
    }
    writeln!(text)
}

fn idle(text: &mut String, idle: &[Idle]) -> fmt::Result {
    writeln!(text, "## idle\n")?;
    writeln!(
        text,
        "A blocking and an async server have served, and now wait.\n"
    )?;
    writeln!(text, "| contender | seconds | context switches | CPU, ms |")?;
    writeln!(text, "|---|--:|--:|--:|")?;
    for Idle {
        name,
        seconds,
        context_switches,
        cpu_milliseconds,
    } in idle
    {
        writeln!(
            text,
            "| {name} | {seconds} | {context_switches} | {cpu_milliseconds:.2} |"
        )?;
    }
    writeln!(text)
}

fn details(text: &mut String, case: &CaseResult) -> fmt::Result {
    writeln!(text, "## {}\n\n{}\n", case.name, case.about)?;
    write!(
        text,
        "| contender | ns per request | p90 of rounds | least–most | slow rounds | × ump | × floor | CPU s per million | allocations |"
    )?;
    let timed = case
        .contenders
        .iter()
        .any(|contender| contender.latency.is_some());
    writeln!(
        text,
        "{}",
        if timed {
            " p50, µs | p99, µs | p99.9, µs |"
        } else {
            ""
        }
    )?;
    writeln!(
        text,
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|{}",
        if timed { "--:|--:|--:|" } else { "" }
    )?;
    for contender in &case.contenders {
        let ContenderResult {
            name, nanoseconds, ..
        } = contender;
        let name = if contender.role == Role::Ump {
            format!("**{name}**")
        } else {
            name.clone()
        };
        write!(
            text,
            "| {name} | {} | {} | {}–{} | {:.0} % | {} | {} | {:.2} | {:.2} |",
            grouped(nanoseconds.median),
            grouped(nanoseconds.p90),
            grouped(nanoseconds.least),
            grouped(nanoseconds.most),
            100.0 * contender.slow_rounds,
            ratio(contender.to_ump),
            ratio(contender.to_floor),
            contender.cpu_seconds_per_million,
            contender.allocations_per_request,
        )?;
        if let Some(latency) = &contender.latency {
            for nanoseconds in [latency.p50, latency.p99, latency.p99_9] {
                write!(text, " {} |", microseconds(nanoseconds))?;
            }
        }
        writeln!(text)?;
    }
    if timed {
        writeln!(text, "\n![Distribution of latency]({}.svg)", case.name)?;
    }
    writeln!(text)
}

const NONE: &str = "–";

fn link(case: &str) -> String {
    format!("[{case}](#{case})")
}

fn ratio(ratio: Option<f64>) -> String {
    ratio.map_or(NONE.into(), |ratio| format!("{ratio:.2}"))
}

fn microseconds(nanoseconds: u64) -> String {
    let microseconds = crate::sample::as_f64(nanoseconds) / 1e3;
    if microseconds < 100.0 {
        format!("{microseconds:.2}")
    } else {
        grouped(microseconds)
    }
}

/// Formats a number with a comma between thousands.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
