//! What a topic may look like: the one place where a text is judged.

use super::{Fragments, Pattern, Topic, TopicError, TopicErrorKind as Kind};

/// One whole fragment, any.
pub(crate) const STAR: &str = "*";
/// Any number of whole fragments, zero too.
pub(crate) const DEEP: &str = "**";

/// What has been learned about a valid text.
pub(super) struct Shape {
    /// Where the first wildcard is.
    pub(super) wildcard: Option<usize>,
    /// `**` is followed by another wildcard somewhere, so that the same could be written otherwise.
    pub(super) is_loose: bool,
}

/// Is it a topic or a pattern?
pub(super) fn check(text: &str) -> Result<Shape, TopicError> {
    let error = |kind, position| Err(TopicError::new(kind, text, position));
    let mut shape = Shape {
        wildcard: None,
        is_loose: false,
    };
    if text.is_empty() {
        return Ok(shape);
    }
    if text.len() > Topic::MAX_LENGTH {
        return error(Kind::TooLong(Topic::MAX_LENGTH), Topic::MAX_LENGTH);
    }
    let mut start = 0;
    let mut too_many = None;
    let mut after_deep = false;
    for (index, fragment) in Fragments::of(text).enumerate() {
        if index == Topic::MAX_FRAGMENTS {
            return error(Kind::TooManyFragments(Topic::MAX_FRAGMENTS), start);
        }
        if index == Pattern::MAX_FRAGMENTS {
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
        Some(at) => error(Kind::TooManyFragments(Pattern::MAX_FRAGMENTS), at),
        None if text.len() > Pattern::MAX_LENGTH => {
            error(Kind::TooLong(Pattern::MAX_LENGTH), Pattern::MAX_LENGTH)
        }
        None => Ok(shape),
    }
}

/// It is no wildcard. `start` is where it is in `text`.
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

/// Allowed, and ASCII.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'*' | b'$' | b'?' | b'#')
}

/// The one way to write this pattern: of wildcards that follow each other, `**` comes last, and once.
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
