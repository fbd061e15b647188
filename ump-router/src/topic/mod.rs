//! Names: topics and patterns of them.

/// A concrete name.
#[derive(Clone, Debug)]
pub struct Topic;
/// A set of names.
#[derive(Clone, Debug)]
pub struct Pattern;
/// What is wrong with a name.
#[derive(Clone, Debug)]
pub struct TopicError;
