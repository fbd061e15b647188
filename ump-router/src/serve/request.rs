//! A request by name: how, and what came of it.
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

use std::{
    fmt,
    future::{Future, IntoFuture},
    ops::ControlFlow,
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use ump::Clock;

use super::{call::Call, servers::Servers, serving::Serving};
use crate::{
    error::{Error, RequestError},
    in_time::in_time,
    protocol::Request,
    protocols::Protocols,
    signal::{Listener, Signal},
    sync::Shared,
    topic::{IntoTopic, Topic},
};

/// A request that has not been made yet: say how, then wait for it or await it. From [`Router::request`](crate::Router::request).
///
/// If the server of the topic leaves before it takes the request, and another one follows it, the request goes to that one. It is never
/// executed twice.
///
/// As long as it is neither made nor dropped it keeps the channel of the server that it found from [ending](crate::Router::close).
#[must_use = "nothing is sent before it is waited for or awaited"]
pub struct RequestBuilder<P: Request> {
    target: Result<Target<P>, Error>,
    message: P,
    terms: Terms,
}

/// To whom it goes.
enum Target<P: Request> {
    /// Who serves the topic. Has it left when the request is made, the topic is looked up again.
    Server(Shared<Serving<P>>),
    /// Nobody did when the request was begun.
    Named(Arc<Servers<P>>, Topic),
}

#[derive(Clone, Copy, Debug)]
struct Terms {
    caller: &'static Location<'static>,
    deadline: Option<Instant>,
    is_urgent: bool,
    if_room: bool,
    waits: bool,
}

impl<P: Request> RequestBuilder<P> {
    pub(crate) fn new(
        protocols: &Protocols,
        topic: impl IntoTopic,
        message: P,
        caller: &'static Location<'static>,
    ) -> Self {
        Self {
            target: Target::find(protocols, topic),
            message,
            terms: Terms {
                caller,
                deadline: None,
                is_urgent: false,
                if_room: false,
                waits: false,
            },
        }
    }

    /// Ends the request when this time has passed from now; see [`ump::Request::timeout`].
    pub fn timeout(mut self, timeout: Duration) -> Self {
        if let Ok(target) = &self.target {
            self.terms.deadline = target.clock().now().checked_add(timeout);
        }
        self
    }

    /// Ends the request at an instant, by the clock of the server's channel: that of the router, unless it is a
    /// channel that was there [already](crate::Router::serve_by). See [`ump::Request::deadline`].
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.terms.deadline = Some(deadline);
        self
    }

    /// Lets it overtake normal requests; see [`ump::Request::urgent`].
    pub fn urgent(mut self) -> Self {
        self.terms.is_urgent = true;
        self
    }

    /// Does not wait for room in the server's queue; see [`ump::Request::if_room`].
    pub fn if_room(mut self) -> Self {
        self.terms.if_room = true;
        self
    }

    /// If nobody serves the topic, waits for somebody who does: until the deadline, if there is one. Otherwise that is
    /// [an error](RequestError::NoServer) at once.
    pub fn wait_for_server(mut self) -> Self {
        self.terms.waits = true;
        self
    }

    /// Makes the request and blocks until its outcome.
    ///
    /// # Errors
    /// See [`RequestError`]; what was not executed comes back in it.
    pub fn wait(self) -> Result<P::Reply, RequestError<P>> {
        let mut attempt = self.begin()?;
        loop {
            let outcome = match attempt.look()? {
                Look::Server(serving) => {
                    let outcome = attempt.request(&serving).wait();
                    attempt.settle(&serving, outcome)
                }
                Look::Nobody(comes, clock) => {
                    let came = clock.block_on(comes, attempt.terms.deadline).is_some();
                    attempt.go_on_if(came)
                }
            };
            if let ControlFlow::Break(outcome) = outcome {
                return outcome;
            }
        }
    }

    async fn reply(self) -> Result<P::Reply, RequestError<P>> {
        let mut attempt = self.begin()?;
        loop {
            let outcome = match attempt.look()? {
                Look::Server(serving) => {
                    let outcome = attempt.request(&serving).await;
                    attempt.settle(&serving, outcome)
                }
                Look::Nobody(comes, clock) => {
                    let came = in_time(comes, attempt.terms.deadline, &clock).await;
                    attempt.go_on_if(came)
                }
            };
            if let ControlFlow::Break(outcome) = outcome {
                return outcome;
            }
        }
    }

    fn begin(self) -> Result<Attempt<P>, RequestError<P>> {
        let (found, named) = match self.target {
            Ok(Target::Server(serving)) => (Some(serving), None),
            Ok(Target::Named(servers, topic)) => (None, Some((servers, topic))),
            Err(error) => return Err(RequestError::NotMade(self.message, error)),
        };
        Ok(Attempt {
            found,
            named,
            terms: self.terms,
            message: Some(self.message),
        })
    }
}

impl<P: Request> Target<P> {
    fn find(protocols: &Protocols, topic: impl IntoTopic) -> Result<Self, Error> {
        // What is served is a topic, so that its name need not be looked at.
        if let Some(serving) = protocols.server(topic.as_text()) {
            return Ok(Self::Server(serving));
        }
        let servers = protocols.servers_of()?;
        Ok(Self::Named(servers, topic.into_topic()?))
    }

    fn topic(&self) -> &Topic {
        match self {
            Self::Server(serving) => &serving.topic,
            Self::Named(_, topic) => topic,
        }
    }

    /// That by which its deadline is.
    fn clock(&self) -> &Clock {
        match self {
            Self::Server(serving) => serving.client.clock(),
            Self::Named(servers, _) => servers.clock(),
        }
    }
}

/// A request under way from one server to the next, if need be.
struct Attempt<P: Request> {
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

type Outcome<P> = Result<<P as Request>::Reply, RequestError<P>>;

impl<P: Request> Attempt<P> {
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

    fn request<'a>(
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

    fn settle(
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

/// # Cancel safety
/// Dropping the future takes the request back if its server has not taken it; otherwise the handler can see that nobody waits.
impl<P: Request> IntoFuture for RequestBuilder<P> {
    type Output = Outcome<P>;
    type IntoFuture = RequestFuture<P>;

    fn into_future(self) -> RequestFuture<P> {
        RequestFuture(Box::pin(self.reply()))
    }
}

impl<P: Request> fmt::Debug for RequestBuilder<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let topic = self.target.as_ref().map(Target::topic);
        f.debug_struct("RequestBuilder")
            .field("topic", &topic)
            .field("terms", &self.terms)
            .finish_non_exhaustive()
    }
}

/// Makes a request by name. From awaiting a [`RequestBuilder`].
#[must_use = "futures do nothing unless awaited"]
pub struct RequestFuture<P: Request>(Pin<Box<dyn Future<Output = Outcome<P>> + Send>>);

impl<P: Request> Future for RequestFuture<P> {
    type Output = Outcome<P>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl<P: Request> fmt::Debug for RequestFuture<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestFuture(..)")
    }
}
