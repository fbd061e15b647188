//! A link that may stand by for another one to the same router. See `twins.rs`.

use std::{mem::take, sync::Arc};

use super::{
    LinkId, Peer, Shared, Waiting,
    timing::{FIRST_PAUSE, LONGEST_PAUSE},
};
use crate::link::{sockets::driver::access::Owner, wire::GoodbyeReason};

impl Peer {
    /// Returns whether this router has connected it.
    pub(in super::super) fn is_kept(&self) -> bool {
        !self.for_others.is_accepted()
    }

    pub(in super::super) fn is_open(&self) -> bool {
        let connection = self.connection.as_ref();
        connection.is_some_and(|it| it.opened.is_some())
    }

    /// Returns whether a session that was open has ended since the last call.
    pub(in super::super) fn take_ended(&mut self) -> bool {
        take(&mut self.has_ended) && !self.is_open()
    }

    /// Returns whether the session has opened since the last call.
    pub(in super::super) fn take_opened(&mut self) -> bool {
        take(&mut self.has_opened) && self.is_open()
    }

    /// Returns the number of the other router, while the session is open, if it has told one.
    pub(in super::super) fn router(&self) -> Option<u128> {
        let opened = self.connection.as_ref()?.opened.as_ref()?;
        Some(opened.router).filter(|router| *router != 0)
    }

    /// Returns whose connection it is, once that is known.
    pub(in super::super) fn owner(&self) -> Option<Owner> {
        self.access.owner()
    }

    /// Returns the link for which this one stands by.
    pub(in super::super) fn twin(&self) -> Option<LinkId> {
        self.twin
    }

    /// Uses the link, unless it stands by.
    pub(in super::super) fn use_link(&mut self) {
        if self.twin.is_none() {
            self.stands_by_for = None;
        }
        let connection = self.connection.as_mut();
        if let Some(opened) = connection.and_then(|it| it.opened.as_mut()) {
            opened.is_used = self.twin.is_none();
        }
    }

    /// Closes the session, and connects again later. Returns those that wait until it is open.
    pub(in super::super) fn stand_by(
        &mut self,
        shared: &Shared,
        twin: (LinkId, Arc<str>),
    ) -> Vec<Waiting> {
        self.twin = Some(twin.0);
        self.stands_by_for = Some(twin);
        self.pause = LONGEST_PAUSE;
        self.leave_for_twin(shared);
        let now = shared.clock.now();
        if let Some(session) = self.session() {
            let text = "another link to the same router is open";
            session.close(now, GoodbyeReason::Done, text);
        }
        take(&mut self.openers)
    }

    /// Sends what waits, and tells the subscriptions of the peer that they may miss what comes
    /// until they are known by the other link.
    pub(in super::super) fn leave_for_twin(&mut self, shared: &Shared) {
        let opened = self.connection.as_ref().and_then(|it| it.opened.as_ref());
        if !opened.is_some_and(|opened| opened.is_used) {
            return;
        }
        self.send_all(shared);
        let connection = self.connection.as_mut();
        if let Some(session) = connection.and_then(|it| it.session.as_mut()) {
            self.interest.interrupt_peer(session);
        }
    }

    /// A link is lost. If this one stands by for it, it connects at once. Returns whether it stands
    /// by still, for another one.
    pub(in super::super) fn end_standby(&mut self, shared: &Shared, lost: LinkId) -> bool {
        self.stands_by_for.take_if(|(twin, _)| *twin == lost);
        if self.twin.take_if(|twin| *twin == lost).is_some() {
            self.pause = FIRST_PAUSE;
            if self.connection.is_none() && self.target.is_some() {
                self.retry_at = Some(shared.clock.now());
                self.arm(shared);
            }
        }
        self.twin.is_some() || self.stands_by_for.is_some()
    }
}
