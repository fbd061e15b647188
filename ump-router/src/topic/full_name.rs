//! Full names: the prefix of a type, then a topic or pattern of that type.

use super::{error::TopicError, pattern::Pattern};

/// Checks that a pattern is valid with the prefix of its type.
pub(crate) fn check_full_name(prefix: &str, pattern: &Pattern) -> Result<(), TopicError> {
    // A fragment and its slash are at least two bytes, so these are not too many fragments.
    if prefix.len() + 1 + pattern.as_str().len() < 2 * Pattern::MAX_FRAGMENTS {
        return Ok(());
    }
    full_name(prefix, pattern).map(drop)
}

/// Returns a pattern with the prefix of its type.
pub(crate) fn full_name(prefix: &str, pattern: &Pattern) -> Result<Pattern, TopicError> {
    match (prefix, pattern.as_str()) {
        ("", _) => Ok(pattern.clone()),
        (prefix, "") => prefix.parse(),
        (prefix, own) => format!("{prefix}/{own}").parse(),
    }
}
