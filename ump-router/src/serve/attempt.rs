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
    notify::{Notified, Notify},
    protocol::RequestMessage,
    registry::Registry,
    sync::Shared,
    timeout::timeout_at,
    topic::{IntoTopic, Topic},
};

/// A request that is to be made, or under way.
pub(super) struct Attempt<P: RequestMessage> {
    target: Target<P>,
    pub(super) options: RequestOptions,
    /// While no server has it.
    message: Option<P>,
}

/// Who is asked.
enum Target<P: RequestMessage> {
    /// Who serves the topic, as far as is known. Has it left, the topic is looked up again.
    Server(Shared<Serving<P>>),
    /// Whoever serves the topic.
    Topic(Arc<Servers<P>>, Topic),
    /// NoServerYet can be.
    Invalid(Box<Error>),
}

/// How a request is to be made.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestOptions {
    caller: &'static Location<'static>,
    pub(super) deadline: Option<Instant>,
    pub(super) is_urgent: bool,
    pub(super) if_room: bool,
    /// For a server, if there is none.
    pub(super) waits: bool,
}

pub(super) type RequestResult<P> = Result<<P as RequestMessage>::Reply, RequestError<P>>;

/// Somebody may come.
struct NoServerYet {
    comes: Notified<Arc<Notify>>,
    clock: Clock,
}

type ChannelRequest<'a, P> =
    ump::Request<'a, Call<P>, <P as RequestMessage>::Reply, <P as RequestMessage>::Error>;

impl<P: RequestMessage> Attempt<P> {
    pub(super) fn new(
        registry: &Registry,
        topic: impl IntoTopic,
        message: P,
        caller: &'static Location<'static>,
    ) -> Self {
        Self {
            target: Target::find(registry, topic),
            options: RequestOptions {
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
            Target::Topic(_, topic) => Ok(topic),
            Target::Invalid(error) => Err(error),
        }
    }

    /// That by which its deadline is; none if nobody can be asked.
    pub(super) fn clock(&self) -> Option<&Clock> {
        match &self.target {
            Target::Server(serving) => Some(serving.client.clock()),
            Target::Topic(servers, _) => Some(servers.clock()),
            Target::Invalid(_) => None,
        }
    }

    /// Asks until there is an outcome; blocks.
    pub(super) fn run_blocking(mut self) -> RequestResult<P> {
        loop {
            let step = match self.find_server()? {
                None => {
                    let outcome = self.request().wait();
                    self.handle_result(outcome)
                }
                Some(NoServerYet { comes, clock }) => {
                    let came = clock.block_on(comes, self.options.deadline).is_some();
                    self.continue_if(came)
                }
            };
            if let ControlFlow::Break(outcome) = step {
                return outcome;
            }
        }
    }

    /// Asks until there is an outcome.
    pub(super) async fn run(mut self) -> RequestResult<P> {
        loop {
            let step = match self.find_server()? {
                None => {
                    let outcome = self.request().await;
                    self.handle_result(outcome)
                }
                Some(NoServerYet { comes, clock }) => {
                    let came = timeout_at(comes, self.options.deadline, &clock).await;
                    self.continue_if(came)
                }
            };
            if let ControlFlow::Break(outcome) = step {
                return outcome;
            }
        }
    }

    /// The request to the server that was found, if it has not left. It owns its client, so that it can be kept.
    pub(super) fn request_owned(&mut self) -> Option<ChannelRequest<'static, P>> {
        let Target::Server(serving) = &self.target else {
            return None;
        };
        if serving.has_left() {
            return None;
        }
        let call = serving.call(take(&mut self.message));
        let client = Shared::clone(&serving.client);
        Some(self.options.of(ump::Client::request_owned(client, call)))
    }

