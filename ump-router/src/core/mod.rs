//! The router without its surroundings: no locks, no clock, no input and output.

pub(crate) mod claims;
