//! A request by name under way, from one server to the next if need be.
//!
//! ```text
//!            a server ┌────────────────────────────┐
//!   look up ──────────┤ asked ── outcome ──────────┼──► the outcome
//!     ▲  │            └─┬──────────────────────────┘
//!     │  │ nobody       │ it left before it took the request, and another one follows, or is waited for
//!     │  ├── not asked to wait ──► NoServer
//!     │  └── waits, until somebody comes or the deadline ──► NoServer
//!     └─────────────────┘
//! ```
//!
//! A request that comes back from a server was not executed, so it may be given to another one. It is with one server at a time.

use std::{ops::ControlFlow, panic::Location, sync::Arc, time::Instant};

use ump::Clock;

use super::{call::Call, servers::Servers, serving::Serving};
use crate::{
    error::{Error, RequestError},
    notify::{Listener, Signal},
    protocol::Request,
    registry::Protocols,
    sync::Shared,
    timeout::in_time,
    topic::{IntoTopic, Topic},
};

/// A request that is to be made, or under way.
pub(super) struct Attempt<P: Request> {
    target: Target<P>,
    pub(super) terms: Terms,
    /// While no server has it.
    message: Option<P>,
}

/// Who is asked.
enum Target<P: Request> {
    /// Who serves the topic, as far as is known. Has it left, the topic is looked up again.
    Server(Shared<Serving<P>>),
    /// Whoever serves the topic.
    Named(Arc<Servers<P>>, Topic),
    /// Nobody can be.
    Wrong(Box<Error>),
}

/// How a request is to be made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    caller: &'static Location<'static>,
    pub(super) deadline: Option<Instant>,
    pub(super) is_urgent: bool,
    pub(super) if_room: bool,
    /// For a server, if there is none.
    pub(super) waits: bool,
}

pub(super) type Outcome<P> = Result<<P as Request>::Reply, RequestError<P>>;

/// Somebody may come.
struct Nobody {
    comes: Listener<Arc<Signal>>,
    clock: Clock,
}

type Asked<'a, P> = ump::Request<'a, Call<P>, <P as Request>::Reply, <P as Request>::Error>;

impl<P: Request> Attempt<P> {
    pub(super) fn new(
        protocols: &Protocols,
        topic: impl IntoTopic,
        message: P,
        caller: &'static Location<'static>,
    ) -> Self {
        Self {
            target: Target::find(protocols, topic),
            terms: Terms {
                caller,
                deadline: None,
                is_urgent: false,
                if_room: false,
                waits: false,
            },
            message: Some(message),
        }
    }

    pub(super) fn topic(&self) -> Result<&Topic, &Error> {
        match &self.target {
            Target::Server(serving) => Ok(&serving.topic),
            Target::Named(_, topic) => Ok(topic),
            Target::Wrong(error) => Err(error),
        }
    }

    /// That by which its deadline is; none if nobody can be asked.
    pub(super) fn clock(&self) -> Option<&Clock> {
        match &self.target {
            Target::Server(serving) => Some(serving.client.clock()),
            Target::Named(servers, _) => Some(servers.clock()),
            Target::Wrong(_) => None,
        }
    }

    /// Asks until there is an outcome; blocks.
    pub(super) fn ask_blocking(mut self) -> Outcome<P> {
        loop {
            let step = match self.look()? {
                None => {
                    let outcome = self.request().wait();
                    self.settle(outcome)
                }
                Some(Nobody { comes, clock }) => {
                    let came = clock.block_on(comes, self.terms.deadline).is_some();
                    self.go_on_if(came)
                }
            };
            if let ControlFlow::Break(outcome) = step {
                return outcome;
            }
        }
    }

    /// Asks until there is an outcome.
    pub(super) async fn ask(mut self) -> Outcome<P> {
        loop {
            let step = match self.look()? {
                None => {
                    let outcome = self.request().await;
                    self.settle(outcome)
                }
                Some(Nobody { comes, clock }) => {
                    let came = in_time(comes, self.terms.deadline, &clock).await;
                    self.go_on_if(came)
                }
            };
            if let ControlFlow::Break(outcome) = step {
                return outcome;
            }
        }
    }

