//! The error of a text that is not a topic or pattern.

use std::fmt;

use super::{
    fragments::{DEEP, STAR},
    invisible::{self, is_invisible},
};

/// The error of a text that is not a [`Topic`](super::Topic), or not a [`Pattern`](super::Pattern).
///
/// The message shows the position and says what to do:
///
/// ```
/// let error = "price//eur".parse::<ump_router::Topic>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     r#"empty fragment at byte 6, between "price/" and "/eur": write a name there, or leave out a slash"#
/// );
/// assert_eq!(error.position(), 6);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct TopicError {
    kind: TopicErrorKind,
    position: usize,
    /// The text before the position; only its end, if it is long.
    before: Box<str>,
    /// The text from the position on; only its beginning, if it is long.
    after: Box<str>,
}

/// The reasons why a text is not a topic or pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum TopicErrorKind {
    /// A fragment is empty: there is no text before the first slash, after the last one, or between
    /// two.
    EmptyFragment,
    /// This character is not allowed: it is one of `$ ? #`, white space, a control character, or an
    /// invisible one, such as a byte-order mark or a zero-width space.
    Character(char),
    /// A fragment contains `*` beside other characters, or more than two of them.
    PartOfFragment,
    /// A topic contains a wildcard.
    Wildcard,
    /// The text has more bytes than this limit: [`Topic::MAX_LENGTH`](super::Topic::MAX_LENGTH), or
    /// with a wildcard [`Pattern::MAX_LENGTH`](super::Pattern::MAX_LENGTH).
    TooLong(usize),
    /// The text has more fragments than this limit:
    /// [`Topic::MAX_FRAGMENTS`](super::Topic::MAX_FRAGMENTS), or with a wildcard
    /// [`Pattern::MAX_FRAGMENTS`](super::Pattern::MAX_FRAGMENTS).
    TooManyFragments(usize),
}

impl TopicError {
    /// How many bytes of the text are kept on either side of the position.
    const KEPT: usize = 40;

    #[cold]
    pub(super) fn new(kind: TopicErrorKind, text: &str, position: usize) -> Self {
        let is_boundary = |at: &usize| text.is_char_boundary(*at);
        let back = |from: usize| (0..=from).rev().find(is_boundary).unwrap_or(0);
        let position = back(position.min(text.len()));
        let from = (position.saturating_sub(Self::KEPT)..=position).find(is_boundary);
        let to = back((position + Self::KEPT).min(text.len()));
        Self {
            kind,
            position,
            before: text[from.unwrap_or(position)..position].into(),
            after: text[position..to].into(),
        }
    }

    /// The error of a topic with a wildcard at a position.
    pub(super) fn wildcard(text: &str, position: usize) -> Self {
        Self::new(TopicErrorKind::Wildcard, text, position)
    }

    /// Returns the reason.
    #[must_use]
    pub fn kind(&self) -> TopicErrorKind {
        self.kind
    }

    /// Returns the position of the error, in bytes: the length of the text if something is missing
    /// at its end.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// Returns the text before and after the position, up to 40 bytes each.
    #[must_use]
    pub fn around(&self) -> (&str, &str) {
        (&self.before, &self.after)
    }
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TopicErrorKind::EmptyFragment => f.write_str("empty fragment")?,
            TopicErrorKind::Character(found) => {
                write_character(f, found)?;
                f.write_str(" is not allowed")?;
            }
            TopicErrorKind::PartOfFragment => f.write_str("'*' is not alone in its fragment")?,
            TopicErrorKind::Wildcard => {
                let is_deep = self.after.starts_with(DEEP);
                let wildcard = if is_deep { DEEP } else { STAR };
                write!(f, "wildcard '{wildcard}' in a topic")?;
            }
            TopicErrorKind::TooLong(limit) => write!(f, "limit of {limit} bytes exceeded")?,
            TopicErrorKind::TooManyFragments(limit) => {
                write!(f, "limit of {limit} fragments exceeded")?;
            }
        }
        write!(f, " at byte {}", self.position)?;
        match self.around() {
            ("", "") => {}
            ("", after) => write!(f, ", before {after:?}")?,
            (before, "") => write!(f, ", after {before:?}")?,
            (before, after) => write!(f, ", between {before:?} and {after:?}")?,
        }
        f.write_str(match self.kind {
            TopicErrorKind::EmptyFragment => ": write a name there, or leave out a slash",
            TopicErrorKind::Character(found) if is_invisible(found) => {
                ": remove it, because nobody sees it"
            }
            TopicErrorKind::Character(_) => {
                ": write a character other than $, ?, #, white space and control characters"
            }
            TopicErrorKind::PartOfFragment => {
                ": write * for one whole fragment, or ** for any number of fragments"
            }
            TopicErrorKind::Wildcard => ": write the name of one topic",
            TopicErrorKind::TooLong(_) | TopicErrorKind::TooManyFragments(_) => {
                ": shorten the text"
            }
        })
    }
}

/// Writes a character, and its name if its number says little.
fn write_character(f: &mut fmt::Formatter<'_>, found: char) -> fmt::Result {
    if is_invisible(found) {
        write!(f, "'{}'", found.escape_unicode())?; // `Debug` escapes not all of them
    } else {
        write!(f, "{found:?}")?;
    }
    match invisible::name(found) {
        Some(name) => write!(f, " ({name})"),
        None => Ok(()),
    }
}
