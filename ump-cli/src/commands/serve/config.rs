//! The configuration file of `ump serve`.

use std::{fs, path::Path};

use serde::{Deserialize, de::IgnoredAny};
use ump_router::link::sockets::Rules;

use crate::exit::Error;

/// The content of the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// Addresses, beside those of the command line.
    #[serde(default)]
    pub(super) listen: Vec<String>,
    /// Offers compression to all links.
    #[serde(default)]
    pub(super) compress: bool,
    /// Required: a file that is empty or cut must not allow everything.
    pub(super) access: Rules,
}

/// What the rules have to say, though they have a default.
#[derive(Deserialize)]
struct Explicit {
    #[serde(rename = "access")]
    _access: ExplicitAccess,
}

#[derive(Deserialize)]
struct ExplicitAccess {
    #[serde(rename = "default")]
    _default: IgnoredAny,
}

/// Reads the file.
pub(super) fn read(path: &Path) -> Result<Config, Error> {
    let shown = path.display();
    let text = fs::read_to_string(path)
        .map_err(|error| Error::usage(format!("cannot read {shown}: {error}")))?;
    let invalid = |error| Error::usage(format!("{shown}: {error}"));
    let config = toml::from_str(&text).map_err(invalid)?;
    let _: Explicit = toml::from_str(&text).map_err(invalid)?;
    Ok(config)
}
