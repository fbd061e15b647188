//! The grammar of topics and patterns.

use super::{
    error::{TopicError, TopicErrorKind as Kind},
    fragments::Fragments,
};

/// The limits of topics: their length in bytes, and the number of their fragments.
pub(super) const MAX_TOPIC_LENGTH: usize = 1024;
pub(crate) const MAX_TOPIC_FRAGMENTS: usize = 64;

/// The limits of patterns with wildcards.
pub(super) const MAX_PATTERN_LENGTH: usize = (MAX_TOPIC_LENGTH - 1) / 2;
pub(super) const MAX_PATTERN_FRAGMENTS: usize = MAX_TOPIC_FRAGMENTS / 2;

/// The wildcard for exactly one fragment.
pub(crate) const STAR: &str = "*";
/// The wildcard for any number of fragments.
pub(crate) const DEEP: &str = "**";

/// The properties of a valid text.
pub(super) struct Shape {
    /// The position of the first wildcard.
    pub(super) wildcard: Option<usize>,
    /// Whether a `**` is followed by another wildcard, so that the text is not canonical.
    pub(super) is_loose: bool,
}

/// Checks that a text is a topic or a pattern.
pub(super) fn check(text: &str) -> Result<Shape, TopicError> {
    let error = |kind, position| Err(TopicError::new(kind, text, position));
    let mut shape = Shape {
        wildcard: None,
        is_loose: false,
    };
    if text.is_empty() {
        return Ok(shape);
    }
    if text.len() > MAX_TOPIC_LENGTH {
        return error(Kind::TooLong(MAX_TOPIC_LENGTH), MAX_TOPIC_LENGTH);
    }
    let mut start = 0;
    let mut too_many = None;
    let mut after_deep = false;
    for (index, fragment) in Fragments::of(text).enumerate() {
        if index == MAX_TOPIC_FRAGMENTS {
            return error(Kind::TooManyFragments(MAX_TOPIC_FRAGMENTS), start);
        }
        if index == MAX_PATTERN_FRAGMENTS {
            too_many = Some(start);
        }
        if matches!(fragment, STAR | DEEP) {
            shape.wildcard = shape.wildcard.or(Some(start));
            shape.is_loose |= after_deep;
        } else {
            check_fragment(text, start, fragment)?;
        }
        after_deep = fragment == DEEP;
        start += fragment.len() + 1;
    }
    match too_many {
        _ if shape.wildcard.is_none() => Ok(shape),
        Some(at) => error(Kind::TooManyFragments(MAX_PATTERN_FRAGMENTS), at),
        None if text.len() > MAX_PATTERN_LENGTH => {
            error(Kind::TooLong(MAX_PATTERN_LENGTH), MAX_PATTERN_LENGTH)
        }
        None => Ok(shape),
    }
}

/// Checks a fragment that is no wildcard, at `start` in `text`.
fn check_fragment(text: &str, start: usize, fragment: &str) -> Result<(), TopicError> {
    if fragment.is_empty() {
        return Err(TopicError::new(Kind::EmptyFragment, text, start));
    }
    if fragment.bytes().all(is_plain) {
        return Ok(()); // nearly always
    }
    for (offset, found) in fragment.char_indices() {
        let kind = match found {
            '*' => Kind::PartOfFragment,
            '$' | '?' | '#' => Kind::Character(found),
            _ if found.is_whitespace() || found.is_control() => Kind::Character(found),
            _ => continue,
        };
        return Err(TopicError::new(kind, text, start + offset));
    }
    Ok(())
}

/// Returns whether a byte is an allowed ASCII character.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'*' | b'$' | b'?' | b'#')
}

/// Returns the canonical form of a pattern: in a row of wildcards, `**` comes last, and once.
pub(super) fn canonical(pattern: &str) -> String {
    let mut text = String::with_capacity(pattern.len());
    let mut deep = false;
    let mut push = |fragment: &str| {
        if !text.is_empty() {
            text.push('/');
        }
        text.push_str(fragment);
    };
    for fragment in Fragments::of(pattern) {
        if fragment == DEEP {
            deep = true;
            continue;
        }
        if deep && fragment != STAR {
            push(DEEP);
            deep = false;
        }
        push(fragment);
    }
    if deep {
        push(DEEP);
    }
    text
}
