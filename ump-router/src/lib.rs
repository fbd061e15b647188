#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod index;
pub mod topic;

pub use crate::topic::{Pattern, Topic, TopicError, TopicErrorKind};
