//! Messages about the subscriptions and servers that come and go on a router.
//!
//! [`Bus`](crate::publish::Bus) and [`Servers`](crate::serve::Servers) announce each subscription
//! and each server here; the registry makes the announcements messages on a bus of [`Change`]. What
//! is there now is listed by `status.rs` of each of them.

mod announcer;
mod change;

pub(crate) use self::announcer::{ChangeAnnouncer, ChangeSink};
pub use self::change::{Change, ChangeKind};
