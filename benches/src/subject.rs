//! The common part of the reports of single subjects: a page with tables, and the data beside it.

use std::{error::Error, fs, path::Path};

use serde::Serialize;

use crate::machine::Machine;

/// The panic message of writing to a `String`, which cannot fail.
pub(crate) const TAKES_ALL: &str = "a string takes all";

/// Returns the head of a page.
pub(crate) fn heading(title: &str, about: &str, machine: &Machine, rounds: usize) -> String {
    format!(
        "# {title}\n\n{about}\n{}, {}, {} CPUs, {}, {}; {rounds} rounds.\n",
        machine.date, machine.cpu, machine.cpus, machine.kernel, machine.compiler,
    )
}

/// Prints the page, and writes it and the data into `directory`.
pub(crate) fn publish(
    name: &str,
    page: &str,
    data: &impl Serialize,
    directory: &Path,
) -> Result<(), Box<dyn Error>> {
    cli::print(format!("{page}\n"))?;
    fs::create_dir_all(directory)?;
    fs::write(directory.join(name).with_extension("md"), page)?;
    let data = serde_json::to_string(data)?;
    fs::write(directory.join(name).with_extension("json"), data + "\n")?;
    cli::log!("written to {}", directory.display());
    Ok(())
}