    /// What to do about the outcome at the server that was asked.
    pub(super) fn handle_result(
        &mut self,
        outcome: Result<P::Reply, ump::RequestError<Call<P>, P::Error>>,
    ) -> ControlFlow<RequestResult<P>> {
        let error = match outcome {
            Ok(reply) => return ControlFlow::Break(Ok(reply)),
            Err(error) => error.map_message(Call::into_message),
        };
        match error {
            ump::RequestError::ServerDisappeared(message) => self.redirect(message),
            error => ControlFlow::Break(Err(RequestError::Ended(error))),
        }
    }

    /// The server has left before it took the request: goes on to the one that follows, if there is one or it is to be waited for.
    #[cold]
    fn redirect(&mut self, message: P) -> ControlFlow<RequestResult<P>> {
        let Some(next) = self.target.successor(self.options.waits) else {
            let error = ump::RequestError::ServerDisappeared(message);
            return ControlFlow::Break(Err(RequestError::Ended(error)));
        };
        self.target = next;
        self.message = Some(message);
        ControlFlow::Continue(())
    }

    /// Makes a server the target, or tells that there is none.
    fn find_server(&mut self) -> Result<Option<NoServerYet>, RequestError<P>> {
        if let Target::Server(serving) = &self.target {
            if !serving.has_left() {
                return Ok(None);
            }
            self.target = Target::look_up_again(serving);
        }
        let (servers, topic) = match &self.target {
            Target::Topic(servers, topic) => (servers, topic),
            Target::Server(_) => return Ok(None),
            Target::Invalid(error) => {
                let error = Error::clone(error);
                return Err(RequestError::NotMade(take(&mut self.message), error));
            }
        };
        if let Some(serving) = servers.find(topic.as_str()) {
            self.target = Target::Server(serving);
            return Ok(None);
        }
        // Who comes from now on is noticed.
        let comes = Notify::notified(Arc::clone(&servers.server_arrived));
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
        if !self.options.waits {
            return Err(RequestError::NoServer(take(&mut self.message)));
        }
        let clock = servers.clock().clone();
        Ok(Some(NoServerYet { comes, clock }))
    }

    /// The request to the server that is the target.
    fn request(&mut self) -> ChannelRequest<'_, P> {
        let Target::Server(serving) = &self.target else {
            unreachable!("a server was found");
        };
        let call = serving.call(take(&mut self.message));
        self.options.of(serving.client.request(call))
    }

    fn continue_if(&mut self, came: bool) -> ControlFlow<RequestResult<P>> {
        if came {
            return ControlFlow::Continue(());
        }
        ControlFlow::Break(Err(RequestError::NoServer(take(&mut self.message))))
    }
}

impl<P: RequestMessage> Target<P> {
    fn find(registry: &Registry, topic: impl IntoTopic) -> Self {
        // What is served is a topic, so that its name need not be looked at.
        if let Some(serving) = registry.server(topic.as_text()) {
            return Self::Server(serving);
        }
        let servers = registry.servers_of();
        let named = servers.and_then(|servers| Ok((servers, topic.into_topic()?)));
        match named {
            Ok((servers, topic)) => Self::Topic(Arc::clone(servers), topic),
            Err(error) => Self::Invalid(Box::new(error)),
        }
    }

    /// When a server has left.
    fn look_up_again(serving: &Serving<P>) -> Self {
        match serving.servers.upgrade() {
            Some(servers) => Self::Topic(servers, serving.topic.clone()),
            // The router is gone.
            None => Self::Invalid(Box::new(Error::Closed)),
        }
    }

    /// When a server has ended: the one that follows, or whoever comes, if that is to be waited for.
    fn successor(&self, waits: bool) -> Option<Self> {
        let Self::Server(serving) = self else {
            return None;
        };
        let servers = serving.servers.upgrade()?;
        servers.retire(serving);
        match servers.find(serving.topic.as_str()) {
            Some(next) if !Shared::ptr_eq(&next, serving) => Some(Self::Server(next)),
            Some(_) => None,
            None => waits.then(|| Self::Topic(servers, serving.topic.clone())),
        }
    }
}

impl RequestOptions {
    fn of<'a, P: RequestMessage>(&self, request: ChannelRequest<'a, P>) -> ChannelRequest<'a, P> {
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