    /// The request to the server that was found, if it has not left. It owns its client, so that it can be kept.
    pub(super) fn request_owned(&mut self) -> Option<Asked<'static, P>> {
        let Target::Server(serving) = &self.target else {
            return None;
        };
        if serving.has_left() {
            return None;
        }
        let call = serving.call(take(&mut self.message));
        let client = Shared::clone(&serving.client);
        Some(self.terms.of(ump::Client::request_owned(client, call)))
    }

    /// What to do about the outcome at the server that was asked.
    pub(super) fn settle(
        &mut self,
        outcome: Result<P::Reply, ump::RequestError<Call<P>, P::Error>>,
    ) -> ControlFlow<Outcome<P>> {
        let error = match outcome {
            Ok(reply) => return ControlFlow::Break(Ok(reply)),
            Err(error) => error.map_message(Call::into_message),
        };
        match error {
            ump::RequestError::ServerDisappeared(message) => self.follow(message),
            error => ControlFlow::Break(Err(RequestError::Ended(error))),
        }
    }

    /// The server has left before it took the request: goes on to the one that follows, if there is one or it is to be waited for.
    #[cold]
    fn follow(&mut self, message: P) -> ControlFlow<Outcome<P>> {
        let Some(next) = self.target.next(self.terms.waits) else {
            let error = ump::RequestError::ServerDisappeared(message);
            return ControlFlow::Break(Err(RequestError::Ended(error)));
        };
        self.target = next;
        self.message = Some(message);
        ControlFlow::Continue(())
    }

    /// Makes a server the target, or tells that there is none.
    fn look(&mut self) -> Result<Option<Nobody>, RequestError<P>> {
        if let Target::Server(serving) = &self.target {
            if !serving.has_left() {
                return Ok(None);
            }
            self.target = Target::after(serving);
        }
        let (servers, topic) = match &self.target {
            Target::Named(servers, topic) => (servers, topic),
            Target::Server(_) => return Ok(None),
            Target::Wrong(error) => {
                let error = Error::clone(error);
                return Err(RequestError::NotMade(take(&mut self.message), error));
            }
        };
        if let Some(serving) = servers.find(topic.as_str()) {
            self.target = Target::Server(serving);
            return Ok(None);
        }
        // Who comes from now on is noticed.
        let comes = Signal::listen(Arc::clone(&servers.came));
        if let Some(serving) = servers.find(topic.as_str()) {
            self.target = Target::Server(serving);
            return Ok(None);
        }
        if servers.is_closed() {
            return Err(RequestError::NotMade(
                take(&mut self.message),
                Error::Closed,
            ));
        }
        if !self.terms.waits {
            return Err(RequestError::NoServer(take(&mut self.message)));
        }
        let clock = servers.clock().clone();
        Ok(Some(Nobody { comes, clock }))
    }

    /// The request to the server that is the target.
    fn request(&mut self) -> Asked<'_, P> {
        let Target::Server(serving) = &self.target else {
            unreachable!("a server was found");
        };
        let call = serving.call(take(&mut self.message));
        self.terms.of(serving.client.request(call))
    }

    fn go_on_if(&mut self, came: bool) -> ControlFlow<Outcome<P>> {
        if came {
            return ControlFlow::Continue(());
        }
        ControlFlow::Break(Err(RequestError::NoServer(take(&mut self.message))))
    }
}

impl<P: Request> Target<P> {
    fn find(protocols: &Protocols, topic: impl IntoTopic) -> Self {
        // What is served is a topic, so that its name need not be looked at.
        if let Some(serving) = protocols.server(topic.as_text()) {
            return Self::Server(serving);
        }
        let servers = protocols.servers_of();
        let named = servers.and_then(|servers| Ok((servers, topic.into_topic()?)));
        match named {
            Ok((servers, topic)) => Self::Named(Arc::clone(servers), topic),
            Err(error) => Self::Wrong(Box::new(error)),
        }
    }

    /// When a server has left.
    fn after(serving: &Serving<P>) -> Self {
        match serving.servers.upgrade() {
            Some(servers) => Self::Named(servers, serving.topic.clone()),
            // The router is gone.
            None => Self::Wrong(Box::new(Error::Closed)),
        }
    }

    /// When a server has ended: the one that follows, or whoever comes, if that is to be waited for.
    fn next(&self, waits: bool) -> Option<Self> {
        let Self::Server(serving) = self else {
            return None;
        };
        let servers = serving.servers.upgrade()?;
        servers.retire(serving);
        match servers.find(serving.topic.as_str()) {
            Some(next) if !Shared::ptr_eq(&next, serving) => Some(Self::Server(next)),
            Some(_) => None,
            None => waits.then(|| Self::Named(servers, serving.topic.clone())),
        }
    }
}

impl Terms {
    fn of<'a, P: Request>(&self, request: Asked<'a, P>) -> Asked<'a, P> {
        let mut request = request.on_behalf_of(self.caller);
        if let Some(deadline) = self.deadline {
            request = request.deadline(deadline);
        }
        if self.is_urgent {
            request = request.urgent();
        }
        if self.if_room {
            request = request.if_room();
        }
        request
    }
}

fn take<P>(message: &mut Option<P>) -> P {
    message.take().expect("no server has it")
}
