//! Tables.

use std::fmt::{self, Write};

use super::{ContenderResult, Results};
use crate::sample::as_f64;

const RESTART: &str = "\
Two requests are queued; the handler panics over the first. Microseconds from there until the handler that is made in its place answers the second: unwinding,
telling the first caller, dropping the handler, making another one. No pause, and a panic hook that prints nothing. The floor is a panic that is caught at once.

kameo's supervisor starts the actor anew over the same mailbox. ractor tells the supervisor, who may start another actor, with another mailbox: what was queued has
failed. actix starts an actor anew that has stopped itself; a panic ends the task that both the actor and its supervisor are. So these two have no such time.
";

const LATENESS: &str = "\
Microseconds from a timer's deadline until the handler is called, for a hundred timers armed at random within the next 200 ms, to the nanosecond, while the
machine does nothing else. Negative is early. Tasks are in a runtime of one thread. The floor is a thread that sleeps for one after the other.
";

pub(super) fn markdown(results: &Results) -> String {
    let mut text = String::new();
    write_all(&mut text, results).expect("a string takes all");
    text
}

fn write_all(text: &mut String, results: &Results) -> fmt::Result {
    let machine = &results.machine;
    writeln!(text, "# Loops\n")?;
    writeln!(
        text,
        "{}, {}, {} CPUs, {}, {}; {} rounds.",
        machine.date, machine.cpu, machine.cpus, machine.kernel, machine.compiler, results.rounds,
    )?;
    writeln!(text, "\n## After a panic\n\n{RESTART}")?;
    table(text, &results.restart)?;
    writeln!(text, "\n## Lateness of timers\n\n{LATENESS}")?;
    table(text, &results.lateness)
}

fn table(text: &mut String, contenders: &[ContenderResult]) -> fmt::Result {
    writeln!(text, "| | least | median | 99 % | most | samples |")?;
    writeln!(text, "|---|--:|--:|--:|--:|--:|")?;
    for ContenderResult { name, nanoseconds } in contenders {
        write!(text, "| {name} |")?;
        let times = [
            nanoseconds.least,
            nanoseconds.median,
            nanoseconds.p99,
            nanoseconds.most,
        ];
        for time in times {
            let sign = if time < 0 { "-" } else { "" };
            write!(text, " {sign}{:.1} |", as_f64(time.unsigned_abs()) / 1e3)?;
        }
        writeln!(text, " {} |", nanoseconds.samples)?;
    }
    Ok(())
}
