//! Virtual time for tests.

pub(crate) mod test_clock;
