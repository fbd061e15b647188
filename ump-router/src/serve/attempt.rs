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
    in_time::in_time,
    protocol::Request,
    signal::{Listener, Signal},
    sync::Shared,
    topic::Topic,
};

/// How a request is to be made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) caller: &'static Location<'static>,
    pub(super) deadline: Option<Instant>,
    pub(super) is_urgent: bool,
    pub(super) if_room: bool,
    /// For a server, if there is none.
    pub(super) waits: bool,
}

impl Terms {
    pub(super) fn plain(caller: &'static Location<'static>) -> Self {
        Self {
            caller,
            deadline: None,
            is_urgent: false,
            if_room: false,
            waits: false,
        }
    }
}

/// A request under way.
pub(super) struct Attempt<P: Request> {
    /// Who serves the topic, if it was found and has not been asked.
    found: Option<Shared<Serving<P>>>,
    /// Where to look for others; once that is needed.
    named: Option<(Arc<Servers<P>>, Topic)>,
    terms: Terms,
    /// While no server has it.
    message: Option<P>,
}

enum Look<P: Request> {
    Server(Shared<Serving<P>>),
    /// Somebody may come.
    Nobody(Listener<Arc<Signal>>, Clock),
}

pub(super) type Outcome<P> = Result<<P as Request>::Reply, RequestError<P>>;

impl<P: Request> Attempt<P> {
    /// At a server that was found.
    pub(super) fn at(serving: Shared<Serving<P>>, message: P, terms: Terms) -> Self {
        Self {
            found: Some(serving),
            named: None,
            terms,
            message: Some(message),
        }
    }

    /// At whoever will be found.
    pub(super) fn by_name(
        servers: Arc<Servers<P>>,
        topic: Topic,
        message: P,
        terms: Terms,
    ) -> Self {
        Self {
            found: None,
            named: Some((servers, topic)),
            terms,
            message: Some(message),
        }
    }

    /// Asks until there is an outcome; blocks.
    pub(super) fn ask_blocking(mut self) -> Outcome<P> {
        loop {
            let outcome = match self.look()? {
                Look::Server(serving) => {
                    let outcome = self.request(&serving).wait();
                    self.settle(&serving, outcome)
                }
                Look::Nobody(comes, clock) => {
                    let came = clock.block_on(comes, self.terms.deadline).is_some();
                    self.go_on_if(came)
                }
            };
            if let ControlFlow::Break(outcome) = outcome {
                return outcome;
            }
        }
    }

    /// Asks until there is an outcome.
    pub(super) async fn ask(mut self) -> Outcome<P> {
        loop {
            let outcome = match self.look()? {
                Look::Server(serving) => {
                    let outcome = self.request(&serving).await;
                    self.settle(&serving, outcome)
                }
                Look::Nobody(comes, clock) => {
                    let came = in_time(comes, self.terms.deadline, &clock).await;
                    self.go_on_if(came)
                }
            };
            if let ControlFlow::Break(outcome) = outcome {
                return outcome;
            }
        }
    }

    /// The server to ask, if it was found and lets every request in at once.
    pub(super) fn take_unbounded(&mut self) -> Option<Shared<Serving<P>>> {
        self.found
            .take_if(|found| !found.has_left() && found.client.capacity().is_none())
    }

    fn look(&mut self) -> Result<Look<P>, RequestError<P>> {
        if let Some(serving) = self.found.take() {
            if !serving.has_left() {
                return Ok(Look::Server(serving));
            }
            self.named = serving.name();
        }
        let Some((servers, topic)) = &self.named else {
            // The router is gone.
            return Err(RequestError::NotMade(self.take_message(), Error::Closed));
        };
        if let Some(serving) = servers.find(topic.as_str()) {
            return Ok(Look::Server(serving));
        }
        // Who comes from now on is noticed.
        let comes = Signal::listen(Arc::clone(&servers.came));
        if let Some(serving) = servers.find(topic.as_str()) {
            return Ok(Look::Server(serving));
        }
        if servers.is_closed() {
            return Err(RequestError::NotMade(self.take_message(), Error::Closed));
        }
        if !self.terms.waits {
            return Err(RequestError::NoServer(self.take_message()));
        }
        Ok(Look::Nobody(comes, servers.clock().clone()))
    }

    pub(super) fn request<'a>(
        &mut self,
        serving: &'a Serving<P>,
    ) -> ump::Request<'a, Call<P>, P::Reply, P::Error> {
        let call = Call {
            topic: serving.topic.clone(),
            message: self.take_message(),
        };
        let mut request = serving.client.request_from(call, self.terms.caller);
        if let Some(deadline) = self.terms.deadline {
            request = request.deadline(deadline);
        }
        if self.terms.is_urgent {
            request = request.urgent();
        }
        if self.terms.if_room {
            request = request.if_room();
        }
        request
    }

    pub(super) fn settle(
        &mut self,
        serving: &Shared<Serving<P>>,
        outcome: Result<P::Reply, ump::RequestError<Call<P>, P::Error>>,
    ) -> ControlFlow<Outcome<P>> {
        let error = match outcome {
            Ok(reply) => return ControlFlow::Break(Ok(reply)),
            Err(error) => error.map_message(Call::into_message),
        };
        let ump::RequestError::ServerDisappeared(message) = error else {
            return ControlFlow::Break(Err(RequestError::Ended(error)));
        };
        let name = serving.name();
        let is_followed = name.as_ref().is_some_and(|(servers, topic)| {
            servers.retire(serving);
            match servers.find(topic.as_str()) {
                Some(next) => !Shared::ptr_eq(&next, serving),
                None => self.terms.waits,
            }
        });
        if is_followed {
            self.named = name;
            self.message = Some(message);
            return ControlFlow::Continue(());
        }
        let error = ump::RequestError::ServerDisappeared(message);
        ControlFlow::Break(Err(RequestError::Ended(error)))
    }

    fn go_on_if(&mut self, came: bool) -> ControlFlow<Outcome<P>> {
        if came {
            return ControlFlow::Continue(());
        }
        ControlFlow::Break(Err(RequestError::NoServer(self.take_message())))
    }

    fn take_message(&mut self) -> P {
        self.message.take().expect("no server has it")
    }
}
