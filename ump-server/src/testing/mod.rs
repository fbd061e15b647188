//! Virtual time for tests.

pub(crate) mod activity;
pub(crate) mod participant;
mod registry;
pub(crate) mod test_clock;
