//! The programs: the same store behind the same front, with different plumbing.

pub(crate) mod actix_actor;
pub(crate) mod failure;
pub(crate) mod kameo_actor;
pub(crate) mod ractor_factory;
pub(crate) mod tokio_mpsc;
pub(crate) mod ump_service;
