//! Requests of one link at the server of another, and their outcomes.

use std::time::Instant;

use ump::Executed;

use super::{Relay, Sessions};
use crate::link::{
    session::{Call, Outcome, Rejected, Session},
    sockets::driver::{LinkId, calls::Incoming},
    wire::Failure,
};

impl Relay {
    /// A link makes a request that no server of this process answers.
    pub(super) fn on_request(
        &mut self,
        sessions: &mut impl Sessions,
        now: Instant,
        caller: LinkId,
        incoming: &Incoming,
    ) {
        let request = incoming.request;
        self.touched.insert(caller);
        // From here on it may be executed: the server takes it when it likes. If nobody waits for
        // it any more, it has its answer.
        if !sessions
            .session(caller)
            .is_some_and(|session| session.take(now, request))
        {
            return;
        }
        let asked = self.ask(sessions, now, caller, incoming);
        if let (Err(failure), Some(session)) = (asked, sessions.session(caller)) {
            let _ = session.fail(request, failure, Executed::No, "");
        }
    }

    fn ask(
        &mut self,
        sessions: &mut impl Sessions,
        now: Instant,
        caller: LinkId,
        incoming: &Incoming,
    ) -> Result<(), Failure> {
        let server = self.server_of(&incoming.topic, caller);
        let server = server.ok_or(Failure::NoServer)?;
        if !sessions.has_queue_room(server) {
            return Err(Failure::Full);
        }
        let session = sessions.session(server).ok_or(Failure::ServerLost)?;
        let call = Call {
            topic: incoming.topic.clone(),
            deadline: incoming.deadline,
            codec: incoming.codec,
            payload: incoming.payload.clone(),
        };
        let id = session.request(now, &call).map_err(|error| match error {
            Rejected::TooLong(_) => Failure::TooLarge,
            Rejected::NotOpen => Failure::ServerLost,
            _ => Failure::Full,
        })?;
        self.touched.insert(server);
        if let Some(side) = self.sides.get_mut(&server) {
            side.asked.insert(id, (caller, incoming.request));
        }
        if let Some(side) = self.sides.get_mut(&caller) {
            side.received.insert(incoming.request, (server, id));
        }
        Ok(())
    }

    /// The caller waits no more, or its link is lost.
    pub(super) fn on_withdrawn(
        &mut self,
        sessions: &mut impl Sessions,
        caller: LinkId,
        request: u64,
    ) {
        let side = self.sides.get_mut(&caller);
        let Some((server, id)) = side.and_then(|side| side.received.remove(&request)) else {
            return;
        };
        if let Some(side) = self.sides.get_mut(&server) {
            side.asked.remove(&id);
        }
        if let Some(session) = sessions.session(server) {
            let _ = session.cancel(id); // an error if it has ended
            self.touched.insert(server);
        }
    }

    /// A request at a link has ended.
    pub(super) fn on_ended(
        &mut self,
        sessions: &mut impl Sessions,
        server: LinkId,
        id: u64,
        outcome: Outcome,
    ) {
        if let Outcome::LinkLost(_) = outcome {
            // So that a caller that has its outcome does not find the server again.
            self.end_claims(sessions, server);
        }
        let side = self.sides.get_mut(&server);
        let Some((caller, request)) = side.and_then(|side| side.asked.remove(&id)) else {
            return; // it was cancelled
        };
        if let Some(side) = self.sides.get_mut(&caller) {
            side.received.remove(&request);
        }
        let has_room = sessions.has_queue_room(caller);
        if let Some(session) = sessions.session(caller) {
            answer(session, request, outcome, has_room);
            self.touched.insert(caller);
        }
    }
}

/// Answers the caller with the outcome that the request had at the server's link.
fn answer(session: &mut Session, request: u64, outcome: Outcome, has_room: bool) {
    let executed = outcome.executed();
    let failure = match outcome {
        Outcome::Reply { .. } | Outcome::Refused { .. } if !has_room => Failure::Full,
        // An error if the caller is gone, or if it gets another failure instead.
        Outcome::Reply { codec, payload } => {
            let _ = session.reply(request, codec, Ok(&payload));
            return;
        }
        Outcome::Refused { codec, payload } => {
            let _ = session.reply(request, codec, Err(&payload));
            return;
        }
        Outcome::Failed { failure, text, .. } => {
            let _ = session.fail(request, failure, executed, &text);
            return;
        }
        Outcome::Cancelled(_) => Failure::Cancelled,
        Outcome::TimedOut(_) => Failure::TimedOut,
        Outcome::LinkLost(_) => Failure::ServerLost,
    };
    let _ = session.fail(request, failure, executed, "");
}
