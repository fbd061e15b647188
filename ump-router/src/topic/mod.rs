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
//! Invisible characters, such as a byte-order mark, a zero-width space or a bidirectional mark, are
//! not allowed: two names that look the same would be different.
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
//! [`Pattern::includes`] tells whether one pattern matches all topics of another, and
//! [`Pattern::explain`] why two patterns intersect, or why they do not:
//!
//! ```
//! # use ump_router::Pattern;
//! let (all, gold): (Pattern, Pattern) = ("price/**".parse()?, "price/gold/*".parse()?);
//! assert!(all.includes(&gold) && !gold.includes(&all));
//! assert_eq!(
//!     gold.explain(&"*/silver/eur".parse()?).to_string(),
//!     "'price/gold/*' and '*/silver/eur' have no topic in common: fragment 2 is 'gold' in one and 'silver' in the other"
//! );
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
//!
//! These are the limits of what you write, to publish, subscribe, retain, serve or request. The
//! [prefix](crate::Message::PREFIX) of the type does not count, and no position in an error counts
//! it. The full names in the lists and changes of a router have the prefix, so they can be longer.

mod error;
mod explain;
pub(crate) mod fragments;
pub(crate) mod full_name;
pub(crate) mod grammar;
mod into;
pub(crate) mod invisible;
mod matching;
mod name;
mod pattern;
pub(crate) mod positions;
#[cfg(feature = "serde")]
mod serial;

pub use self::{
    error::{TopicError, TopicErrorKind},
    explain::{Conflict, Explanation, Place, Relation},
    fragments::Fragments,
    into::{IntoPattern, IntoPatterns, IntoTopic},
    name::Topic,
    pattern::Pattern,
};
