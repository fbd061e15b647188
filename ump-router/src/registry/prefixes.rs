//! The prefixes of the types in use, no two of which overlap.

use crate::{error::ProtocolError, topic::full_name::check_prefix};

#[derive(Default)]
pub(super) struct Prefixes(Vec<PrefixOwner>);

/// A prefix, and the type that uses it.
pub(super) struct PrefixOwner {
    pub(super) prefix: &'static str,
    pub(super) type_name: &'static str,
}

impl Prefixes {
    /// Adds the prefix of a type.
    ///
    /// # Errors
    /// The prefix is not a topic, is too long, or overlaps with the one of another type.
    pub(super) fn add(&mut self, owner: PrefixOwner) -> Result<(), ProtocolError> {
        let PrefixOwner { prefix, type_name } = owner;
        check_prefix(prefix).map_err(|error| ProtocolError::Prefix { type_name, error })?;
        let overlaps = |other: &&PrefixOwner| {
            begins_with(prefix, other.prefix) || begins_with(other.prefix, prefix)
        };
        if let Some(other) = self.0.iter().find(overlaps) {
            return Err(ProtocolError::Overlap {
                type_name,
                prefix,
                other_type_name: other.type_name,
                other_prefix: other.prefix,
            });
        }
        self.0.push(owner);
        Ok(())
    }
}

/// Returns whether the first fragments of a topic are these.
fn begins_with(topic: &str, fragments: &str) -> bool {
    let rest = topic.strip_prefix(fragments);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
