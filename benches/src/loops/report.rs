//! Tables.

use std::fmt::{self, Write};

use super::{ContenderResult, Results};
use crate::{
    sample::as_f64,
    subject::{TAKES_ALL, heading},
};

const ABOUT: &str = "\
How soon a loop is back after its handler has panicked, and how late it calls its handler for a timer.
";

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
    let mut text = heading("Loops", ABOUT, &results.machine, results.rounds);
    for (title, about, contenders) in [
        ("After a panic", RESTART, &results.restart),
        ("Lateness of timers", LATENESS, &results.lateness),
    ] {
        table(&mut text, title, about, contenders).expect(TAKES_ALL);
    }
    text
}

fn table(
    text: &mut String,
    title: &str,
    about: &str,
    contenders: &[ContenderResult],
) -> fmt::Result {
    writeln!(text, "\n## {title}\n\n{about}")?;
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
