//! Room for the next message: it is reserved when an adapter is polled for readiness, and used by
//! the request that follows.
//!
//! ```text
//!              poll_ready                      request
//!      None ──────────────▶ Waiting                │
//!       ▲ │                    │                   ▼
//!       │ └──────────┬─────────┘      Reserved: never waits for room
//!       │            ▼                Failed:   ends at once, in this error
//!       │   Reserved or Failed        None:     waits for room like a plain request
//!       └────────────┘ request, release
//! ```
//!
//! Readiness fails for good only if the server is gone. tower closes what stands before a service
//! whose `poll_ready` failed, so all other causes (a deadline, a deadlock) wait for the next
//! request and end that one.

use std::{
    fmt,
    future::{Future, IntoFuture},
    mem,
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use ump::{Client, Permit, Request, ReserveFuture, SendError};

/// A client, the options of its requests, and the room for the next one.
pub(crate) struct Admission<S: 'static, R: 'static, E: 'static> {
    client: Arc<Client<S, R, E>>,
    pub(crate) options: Options,
    room: Room<S, R, E>,
}

/// The options of the requests of an adapter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// The time-out of each request. If it is `None`, the client's default applies.
    pub(crate) timeout: Option<Duration>,
    pub(crate) urgent: bool,
    /// Whether a full queue ends a request instead of delaying it.
    pub(crate) shed: bool,
    /// Whether the requests are posts.
    post: bool,
    /// Where the adapter was made: the middleware that calls it says less.
    caller: &'static Location<'static>,
}

enum Room<S: 'static, R: 'static, E: 'static> {
    None,
    Waiting(ReserveFuture<'static, S, R, E>),
    Reserved(Permit<'static, S, R, E>),
    Failed(SendError<()>),
}

impl<S: 'static, R: 'static, E: 'static> Admission<S, R, E> {
    #[track_caller]
    pub(crate) fn new(client: Arc<Client<S, R, E>>, post: bool) -> Self {
        Self {
            client,
            options: Options {
                timeout: None,
                urgent: false,
                shed: false,
                post,
                caller: Location::caller(),
            },
            room: Room::None,
        }
    }

    pub(crate) fn client(&self) -> &Client<S, R, E> {
        &self.client
    }

    /// Becomes ready when the next request needs no further wait for room.
    ///
    /// The only error is [`SendError::ServerDisappeared`].
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError<()>>> {
        if self.client.is_closed() {
            self.room = Room::None;
            return Poll::Ready(Err(SendError::ServerDisappeared(())));
        }
        if self.options.shed || self.client.capacity().is_none() {
            return Poll::Ready(Ok(()));
        }
        if matches!(self.room, Room::None) {
            self.room = Room::Waiting(self.reserve());
        }
        let Room::Waiting(waiting) = &mut self.room else {
            return Poll::Ready(Ok(()));
        };
        let reserved = ready!(Pin::new(waiting).poll(cx));
        self.room = match reserved {
            Ok(permit) => Room::Reserved(permit),
            Err(gone @ SendError::ServerDisappeared(())) => {
                self.room = Room::None;
                return Poll::Ready(Err(gone));
            }
            Err(error) => Room::Failed(error),
        };
        Poll::Ready(Ok(()))
    }

    fn reserve(&self) -> ReserveFuture<'static, S, R, E> {
        let mut reserve = Client::reserve_owned(Arc::clone(&self.client));
        if self.options.urgent {
            reserve = reserve.urgent();
        }
        match self.options.timeout {
            Some(timeout) => reserve = reserve.timeout(timeout),
            // The client's default time-out does not apply to posts.
            None if self.options.post => reserve = reserve.timeout(Duration::MAX),
            None => {}
        }
        reserve.into_future()
    }

    /// Gives reserved room back, or leaves the wait for it.
    pub(crate) fn release(&mut self) {
        self.room = Room::None;
    }

    /// Makes the next request. It uses the reserved room. If there is none, it waits for room like
    /// a plain request, or fails with [`SendError::Full`] if requests are shed.
    ///
    /// The error is that of the last wait for room, with the message.
    pub(crate) fn request(
        &mut self,
        message: S,
    ) -> Result<Request<'static, S, R, E>, (S, SendError<()>)> {
        let mut request = match mem::replace(&mut self.room, Room::None) {
            Room::Failed(error) => return Err((message, error)),
            Room::Reserved(permit) => permit.request(message),
            Room::None | Room::Waiting(_) => {
                Client::request_owned(Arc::clone(&self.client), message)
            }
        };
        let options = self.options;
        request = request.on_behalf_of(options.caller);
        if options.urgent {
            request = request.urgent();
        }
        if options.shed {
            request = request.if_room();
        }
        if let Some(timeout) = options.timeout {
            request = request.timeout(timeout);
        }
        Ok(request)
    }
}

/// A clone has no room of its own, and is not ready.
impl<S: 'static, R: 'static, E: 'static> Clone for Admission<S, R, E> {
    fn clone(&self) -> Self {
        Self {
            client: Arc::clone(&self.client),
            options: self.options,
            room: Room::None,
        }
    }
}

impl<S: 'static, R: 'static, E: 'static> fmt::Debug for Admission<S, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let room = match self.room {
            Room::None => "none",
            Room::Waiting(_) => "waiting",
            Room::Reserved(_) => "reserved",
            Room::Failed(_) => "failed",
        };
        let Options {
            timeout,
            urgent,
            shed,
            ..
        } = self.options;
        f.debug_struct("Admission")
            .field("timeout", &timeout)
            .field("urgent", &urgent)
            .field("shed", &shed)
            .field("room", &format_args!("{room}"))
            .finish_non_exhaustive()
    }
}
