//! Names, and sets of names.
//!
//! A [`Topic`] is one name: fragments joined by slashes, as `price/gold/eur`. A [`Pattern`] is a set of them, written as a topic with
//! wildcards: `*` for exactly one whole fragment, `**` for any number of them, zero too.
//!
//! ```
//! use ump_router::{Pattern, Topic};
//!
//! let gold: Topic = "price/gold/eur".parse()?;
//! for pattern in ["price/gold/eur", "price/*/eur", "price/**", "**/eur", "**", "price/gold/eur/**"] {
//!     assert!(pattern.parse::<Pattern>()?.matches(&gold));
//! }
//! for pattern in ["price/*", "*/eur", "gold", "price/gold/eur/*"] {
//!     assert!(!pattern.parse::<Pattern>()?.matches(&gold));
//! }
//! # Ok::<_, ump_router::TopicError>(())
//! ```
//!
//! A text is validated once, when it becomes one of these. A [`TopicError`] says what is wrong, and where. Functions that need a topic or a
//! pattern take either the text or the validated form ([`IntoTopic`], [`IntoPattern`]); who uses a name more than once does better to keep
//! a `Topic`, whose clones cost little.
//!
//! ```
//! use ump_router::{Topic, TopicErrorKind};
//!
//! let error = "price/gold bars".parse::<Topic>().unwrap_err();
//! assert_eq!((error.kind(), error.position()), (TopicErrorKind::Character(' '), 10));
//! ```
//!
//! Wildcards mean the same on both sides. A message that is published on a pattern reaches a subscription if there is a topic that both fit, and
//! this is decided exactly ([`Pattern::intersects`]); which topic that could be is told by [`Pattern::common_topic`].
//!
//! ```
//! # use ump_router::Pattern;
//! let (published, subscribed): (Pattern, Pattern) = ("alarm/**".parse()?, "*/kitchen".parse()?);
//! assert!(published.intersects(&subscribed));
//! assert_eq!(published.common_topic(&subscribed).unwrap(), "alarm/kitchen");
//! # Ok::<_, ump_router::TopicError>(())
//! ```
//!
//! A [`TopicIndex`](crate::index::TopicIndex) finds the matching ones of very many patterns.
//!
//! # Limits
//!
//! A topic has at most [`MAX_LENGTH`](Topic::MAX_LENGTH) bytes (1024) and [`MAX_FRAGMENTS`](Topic::MAX_FRAGMENTS) fragments (64), a pattern with
//! wildcards half of that. So what two patterns have in common is never too long for a topic.

mod error;
mod fragments;
pub(crate) mod full_name;
pub(crate) mod grammar;
mod into;
mod matching;
mod name;
mod pattern;
pub(crate) mod positions;
#[cfg(feature = "serde")]
mod serial;

pub use self::{
    error::{TopicError, TopicErrorKind},
    fragments::Fragments,
    into::{IntoPattern, IntoTopic},
    name::Topic,
    pattern::Pattern,
};
