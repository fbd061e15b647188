//! A running system: the launch of its components, their lookup, and their stop.

pub(super) mod balancer;
pub(super) mod component;
pub(super) mod component_context;
pub(super) mod directory;
pub(super) mod launch;
pub(super) mod operation;
pub(super) mod status;
pub(super) mod stop;
pub(super) mod system;
