//! The grammar of topics and patterns.

use super::{
    error::{TopicError, TopicErrorKind as Kind},
    fragments::{DEEP, Fragments, STAR},
    invisible,
};

/// The limits of a text: its length in bytes, and the number of its fragments.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) topic: Extent,
    /// The limits of a text with wildcards.
    pub(super) pattern: Extent,
}

#[derive(Clone, Copy)]
pub(super) struct Extent {
    pub(super) length: usize,
    pub(super) fragments: usize,
}

/// The limits of what a user writes: topics and patterns without the prefix of their type.
pub(super) const WRITTEN: Limits = Limits {
    topic: Extent {
        length: 1024,
        fragments: 64,
    },
    pattern: Extent {
        length: 511, // two of them and a slash are a topic
        fragments: 32,
    },
};

/// The limits of the prefix of a type.
pub(super) const PREFIX: Extent = Extent {
    length: 256,
    fragments: 16,
};

/// The limits of full names: a prefix, then what a user wrote.
pub(super) const FULL: Limits = Limits {
    topic: WRITTEN.topic.after_prefix(),
    pattern: WRITTEN.pattern.after_prefix(),
};

/// The maximum number of fragments of anything.
pub(crate) const MAX_FRAGMENTS: usize = FULL.topic.fragments;

impl Extent {
    const fn after_prefix(self) -> Self {
        Self {
            length: PREFIX.length + 1 + self.length,
            fragments: PREFIX.fragments + self.fragments,
        }
    }
}

/// The properties of a valid text.
pub(super) struct Shape {
    /// The position of the first wildcard.
    pub(super) wildcard: Option<usize>,
    /// Whether a `**` is followed by another wildcard, so that the text is not canonical.
    pub(super) is_loose: bool,
}

/// Checks that a text is a topic or a pattern, as a user writes it.
pub(super) fn check(text: &str) -> Result<Shape, TopicError> {
    check_within(text, WRITTEN)
}

/// Checks that a text is a topic or a pattern within these limits.
pub(super) fn check_within(text: &str, limits: Limits) -> Result<Shape, TopicError> {
    let Limits { topic, pattern } = limits;
    let error = |kind, position| Err(TopicError::new(kind, text, position));
    let mut shape = Shape {
        wildcard: None,
        is_loose: false,
    };
    if text.is_empty() {
        return Ok(shape);
    }
    if text.len() > topic.length {
        return error(Kind::TooLong(topic.length), topic.length);
    }
    let mut start = 0;
    let mut too_many = None;
    let mut after_deep = false;
    for (index, fragment) in Fragments::of(text).enumerate() {
        if index == topic.fragments {
            return error(Kind::TooManyFragments(topic.fragments), start);
        }
        if index == pattern.fragments {
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
        Some(at) => error(Kind::TooManyFragments(pattern.fragments), at),
        None if text.len() > pattern.length => error(Kind::TooLong(pattern.length), pattern.length),
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
            _ if invisible::is_invisible(found) => Kind::Character(found),
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
