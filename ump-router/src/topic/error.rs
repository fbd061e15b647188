//! Why a text is no topic or pattern, and where.

use std::fmt;

/// A text is no [`Topic`](super::Topic), or no [`Pattern`](super::Pattern).
///
/// The message shows the place and says what to do:
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
    /// What precedes the place; the end of it, if it is long.
    before: Box<str>,
    /// The text from the place on; the beginning of it, if it is long.
    after: Box<str>,
}

/// What is wrong with a text that is no topic or pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum TopicErrorKind {
    /// There is nothing before the first slash, after the last one, or between two.
    EmptyFragment,
    /// This character can be in no topic: it is one of `$ ? #`, white space, or a control character.
    Character(char),
    /// `*` stands beside something else in its fragment, or there are more than two.
    PartOfFragment,
    /// There is a wildcard where a concrete topic is asked for.
    Wildcard,
    /// There are more bytes than this: [`Topic::MAX_LENGTH`](super::Topic::MAX_LENGTH), or with a wildcard
    /// [`Pattern::MAX_LENGTH`](super::Pattern::MAX_LENGTH).
    TooLong(usize),
    /// There are more fragments than this: [`Topic::MAX_FRAGMENTS`](super::Topic::MAX_FRAGMENTS), or with a wildcard
    /// [`Pattern::MAX_FRAGMENTS`](super::Pattern::MAX_FRAGMENTS).
    TooManyFragments(usize),
}

impl TopicError {
    /// How much is kept of the text on either side of the place, in bytes.
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

    /// What is wrong.
    #[must_use]
    pub fn kind(&self) -> TopicErrorKind {
        self.kind
    }

    /// How many bytes of the text precede the place: all of them if something is missing at its end.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// The text around the place: as much as 40 bytes before it, and as much from there on.
    #[must_use]
    pub fn around(&self) -> (&str, &str) {
        (&self.before, &self.after)
    }
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TopicErrorKind::EmptyFragment => f.write_str("empty fragment")?,
            TopicErrorKind::Character(found) => write!(f, "{found:?} is not allowed")?,
            TopicErrorKind::PartOfFragment => f.write_str("'*' is not alone in its fragment")?,
            TopicErrorKind::Wildcard => f.write_str("wildcard in a topic")?,
            TopicErrorKind::TooLong(limit) => write!(f, "longer than {limit} bytes")?,
            TopicErrorKind::TooManyFragments(limit) => write!(f, "more than {limit} fragments")?,
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
            TopicErrorKind::Character(_) => ": write something else than white space, $, ? and #",
            TopicErrorKind::PartOfFragment => {
                ": write * for one whole fragment, ** for any number of them"
            }
            TopicErrorKind::Wildcard => ": name one topic",
            TopicErrorKind::TooLong(_) | TopicErrorKind::TooManyFragments(_) => ": shorten it",
        })
    }
}
