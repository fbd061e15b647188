//! Full names: the prefix of a type, then a topic or pattern of that type.
//!
//! Users write topics and patterns without the prefix, and the limits are those of what they write.
//! So a full name can be longer than a text that a user may write. The lists and changes of a
//! router have full names.

use smol_str::SmolStr;

use super::{
    error::{TopicError, TopicErrorKind},
    fragments::Fragments,
    grammar::{self, Extent},
    name::Topic,
    pattern::Pattern,
};

/// Checks that the text of a prefix is a topic within the limits of prefixes. An empty one is none.
pub(crate) fn check_prefix(prefix: &str) -> Result<(), TopicError> {
    // The empty topic is valid, but is no prefix.
    let text = if prefix.is_empty() { "/" } else { prefix };
    Topic::check(text)?;
    check_extent(prefix, grammar::PREFIX)
}

/// Checks that a name of a type with this prefix is within the limits of what a user writes. Only a
/// full name can exceed them: it is for types without a prefix.
#[inline]
pub(crate) fn check_written(prefix: &str, name: &Pattern) -> Result<(), TopicError> {
    // A fragment and its slash are at least two bytes, so these are not too many fragments.
    if name.as_str().len() < 2 * Pattern::MAX_FRAGMENTS || prefix.is_empty() {
        return Ok(());
    }
    let limits = grammar::WRITTEN;
    let is_concrete = name.is_concrete();
    let limit = if is_concrete {
        limits.topic
    } else {
        limits.pattern
    };
    check_extent(name.as_str(), limit)
}

fn check_extent(text: &str, limit: Extent) -> Result<(), TopicError> {
    let Extent { length, fragments } = limit;
    if text.len() > length {
        return Err(TopicError::new(
            TopicErrorKind::TooLong(length),
            text,
            length,
        ));
    }
    let mut starts = Fragments::of(text).scan(0, |next, fragment| {
        let start = *next;
        *next += fragment.len() + 1;
        Some(start)
    });
    match starts.nth(fragments) {
        None => Ok(()),
        Some(start) => Err(TopicError::new(
            TopicErrorKind::TooManyFragments(fragments),
            text,
            start,
        )),
    }
}

/// Returns a name, which was checked, with the prefix of its type.
pub(crate) fn full_name(prefix: &str, name: &Pattern) -> Pattern {
    match (prefix, name.as_str()) {
        ("", _) => name.clone(),
        (prefix, "") => Topic::from_valid(prefix).into(),
        // The prefix has no wildcards, so the text is canonical.
        (prefix, own) => name.with_text([prefix, "/", own].into_iter().collect::<SmolStr>()),
    }
}
