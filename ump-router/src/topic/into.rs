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

/// Converts into the patterns of one subscription: from what converts into one
/// [pattern](IntoPattern), or from an array, a slice or a `Vec` of these, or a reference to one.
///
/// ```
/// # use ump_router::{Bytes, Router};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let router = Router::new();
/// router.subscribe::<Bytes>("a/*")?;
/// router.subscribe::<Bytes>(["a/*", "b/**"])?;
/// router.subscribe::<Bytes>(&["a/*", "b/**"])?;
/// router.subscribe::<Bytes>(vec![String::from("a/*")])?;
/// # Ok(())
/// # }
/// ```
pub trait IntoPatterns: sealed::Patterns {
    /// Converts into patterns.
    ///
    /// # Errors
    /// A text is not a pattern.
    fn into_patterns(self) -> Result<Vec<Pattern>, TopicError>;
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
    pub trait Patterns {}
}

impl<P: IntoPattern> sealed::Patterns for P {}

impl<P: IntoPattern> IntoPatterns for P {
    fn into_patterns(self) -> Result<Vec<Pattern>, TopicError> {
        Ok(vec![self.into_pattern()?])
    }
}

impl<P: IntoPattern, const N: usize> sealed::Patterns for [P; N] {}

impl<P: IntoPattern, const N: usize> IntoPatterns for [P; N] {
    fn into_patterns(self) -> Result<Vec<Pattern>, TopicError> {
        self.into_iter().map(IntoPattern::into_pattern).collect()
    }
}

impl<P: IntoPattern> sealed::Patterns for Vec<P> {}

impl<P: IntoPattern> IntoPatterns for Vec<P> {
    fn into_patterns(self) -> Result<Vec<Pattern>, TopicError> {
        self.into_iter().map(IntoPattern::into_pattern).collect()
    }
}

impl<P: IntoPattern + Clone, const N: usize> sealed::Patterns for &[P; N] {}

impl<P: IntoPattern + Clone, const N: usize> IntoPatterns for &[P; N] {
    fn into_patterns(self) -> Result<Vec<Pattern>, TopicError> {
        self.as_slice().into_patterns()
    }
}

impl<P: IntoPattern + Clone> sealed::Patterns for &Vec<P> {}

impl<P: IntoPattern + Clone> IntoPatterns for &Vec<P> {
    fn into_patterns(self) -> Result<Vec<Pattern>, TopicError> {
        self.as_slice().into_patterns()
    }
}

impl<P: IntoPattern + Clone> sealed::Patterns for &[P] {}

impl<P: IntoPattern + Clone> IntoPatterns for &[P] {
    fn into_patterns(self) -> Result<Vec<Pattern>, TopicError> {
        let all = self.iter().cloned();
        all.map(IntoPattern::into_pattern).collect()
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
