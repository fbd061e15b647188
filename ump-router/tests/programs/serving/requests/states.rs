//! Where a request is, and its outcome, in the model.

use ump_router::{Error, RequestError};

use super::{Ask, CallOptions, Pending, Serving};

/// Where a request is. The number is that of its server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::serving) enum State {
    /// Not sent yet. It keeps the server that was found for it.
    Made(Option<u32>),
    LooksForServer,
    WaitsForRoom(u32),
    Queued(u32),
    Taken(u32),
    /// Ended at this server, in this outcome.
    Done(u32, Outcome),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::serving) enum Outcome {
    Reply(u32),
    Failed,
    NoReply,
    NoServer,
    Closed,
    /// The server left before it took the request.
    Lost,
    Full,
    TimeoutQueued,
    TimeoutTaken,
}

impl Outcome {
    /// The outcome of a request whose message has this number.
    pub(super) fn of(outcome: Result<u32, RequestError<Ask>>, number: u32) -> Self {
        let error = match outcome {
            Ok(reply) => return Self::Reply(reply),
            Err(error) => error,
        };
        let (message, outcome) = match error {
            RequestError::NoServer(message) => (Some(message), Outcome::NoServer),
            RequestError::NotMade(message, Error::Closed) => (Some(message), Outcome::Closed),
            RequestError::Ended(error) => match error {
                ump::RequestError::ServerDisappeared(message) => (Some(message), Outcome::Lost),
                ump::RequestError::Full(message) => (Some(message), Outcome::Full),
                ump::RequestError::TimeoutQueued(message) => {
                    (Some(message), Outcome::TimeoutQueued)
                }
                ump::RequestError::TimeoutTaken => (None, Outcome::TimeoutTaken),
                ump::RequestError::NoReply(ump::NoReply::Dropped) => (None, Outcome::NoReply),
                ump::RequestError::App(()) => (None, Outcome::Failed),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        };
        if let Some(message) = message {
            assert_eq!(message.number, number);
        }
        outcome
    }
}

impl Serving {
    /// Advances the request as far as it gets by itself.
    pub(super) fn advance(&mut self, place: usize) -> Option<Outcome> {
        loop {
            let request = &self.requests[place];
            let Pending {
                number,
                call_options,
                pinned_to,
                ..
            } = *request;
            let topic = request.topic.clone();
            let is_late = request.is_late(self.now);
            let next = match request.state {
                State::Made(_) if pinned_to.is_some() => {
                    let server = self.server_of(&topic).filter(|id| pinned_to == Some(*id));
                    match server {
                        Some(server) => State::WaitsForRoom(server),
                        None if self.is_closed => return Some(Outcome::Closed),
                        None => return Some(Outcome::Lost),
                    }
                }
                State::Made(_) | State::LooksForServer => match self.server_of(&topic) {
                    Some(server) => State::WaitsForRoom(server),
                    None if self.is_closed => return Some(Outcome::Closed),
                    None if !call_options.waits || is_late => return Some(Outcome::NoServer),
                    None => {
                        self.requests[place].state = State::LooksForServer;
                        return None;
                    }
                },
                State::WaitsForRoom(server) => self.enter(server, number, call_options, is_late)?,
                State::Queued(server) if is_late => {
                    self.revoke(server, number);
                    self.count(server, |counts| &mut counts.timeout_queued);
                    return Some(Outcome::TimeoutQueued);
                }
                State::Taken(server) if is_late => {
                    self.count(server, |counts| &mut counts.timeout_taken);
                    return Some(Outcome::TimeoutTaken);
                }
                State::Queued(_) | State::Taken(_) => return None,
                State::Done(_, Outcome::Lost)
                    if pinned_to.is_none()
                        && (call_options.waits || self.server_of(&topic).is_some()) =>
                {
                    State::LooksForServer
                }
                State::Done(_, outcome) => return Some(outcome),
            };
            self.requests[place].state = next;
        }
    }

    /// Puts the request into the channel, refuses it, or lets it wait for room.
    fn enter(
        &mut self,
        id: u32,
        number: u32,
        call_options: CallOptions,
        is_late: bool,
    ) -> Option<State> {
        let refused = if is_late {
            Outcome::TimeoutQueued
        } else if self.has_ended(id) {
            Outcome::Lost
        } else if self.try_enter(id, number, call_options) {
            return Some(State::Queued(id));
        } else if call_options.if_room {
            Outcome::Full
        } else {
            self.channel_of(id)?
                .await_room(number, call_options.is_urgent);
            return None;
        };
        self.stop_awaiting_room(id, number, call_options);
        self.count(id, |counts| &mut counts.refused);
        Some(State::Done(id, refused))
    }

    /// Returns whether the request enters the channel. Late requests may have to make room.
    fn try_enter(&mut self, id: u32, number: u32, call_options: CallOptions) -> bool {
        let late = self.requests.iter();
        let late = late.filter(|request| request.is_late(self.now));
        let late: Vec<_> = late.map(|request| request.number).collect();
        let Some(channel) = self.channel_of(id) else {
            return false;
        };
        let is_late = |number| late.contains(&number);
        let (enters, rejected) = channel.enter(number, call_options.is_urgent, is_late);
        for number in rejected {
            self.set_state(number, State::Done(id, Outcome::TimeoutQueued));
        }
        enters
    }

    pub(super) fn stop_awaiting_room(
        &mut self,
        server: u32,
        number: u32,
        call_options: CallOptions,
    ) {
        if let Some(channel) = self.channel_of(server) {
            channel.stop_awaiting_room(number, call_options.is_urgent);
        }
    }

    pub(super) fn revoke(&mut self, server: u32, number: u32) {
        if let Some(channel) = self.channel_of(server) {
            channel.revoke(number);
        }
    }

    /// Records what happened to a request at its server.
    pub(in crate::serving) fn set_state(&mut self, number: u32, state: State) {
        let mut requests = self.requests.iter_mut();
        let request = requests.find(|request| request.number == number);
        request.expect("the request is pending").state = state;
    }
}
