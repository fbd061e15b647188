//! The attributes and groups of components, as plain data.

pub(super) mod attributes;
pub(super) mod group;
