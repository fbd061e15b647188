//! A client of one server of a topic, for requests that keep their order.
//!
//! # Why the router does not keep the order by itself
//!
//! A request that comes back from a server is in the hands of its caller: in its future, or on the
//! stack of its thread. So it can only go on when its caller runs. To keep the order of requests
//! that are under way at the same time, a later one would have to wait for an earlier one whose
//! caller does not run, perhaps because it waits for the later one. And the router cannot move a
//! request out of the queue of a server by taking it, because a request that was taken is not
//! revoked any more: its caller would not know whether it was executed.
//!
//! # Invariant
//!
//! Of the requests of one pinned client, no one is taken that was sent after one had come back
//! because the server has left. `Serving::has_left`, the claim in the table and the end of the
//! channel never change back. A request comes back after one of them has changed; what is sent
//! after that, in the sense of happens-before, finds it changed.

use std::{
    fmt,
    panic::Location,
    sync::{Arc, Weak},
};

use ump::Ask;

use super::{request::Request, servers::Servers, target::Target, typed::Typed};
use crate::{
    claims::ClaimId,
    error::Error,
    protocol::RequestMessage,
    topic::{Pattern, Topic, full_name::check_written},
};

/// A client of one server: of the one that a topic had when the client was made. From
/// [`Router::pin`](crate::Router::pin) and [`TopicClient::pin`](crate::TopicClient::pin).
///
/// A [request by topic](crate::Router::request) goes to the next server if its server leaves before
/// it takes the request, each by itself, so that requests which are under way at the same time can
/// change places. The requests of this client are for one server: it takes them in order, or they
/// come back, and the caller makes them again in its order.
///
/// # Order
/// It holds for all clones, in whichever threads and tasks.
/// - The server takes the requests of a lane in the order in which they entered its queue. One that
///   [waits for room](ump::Request) enters when it has room.
/// - If the server leaves, those that it has not taken come back, each with its message:
///   [`Ended(ServerDisappeared(message))`](ump::RequestError::ServerDisappeared). Once one has come
///   back, so does each that is sent later, at once. So what comes back is the last part of what
///   was sent.
/// - A server whose claim was [closed](crate::CloseHandle) serves its queue still. A new client is
///   for its successor then; the requests of both can be executed at the same time. Wait for those
///   of the old one first, if that matters.
///
/// ```
/// # use std::{future::{Future, IntoFuture}, pin::Pin, task::{Context, Waker}, thread};
/// # use ump_router::{RequestError, RequestFuture, RequestMessage, Router, ServeOptions, ump};
/// # #[derive(Debug, PartialEq)]
/// # struct Step(u32);
/// # impl RequestMessage for Step {
/// #     type Reply = ();
/// #     type Error = ();
/// #     const PREFIX: &str = "step";
/// # }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let router = Router::new();
/// # let standby = ServeOptions::new().standby();
/// # let first = router.serve_with::<Step>("plan", standby)?;
/// # let second = router.serve_with::<Step>("plan", standby)?;
/// let client = router.pin::<Step>("plan")?.ok_or("no server")?;
/// let under_way = [1, 2].map(|n| client.request(Step(n)).into_future());
/// # let under_way = under_way.map(|mut request| {
/// #     let mut cx = Context::from_waker(Waker::noop());
/// #     assert!(Pin::new(&mut request).poll(&mut cx).is_pending());
/// #     request
/// # });
/// drop(first); // it has not taken them, and a standby follows
///
/// let next = router.pin::<Step>("plan")?.ok_or("no server")?;
/// # let serving = thread::spawn(move || {
/// #     for number in 1..=2 {
/// #         let (call, rctx) = second.wait().unwrap();
/// #         assert_eq!(call.message, Step(number));
/// #         rctx.reply(()).unwrap();
/// #     }
/// # });
/// # let clock = ump::Clock::system();
/// # let block_on = |request: RequestFuture<Step>| clock.block_on(request, None).unwrap();
/// for request in under_way {
///     match block_on(request) { // or `request.await`
///         Err(RequestError::Ended(ump::RequestError::ServerDisappeared(step))) => {
///             next.request(step).wait().unwrap(); // again, in order
///         }
///         outcome => outcome.unwrap(),
///     }
/// }
/// # serving.join().unwrap();
/// # Ok(())
/// # }
/// ```
///
/// It keeps neither the router nor the server alive. Each request looks up the topic.
pub struct PinnedClient<P: RequestMessage> {
    servers: Weak<Servers<P>>,
    topic: Topic,
    id: ClaimId,
}

impl<P: RequestMessage> PinnedClient<P> {
    pub(crate) fn open(servers: &Arc<Servers<P>>, topic: Topic) -> Result<Option<Self>, Error> {
        check_written(P::PREFIX, &Pattern::from(&topic))?;
        let Some(serving) = servers.find(topic.as_str()) else {
            return if servers.is_closed() {
                Err(Error::Closed)
            } else {
                Ok(None)
            };
        };
        Ok(Some(Self {
            servers: Arc::downgrade(servers),
            topic,
            id: serving.id,
        }))
    }

    /// Makes a request to the server, when the returned value is waited for (`.wait()`) or awaited.
    ///
    /// If the server has left, or leaves before it takes the request, the request ends with
    /// [`Ended(ServerDisappeared(message))`](ump::RequestError::ServerDisappeared), also if it is
    /// to [wait for a server](Request::wait_for_server). After the router was closed it ends with
    /// [`NotMade`](crate::RequestError::NotMade).
    #[track_caller]
    pub fn request(&self, message: P) -> Request<P> {
        Request::pinned(self.target(), message, Location::caller())
    }

    /// Makes a request to the server, by a message that names its own reply. See
    /// [`request`](Self::request) and [`Router::ask`](crate::Router::ask).
    #[track_caller]
    pub fn ask<M: Ask<P, P::Reply, P::Error>>(&self, message: M) -> Typed<Request<P>, M> {
        Typed::new(self.request(message.into_request()))
    }

    /// Returns whether the server has left: it serves the topic no more.
    #[must_use]
    pub fn has_left(&self) -> bool {
        !matches!(self.target(), Target::Server(_))
    }

    /// Returns the topic, without the prefix of its type.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    fn target(&self) -> Target<P> {
        let Some(servers) = self.servers.upgrade() else {
            return Target::Invalid(Box::new(Error::Closed));
        };
        match servers.find_claim(self.topic.as_str(), self.id) {
            Some(serving) => Target::Server(serving),
            None => Target::Left(servers, self.topic.clone()),
        }
    }
}

impl<P: RequestMessage> Clone for PinnedClient<P> {
    fn clone(&self) -> Self {
        Self {
            servers: Weak::clone(&self.servers),
            topic: self.topic.clone(),
            id: self.id,
        }
    }
}

impl<P: RequestMessage> fmt::Debug for PinnedClient<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinnedClient")
            .field("topic", &self.topic)
            .field("has_left", &self.has_left())
            .finish_non_exhaustive()
    }
}
