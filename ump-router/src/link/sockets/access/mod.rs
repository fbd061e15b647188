//! Who may do what over a link: identities, rules and quotas.

mod identity;
mod quotas;
mod rules;
mod text;

pub(super) use self::identity::Owner;
pub use self::{
    identity::{Identity, Who},
    quotas::{Quota, Quotas},
    rules::{Permission, Rules},
    text::RulesError,
};
