//! A request by topic on its way, from one server to the next if need be.
//!
//! ```text
//!             server  ┌─────────────────────────────┐
//!   look up ──────────┤ sent ── outcome ────────────┼──► the outcome
//!     ▲  │            └─┬───────────────────────────┘
//!     │  │ no server    │ the server left before it took the request, and has a successor, or the request waits for one
//!     │  ├── does not wait ──► NoServer
//!     │  └── waits for a server, until the deadline ──► NoServer
//!     └─────────────────┘
//! ```
//!
//! A request that comes back from a server was not executed, so another server may have it. It is
//! with one server at a time.

use std::{ops::ControlFlow, panic::Location, sync::Arc};

use ump::{Clock, internal::timeout_at};

use super::{
    channel::ChannelRequest,
    options::{Candidates, RequestOptions},
    target::Target,
};
use crate::{
    error::{Error, RequestError},
    notify::{Notified, Notify},
    protocol::RequestMessage,
    topic::Topic,
};

/// A request that is to be made, or on its way.
pub(super) struct Attempt<P: RequestMessage> {
    target: Target<P>,
    pub(super) options: RequestOptions,
    /// Present while no server has it.
    message: Option<P>,
}

pub(super) type RequestResult<P> = Result<<P as RequestMessage>::Reply, RequestError<P>>;

/// The topic has no server, but may get one.
struct AwaitServer {
    arrived: Notified<Arc<Notify>>,
    clock: Clock,
}

impl<P: RequestMessage> Attempt<P> {
    pub(super) fn new(target: Target<P>, message: P, caller: &'static Location<'static>) -> Self {
        Self::with_options(target, message, RequestOptions::new(caller))
    }

    pub(super) fn with_options(target: Target<P>, message: P, options: RequestOptions) -> Self {
        Self {
            target,
            options,
            message: Some(message),
        }
    }

    pub(super) fn topic(&self) -> Result<&Topic, &Error> {
        self.target.topic()
    }

    /// The clock that the deadline is by. None if there can be no server.
    pub(super) fn clock(&self) -> Option<&Clock> {
        self.target.clock()
    }

    /// Makes the request, at as many servers as it takes; blocks until the outcome.
    pub(super) fn run_blocking(mut self) -> RequestResult<P> {
        loop {
            let step = match self.find_server()? {
                None => {
                    let outcome = self.request().wait();
                    self.handle_outcome(outcome)
                }
                Some(AwaitServer { arrived, clock }) => {
                    let arrived = clock.block_on(arrived, self.options.deadline).is_some();
                    self.continue_if(arrived)
                }
            };
            if let ControlFlow::Break(outcome) = step {
                return outcome;
            }
        }
    }

    /// Makes the request, at as many servers as it takes.
    pub(super) async fn run(mut self) -> RequestResult<P> {
        loop {
            let step = match self.find_server()? {
                None => {
                    let outcome = self.request().await;
                    self.handle_outcome(outcome)
                }
                Some(AwaitServer { arrived, clock }) => {
                    let arrived = timeout_at(&clock, self.options.deadline, arrived).await;
                    self.continue_if(arrived.is_some())
                }
            };
            if let ControlFlow::Break(outcome) = step {
                return outcome;
            }
        }
    }

    /// Returns the request to the server that was found, unless it has left. The request owns its
    /// client, so that it can be stored.
    pub(super) fn request_owned(&mut self) -> Option<ChannelRequest<'static, P>> {
        let Target::Server(serving) = &self.target else {
            return None;
        };
        if serving.has_left() {
            return None;
        }
        let (channel, message) = (&serving.channel, take(&mut self.message));
        Some(channel.request_owned(&serving.topic, message, &self.options))
    }

    /// Decides about the outcome at one server: it ends the request, or another server may have it.
    pub(super) fn handle_outcome(
        &mut self,
        outcome: RequestResult<P>,
    ) -> ControlFlow<RequestResult<P>> {
        match outcome {
            Ok(reply) => ControlFlow::Break(Ok(reply)),
            Err(RequestError::Ended(ump::RequestError::ServerDisappeared(message))) => {
                self.redirect(message)
            }
            Err(error) => ControlFlow::Break(Err(error)),
        }
    }

    /// The server left before it took the request: continues with its successor, or waits for one
    /// if the request does.
    #[cold]
    fn redirect(&mut self, message: P) -> ControlFlow<RequestResult<P>> {
        let next = match self.options.servers {
            Candidates::Present => self.target.successor(false),
            Candidates::Awaited => self.target.successor(true),
            Candidates::Pinned => None,
        };
        let Some(next) = next else {
            let error = ump::RequestError::ServerDisappeared(message);
            return ControlFlow::Break(Err(RequestError::Ended(error)));
        };
        self.target = next;
        self.message = Some(message);
        ControlFlow::Continue(())
    }

    /// Makes a server the target, or returns how to wait for one.
    fn find_server(&mut self) -> Result<Option<AwaitServer>, RequestError<P>> {
        if let Target::Server(serving) = &self.target {
            if !serving.has_left() {
                return Ok(None);
            }
            self.target = if self.options.servers == Candidates::Pinned {
                Target::left(serving)
            } else {
                Target::look_up_again(serving)
            };
        }
        let (servers, topic) = match &self.target {
            Target::Topic(servers, topic) => (servers, topic),
            Target::Server(_) => return Ok(None),
            Target::Left(servers, _) => {
                let is_closed = servers.is_closed();
                let message = take(&mut self.message);
                return Err(if is_closed {
                    RequestError::NotMade(message, Error::Closed)
                } else {
                    RequestError::Ended(ump::RequestError::ServerDisappeared(message))
                });
            }
            Target::Invalid(error) => {
                let error = Error::clone(error);
                return Err(RequestError::NotMade(take(&mut self.message), error));
            }
        };
        if let Some(serving) = servers.find(topic.as_str()) {
            self.target = Target::Server(serving);
            return Ok(None);
        }
        // Register first, then look again: a server that arrives from now on is noticed.
        let arrived = Notify::notified(Arc::clone(&servers.server_arrived));
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
        if self.options.servers != Candidates::Awaited {
            return Err(RequestError::NoServer(take(&mut self.message)));
        }
        let clock = servers.clock().clone();
        Ok(Some(AwaitServer { arrived, clock }))
    }

    /// Returns the request to the server that is the target.
    fn request(&mut self) -> ChannelRequest<'_, P> {
        let Target::Server(serving) = &self.target else {
            unreachable!("`find_server` made a server the target");
        };
        let (channel, message) = (&serving.channel, take(&mut self.message));
        channel.request(&serving.topic, message, &self.options)
    }

    fn continue_if(&mut self, arrived: bool) -> ControlFlow<RequestResult<P>> {
        if arrived {
            return ControlFlow::Continue(());
        }
        ControlFlow::Break(Err(RequestError::NoServer(take(&mut self.message))))
    }
}

fn take<P>(message: &mut Option<P>) -> P {
    message
        .take()
        .expect("a request without a server has its message")
}
