//! The results as text, as data and as pictures.

mod markdown;
mod plots;
mod style;

use std::{error::Error, fs, path::Path};

pub(crate) use markdown::markdown;

use crate::results::Results;

/// Writes all reports into this directory.
pub(crate) fn write(results: &Results, directory: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(directory)?;
    fs::write(
        directory.join("results.json"),
        serde_json::to_string(results)?,
    )?;
    fs::write(directory.join("results.md"), markdown(results))?;
    plots::draw(results, directory)
}
