//! What a link does, for those that ask.

use std::{sync::Arc, time::Instant};

use super::{Connection, LinkId, Opened, Peer};
use crate::link::{
    session::Session,
    sockets::{
        access::Identity,
        status::{LinkState, LinkStatus},
    },
};

/// A [`LinkState`] that is cheap to compare: it is looked at after all that a link does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Resolving,
    Connecting,
    Handshake,
    Open { since: Instant, is_ready: bool },
    Waiting(Instant),
    StandingBy(LinkId),
    Closing,
    Closed,
}

impl Peer {
    fn phase(&self) -> Phase {
        if let (Some((twin, _)), Some(_)) = (&self.stands_by_for, &self.target) {
            return Phase::StandingBy(*twin);
        }
        match (&self.connection, &self.target) {
            (Some(connection), _) => phase_of(connection),
            (None, None) => Phase::Closed,
            (None, Some(target)) if target.is_resolving() => Phase::Resolving,
            (None, Some(_)) => self.retry_at.map_or(Phase::Connecting, Phase::Waiting),
        }
    }

    fn state(&self, phase: Phase) -> LinkState {
        match phase {
            Phase::Resolving => LinkState::Resolving,
            Phase::Connecting => LinkState::Connecting,
            Phase::Handshake => LinkState::Handshake,
            Phase::Open { since, is_ready } => LinkState::Open {
                identity: self
                    .access
                    .identity()
                    .cloned()
                    .unwrap_or(Identity::Anonymous { address: None }),
                program: self
                    .opened()
                    .map_or_else(String::new, |it| it.program.clone()),
                since,
                is_ready,
            },
            Phase::Waiting(retry_at) => LinkState::Waiting {
                failure: self.last_failure(),
                retry_at,
            },
            Phase::StandingBy(_) => LinkState::StandingBy {
                link: match &self.stands_by_for {
                    Some((_, name)) => Arc::clone(name),
                    None => Arc::from(""),
                },
            },
            Phase::Closing => LinkState::Closing,
            Phase::Closed => LinkState::Closed,
        }
    }

    fn opened(&self) -> Option<&Opened> {
        self.connection.as_ref()?.opened.as_ref()
    }

    pub(in super::super) fn status(&self) -> LinkStatus {
        let connection = self.connection.as_ref();
        let session = connection.and_then(|it| it.session.as_ref());
        let (mut received, mut sent) = self.past;
        if let Some(session) = session {
            received += session.received_so_far();
            sent += session.sent_so_far();
        }
        LinkStatus {
            name: Arc::clone(&self.name),
            state: self.state(self.phase()),
            received,
            sent,
            queued_bytes: session.map_or(0, Session::unsent),
        }
    }

    /// Tells those that watch the link, if what it does has changed.
    pub(in super::super) fn publish_state(&mut self) {
        let Some(publisher) = &self.state else {
            return; // it was accepted
        };
        let phase = self.phase();
        if self.published != Some(phase) {
            publisher.publish(self.state(phase));
            self.published = Some(phase);
        }
    }
}

fn phase_of(connection: &Connection) -> Phase {
    match (&connection.opened, &connection.session) {
        (_, Some(session)) if session.is_closing() => Phase::Closing,
        (Some(opened), _) => Phase::Open {
            since: opened.since,
            is_ready: connection.is_ready(),
        },
        (None, Some(_)) => Phase::Handshake,
        (None, None) => Phase::Connecting,
    }
}
