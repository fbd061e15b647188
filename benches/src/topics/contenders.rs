//! Who finds subscriptions.

pub(super) mod hash_map;
pub(super) mod ump_router;
pub(super) mod zenoh;

/// Subscriptions, with a value of eight bytes each.
pub(super) trait Index {
    /// What else than its pattern and its value one needs to remove a subscription.
    type Key: Copy;

    /// Does it know wildcards?
    const WILDCARDS: bool;

    fn new() -> Self;

    fn insert(&mut self, pattern: &str, value: u64) -> Self::Key;

    fn remove(&mut self, pattern: &str, value: u64, key: Self::Key);

    /// After many have been removed.
    fn tidy(&mut self) {}

    /// The text is validated, where that is usual.
    fn find(&self, topic: &str, found: impl FnMut(u64));

    fn find_pattern(&self, pattern: &str, found: impl FnMut(u64));
}

/// Removes one of several values with the same pattern.
fn remove_one(values: &mut Vec<u64>, value: u64) {
    let at = values.iter().position(|&other| other == value);
    values.swap_remove(at.expect("it is there"));
}
