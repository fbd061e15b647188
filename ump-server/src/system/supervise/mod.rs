//! Supervision: the reaction to the failure of a component, alone or in a group.

pub(super) mod failures;
pub(super) mod instance_record;
pub(super) mod supervision;
