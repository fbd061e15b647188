//! The name of something on the whole router: the prefix of its type, then its own.

use super::{Pattern, TopicError};

/// Whether there can be such a name.
pub(crate) fn check_full_name(prefix: &str, pattern: &Pattern) -> Result<(), TopicError> {
    // So few bytes are not too many fragments: each takes two, with its slash.
    if prefix.len() + 1 + pattern.as_str().len() < 2 * Pattern::MAX_FRAGMENTS {
        return Ok(());
    }
    full_name(prefix, pattern).map(drop)
}

pub(crate) fn full_name(prefix: &str, pattern: &Pattern) -> Result<Pattern, TopicError> {
    match (prefix, pattern.as_str()) {
        ("", _) => Ok(pattern.clone()),
        (prefix, "") => prefix.parse(),
        (prefix, own) => format!("{prefix}/{own}").parse(),
    }
}
