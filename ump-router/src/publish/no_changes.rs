//! What a bus notes of its retained messages without links: nothing.

use std::time::Instant;

use super::received::Received;
use crate::{
    deferred::DeferredWakes,
    topic::{Pattern, Topic},
};

#[derive(Debug, Default)]
pub(super) struct ChangeLog(());

#[expect(clippy::unused_self, reason = "as with links")]
impl ChangeLog {
    #[inline]
    pub(super) fn retained<M>(
        &mut self,
        _: Topic,
        message: Received<M>,
        _: Option<Instant>,
        _: &mut DeferredWakes,
    ) -> Received<M> {
        message
    }

    #[inline]
    pub(super) fn removed(&mut self, _: &Pattern, _: &mut DeferredWakes) {}

    #[inline]
    pub(super) fn expired(&mut self, _: &Pattern) {}
}
