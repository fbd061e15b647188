//! `ump mesh ls`: who takes part, and with what.

use std::{collections::BTreeSet, time::Duration};

use serde_json::json;

use super::{
    args::MeshArgs,
    exit::Error,
    observer::Observer,
    output::{note, print, printable},
    seen::{Named, Program},
};
use crate::participant::ParticipantId;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
It looks for --wait, and takes no part: participants do not see it. The age is by the clock of the host
that tells it. A program without a name is a plain zenoh program.

With --json: {\"id\":..,\"name\":..,\"host\":..,\"pid\":..,\"age_ms\":..,\"subscriptions\":[..],\"serves\":[..],
\"stands_by\":[..]}, one program a line.")]
pub(crate) struct Options {
    #[command(flatten)]
    mesh: MeshArgs,
}

pub(crate) fn run(options: &Options, is_json: bool) -> Result<(), Error> {
    let observer = Observer::open(&options.mesh.config())?;
    let seen = observer.look(options.mesh.wait);
    observer.close();
    let mut programs: Vec<_> = seen.programs.iter().collect();
    let order = |program: &Program| program.participant.as_ref().map(|it| it.name.clone());
    programs.sort_by_cached_key(|(id, program)| (order(program), **id));
    for (id, program) in &programs {
        if is_json {
            print(&object(**id, program))?;
        } else {
            print(&paragraph(**id, program))?;
        }
    }
    if programs.is_empty() && !is_json {
        note("nobody is found: `ump mesh doctor` says why");
    }
    Ok(())
}

/// How long ago it joined, by its own clock: nothing if that is ahead.
fn age(named: &Named) -> Duration {
    named.joined.elapsed().unwrap_or_default()
}

fn object(id: ParticipantId, program: &Program) -> String {
    let named = program.participant.as_ref();
    json!({
        "id": id.to_string(),
        "name": named.map(|it| &it.name),
        "host": named.map(|it| &it.host),
        "pid": named.map(|it| it.pid),
        "age_ms": named.map(|it| u64::try_from(age(it).as_millis()).unwrap_or(u64::MAX)),
        "subscriptions": program.subscriptions,
        "serves": program.serves,
        "stands_by": program.stands_by,
    })
    .to_string()
}

fn paragraph(id: ParticipantId, program: &Program) -> String {
    let first = match &program.participant {
        Some(named) => {
            let age = Duration::from_secs(age(named).as_secs());
            format!(
                "{} on {}, process {}, for {}, {id}",
                printable(&named.name),
                printable(&named.host),
                named.pid,
                humantime::format_duration(age),
            )
        }
        None => format!("a plain zenoh program, {id}"),
    };
    let kinds = [
        ("subscription", &program.subscriptions),
        ("served", &program.serves),
        ("standby", &program.stands_by),
    ];
    let of_kind = |(kind, names): (&str, &BTreeSet<String>)| {
        let lines = names
            .iter()
            .map(|name| format!("\n  {kind:<12} {}", printable(name)));
        lines.collect::<String>()
    };
    let lines: String = kinds.into_iter().map(of_kind).collect();
    format!("{first}{lines}")
}
