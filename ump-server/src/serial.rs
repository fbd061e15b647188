//! Types that serde does not serialize by itself, for the errors and reports.

use std::{fmt, panic::Location};

use serde::Serializer;

/// As `file:line:column`.
#[expect(
    clippy::ref_option_ref,
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it so"
)]
pub(crate) fn location<S: Serializer>(
    location: &Option<&'static Location<'static>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match location {
        Some(location) => serializer.collect_str(location),
        None => serializer.serialize_none(),
    }
}

/// As its text.
#[cfg(not(any(loom, shuttle)))]
pub(crate) fn text<T: fmt::Display, S: Serializer>(
    it: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(it)
}
