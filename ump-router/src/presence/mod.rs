//! Presence: what is subscribed and served on a router, as lists and as messages.

mod change;
mod status;

pub(crate) use self::{change::ChangeAnnouncer, status::Status};
pub use self::{
    change::{Change, ChangeKind},
    status::{RetainedStatus, ServerStatus, SubscriptionStatus},
};
