//! Topics, and patterns that match sets of topics.
//!
//! A [`Topic`] is one name: fragments joined by slashes, as `price/gold/eur`. A [`Pattern`] is a
//! topic with wildcards, and matches a set of topics: `*` stands for exactly one whole fragment,
//! `**` for any number of them, also zero.
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
//! A text is validated once, when it becomes a `Topic` or a `Pattern`. A [`TopicError`] says what
//! is wrong, and where. Functions that need a topic or a pattern take either the text or the
//! validated form ([`IntoTopic`], [`IntoPattern`]). If you use a name more than once, keep a
//! `Topic`: its clones are cheap.
//!
//! ```
//! use ump_router::{Topic, TopicErrorKind};
//!
//! let error = "price/gold bars".parse::<Topic>().unwrap_err();
//! assert_eq!((error.kind(), error.position()), (TopicErrorKind::Character(' '), 10));
//! ```
//!
//! Wildcards mean the same on both sides. A message that is published on a pattern reaches a
//! subscription if there is a topic that both patterns match ([`Pattern::intersects`]);
//! [`Pattern::common_topic`] returns such a topic.
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
//! A topic has at most [`MAX_LENGTH`](Topic::MAX_LENGTH) bytes (1024) and
//! [`MAX_FRAGMENTS`](Topic::MAX_FRAGMENTS) fragments (64), a pattern with wildcards half of that.
//! So if two patterns intersect, there is a common topic within the limits of topics.

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
