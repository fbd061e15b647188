//! The stamp of a change of a retained message: the newest one of a topic wins.

/// When a retained message was published or removed, and by which router.
///
/// Of two changes of a topic, the one with the greater stamp wins everywhere: the later one, and of
/// the same time that of the router with the greater number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// Microseconds since 1970, UTC, or more: above all stamps that the router had seen. 0 asks the
    /// receiver for a stamp.
    pub time: u64,
    /// The number of the router.
    pub router: u128,
}
