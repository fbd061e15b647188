//! Conversions into topics and patterns.

use super::{error::TopicError, name::Topic, pattern::Pattern};

/// Converts into a [`Topic`]: from text, which is validated, or from a `Topic`, which is not
/// validated again.
///
/// Implemented for `&str`, `String`, `&String`, `Topic` and `&Topic`, and for nothing else.
pub trait IntoTopic: sealed::Topic {
    /// Converts into a topic.
    ///
    /// # Errors
    /// The text is not a topic.
    fn into_topic(self) -> Result<Topic, TopicError>;
}

/// Converts into a [`Pattern`]: from text, which is validated, or from a `Pattern` or a [`Topic`],
/// which are not validated again.
///
/// Implemented for `&str`, `String`, `&String`, `Topic`, `&Topic`, `Pattern` and `&Pattern`, and
/// for nothing else.
pub trait IntoPattern: sealed::Pattern {
    /// Converts into a pattern.
    ///
    /// # Errors
    /// The text is not a pattern.
    fn into_pattern(self) -> Result<Pattern, TopicError>;
}

#[expect(unnameable_types, reason = "sealed traits")]
mod sealed {
    pub trait Topic {
        /// Returns the text, valid or not.
        fn as_text(&self) -> &str;
    }
    pub trait Pattern {
        /// Returns the text, valid or not.
        fn as_text(&self) -> &str;
    }
}

macro_rules! text {
    ($($text:ty),*) => {$(
        impl sealed::Topic for $text {
            fn as_text(&self) -> &str {
                self
            }
        }

        impl sealed::Pattern for $text {
            fn as_text(&self) -> &str {
                self
            }
        }

        impl IntoTopic for $text {
            fn into_topic(self) -> Result<Topic, TopicError> {
                self.parse()
            }
        }

        impl IntoPattern for $text {
            fn into_pattern(self) -> Result<Pattern, TopicError> {
                self.parse()
            }
        }
    )*};
}

text!(&str, String, &String);

macro_rules! valid {
    ($sealed:ident, $into:ident, $method:ident, $target:ty, $($valid:ty),*) => {$(
        impl sealed::$sealed for $valid {
            fn as_text(&self) -> &str {
                self.as_str()
            }
        }

        impl $into for $valid {
            fn $method(self) -> Result<$target, TopicError> {
                Ok(self.to_owned().into())
            }
        }
    )*};
}

valid!(Topic, IntoTopic, into_topic, Topic, Topic, &Topic);
valid!(
    Pattern,
    IntoPattern,
    into_pattern,
    Pattern,
    Topic,
    &Topic,
    Pattern,
    &Pattern
);
