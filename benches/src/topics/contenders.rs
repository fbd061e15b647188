//! The contenders: indexes of subscriptions.

pub(super) mod hash_map;
pub(super) mod ump_router;
pub(super) mod zenoh;

/// An index of subscriptions, with a value of eight bytes each.
pub(super) trait Index {
    /// The key that removes a subscription, together with its pattern and its value.
    type Key: Copy;

    /// Whether it has wildcards.
    const WILDCARDS: bool;

    fn new() -> Self;

    fn insert(&mut self, pattern: &str, value: u64) -> Self::Key;

    fn remove(&mut self, pattern: &str, value: u64, key: Self::Key);

    /// Gives back memory after many were removed.
    fn tidy(&mut self) {}

    /// Looks up a topic. The text is validated, if the library does so.
    fn find(&self, topic: &str, found: impl FnMut(u64));

    fn find_pattern(&self, pattern: &str, found: impl FnMut(u64));
}

/// Removes one of several values with the same pattern.
fn remove_one(values: &mut Vec<u64>, value: u64) {
    let at = values.iter().position(|&other| other == value);
    values.swap_remove(at.expect("it is there"));
}
