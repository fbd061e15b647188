//! Errors in a configuration.

use std::{error::Error as StdError, fmt, ops::Range, path::Path};

/// An error in a configuration, with its location.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ConfigError {
    /// The file, if the configuration comes from one.
    pub file: Option<String>,
    /// The line, counted from one, if it is known.
    pub line: Option<usize>,
    /// The path of the key, as in `components.store.capacity`; empty if the error is not about a
    /// key.
    pub key: String,
    /// The reason, with the values that would be valid.
    pub why: String,
}

impl ConfigError {
    pub(in crate::system) fn new(key: &str, why: &dyn fmt::Display) -> Self {
        Self {
            file: None,
            line: None,
            key: key.to_owned(),
            why: why.to_string(),
        }
    }

    pub(in crate::system) fn at(self, line: Option<usize>) -> Self {
        Self { line, ..self }
    }

    pub(in crate::system) fn in_file(self, path: &Path) -> Self {
        Self {
            file: Some(path.display().to_string()),
            ..self
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.file.as_deref().unwrap_or("configuration"))?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ", {}", self.key)?;
        }
        write!(f, ": {}", self.why)
    }
}

impl StdError for ConfigError {}

/// Returns the line in which a span begins, counted from one.
pub(in crate::system) fn line(text: &str, span: Option<Range<usize>>) -> Option<usize> {
    let before = text.get(..span?.start)?;
    Some(before.matches('\n').count() + 1)
}
