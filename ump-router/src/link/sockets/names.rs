//! Names of topics with the prefix of their type, which other routers see, and without it.

use crate::topic::{
    Pattern, Topic,
    full_name::{check_written, full_name},
};

/// Returns what a full name is in a type, if it is of this type.
pub(crate) fn without_prefix(prefix: &str, full: &Pattern) -> Option<Pattern> {
    let rest = full.as_str().strip_prefix(prefix)?;
    let own = if rest.is_empty() {
        rest
    } else {
        rest.strip_prefix('/')?
    };
    // Only fragments without wildcards are gone, so the text is canonical.
    let own = full.with_text(own);
    check_written(prefix, &own).ok()?;
    Some(own)
}

/// Returns a pattern in a type that covers what a pattern of full names means there, if it means
/// anything there.
pub(crate) fn of_type(prefix: &str, full: &Pattern) -> Option<Pattern> {
    without_prefix(prefix, full).or_else(|| {
        let all: Pattern = "**".parse().ok()?;
        full.intersects(&full_name(prefix, &all)).then_some(all)
    })
}

/// Returns the full name of a topic.
pub(crate) fn full(prefix: &str, own: &Topic) -> Option<Topic> {
    full_name(prefix, &Pattern::from(own)).as_topic().cloned()
}

/// Returns what a full name is in a type, if it is of this type.
pub(crate) fn own(prefix: &str, full: &Topic) -> Option<Topic> {
    without_prefix(prefix, &Pattern::from(full))?
        .as_topic()
        .cloned()
}
