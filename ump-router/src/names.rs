//! The name of something on the whole router: the prefix of its type, then its own.

use crate::topic::{Pattern, TopicError};

pub(crate) fn full_name(prefix: &str, pattern: &Pattern) -> Result<Pattern, TopicError> {
    match (prefix, pattern.as_str()) {
        ("", _) => Ok(pattern.clone()),
        (prefix, "") => prefix.parse(),
        (prefix, own) => format!("{prefix}/{own}").parse(),
    }
}
