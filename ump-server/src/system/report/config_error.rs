//! Errors in a configuration.

use std::{
    fmt::{self, Write as _},
    ops::Range,
    path::Path,
};

/// An error in a configuration, with its location.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq, Hash)]
#[error("{}: {why}", self.location())]
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

impl ConfigError {
    /// The file, the line and the key, as far as they are known.
    fn location(&self) -> String {
        let mut location = self
            .file
            .clone()
            .unwrap_or_else(|| "configuration".to_owned());
        if let Some(line) = self.line {
            let _ = write!(location, ", line {line}");
        }
        if !self.key.is_empty() {
            let _ = write!(location, ", {}", self.key);
        }
        location
    }
}

/// Returns the line in which a span begins, counted from one.
pub(in crate::system) fn line(text: &str, span: Option<Range<usize>>) -> Option<usize> {
    let before = text.get(..span?.start)?;
    Some(before.matches('\n').count() + 1)
}
