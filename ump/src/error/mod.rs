//! The errors of the channel.
//!
//! Plain calls return [`Error`]. Requests made through [`Client::request`](crate::Client::request)
//! return [`RequestError`](crate::RequestError) and [`SendError`]: these errors carry more details,
//! and the message if it was not executed.

#![forbid(unsafe_code)]

pub(crate) mod cycle;
pub(crate) mod os_error;
pub(crate) mod panic;
pub(crate) mod request_error;
pub(crate) mod send_error;

use std::{cell::RefCell, error::Error as StdError, fmt};

use self::panic::PanicMessage;

/// The reason why a request has no reply, or why a call on an end of the channel failed.
///
/// A server that never refuses a request uses [`Infallible`](std::convert::Infallible) for `E`.
/// That type has no value, so callers of the server need no arm for [`App`](Self::App).
/// ([`map_app`](Self::map_app) converts such an error into an error of another channel:
/// `error.map_app(|never| match never {})`.)
///
/// ```
/// use std::convert::Infallible;
/// use ump::{Client, Error};
///
/// fn ask(client: &Client<u32, u32, Infallible>) -> Option<u32> {
///     match client.req(1) {
///         Ok(reply) => Some(reply),
///         Err(Error::NoReply | Error::ServerDisappeared) => None,
///         Err(Error::OriginDisappeared | Error::ClientsDisappeared) => unreachable!("these are for servers"),
///     }
/// }
/// # let (server, client) = ump::channel();
/// # drop(server);
/// # assert_eq!(ask(&client), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Error<E> {
    /// The server is gone or [closed](crate::Server::close), and did not take the request, which
    /// was not executed.
    ServerDisappeared,
    /// No caller waits for this reply any more.
    OriginDisappeared,
    /// The queue is empty, and there will never be another request: no client is left, or the
    /// server was [closed](crate::Server::close).
    ClientsDisappeared,
    /// A handler took the request and ended it without an answer: it dropped the reply context,
    /// panicked, or was not allowed to finish. A request made through
    /// [`Client::request`](crate::Client::request) returns an error that tells these causes apart.
    ///
    /// As the published crate has no other variant for them, this one also stands for two more
    /// causes: the caller [would have waited for itself](crate::RequestError::WouldDeadlock), or
    /// its client's [default time-out](crate::Client::with_timeout) has passed.
    NoReply,
    /// The handler refused the request, with the application's own error.
    App(E),
}

impl<E> Error<E> {
    /// Returns the application's own error, if this is one.
    pub fn into_apperr(self) -> Option<E> {
        match self {
            Self::App(error) => Some(error),
            _ => None,
        }
    }

    /// Returns the application's own error.
    ///
    /// # Panics
    /// Panics if this is not [`Error::App`].
    #[track_caller]
    pub fn unwrap_apperr(self) -> E {
        match self {
            Self::App(error) => error,
            Self::ServerDisappeared => panic!("not an application error: ServerDisappeared"),
            Self::OriginDisappeared => panic!("not an application error: OriginDisappeared"),
            Self::ClientsDisappeared => panic!("not an application error: ClientsDisappeared"),
            Self::NoReply => panic!("not an application error: NoReply"),
        }
    }

    /// Returns whether the failed request was executed. [`Executed::No`] means that it is safe to
    /// send the request again.
    #[must_use]
    pub fn executed(&self) -> Executed {
        match self {
            Self::ServerDisappeared | Self::ClientsDisappeared => Executed::No,
            Self::NoReply => Executed::Perhaps,
            Self::OriginDisappeared | Self::App(_) => Executed::Yes,
        }
    }

    /// Converts the application error. `error.map_app(|()| Refused)` makes an `Error<()>`
    /// printable.
    pub fn map_app<F>(self, f: impl FnOnce(E) -> F) -> Error<F> {
        match self {
            Self::App(error) => Error::App(f(error)),
            Self::ServerDisappeared => Error::ServerDisappeared,
            Self::OriginDisappeared => Error::OriginDisappeared,
            Self::ClientsDisappeared => Error::ClientsDisappeared,
            Self::NoReply => Error::NoReply,
        }
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServerDisappeared => f.write_str(SERVER_DISAPPEARED),
            Self::OriginDisappeared => f.write_str("the caller no longer waits for this reply"),
            Self::ClientsDisappeared => {
                f.write_str("the queue is empty, and no client is left or the server was closed")
            }
            Self::NoReply => f.write_str(NO_REPLY),
            Self::App(error) => write!(f, "the handler refused the request: {error}"),
        }
    }
}

/// The text of this error includes the text of the application error. So the source of this error
/// is the source of the application error.
impl<E: StdError> StdError for Error<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::App(error) => error.source(),
            _ => None,
        }
    }
}

/// Makes the error printable: `()` implements neither `Display` nor `Error`, and [`Refused`]
/// implements both.
impl From<Error<()>> for Error<Refused> {
    fn from(error: Error<()>) -> Self {
        error.map_app(|()| Refused)
    }
}

/// A stand-in for `()` where an application error has to be printed or be an `std::error::Error`.
///
/// Rust does not let `Error<()>` implement `Display` beside `Error<E>` for every `E: Display`: the
/// standard library might implement `Display` for `()` one day. So a channel whose `E` is `()`
/// either uses this type instead, or converts its errors:
///
/// ```
/// use ump::{Error, Refused};
///
/// fn ask(client: &ump::Client<u8, u8, ()>) -> Result<u8, Box<dyn std::error::Error>> {
///     Ok(client.req(1).map_err(Error::<Refused>::from)?)
/// }
/// # let (server, client) = ump::channel();
/// # drop(server);
/// # assert_eq!(ask(&client).unwrap_err().to_string(), "the server disappeared before it took the request");
/// # assert_eq!(Error::<Refused>::from(Error::App(())).to_string(), "the handler refused the request: no reason given");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no reason given")
    }
}

impl StdError for Refused {}

/// Whether a request was executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Executed {
    /// The request was not executed, and never will be: it is safe to send it again.
    No,
    /// A handler had the request; it is not known what the handler did with it.
    Perhaps,
    /// The handler answered the request. If the answer is an application error, the application
    /// defines what that means.
    Yes,
}

/// Writes `no`, `perhaps` or `yes`.
impl fmt::Display for Executed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::No => "no",
            Self::Perhaps => "perhaps",
            Self::Yes => "yes",
        })
    }
}

/// The way in which a handler ended a request without an answer.
///
/// The handler itself causes the first two. The others come from a loop that drops the future of a
/// handler's call within a [`scope`](Self::scope).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum NoReply {
    /// The handler dropped the reply context.
    Dropped,
    /// The handler panicked. The reply context was dropped while its thread was unwinding, or the
    /// code that caught the panic [reported it](crate::ReplyContext::panicked).
    Panicked(PanicMessage),
    /// The handler was not allowed to finish: its loop was asked to abort the requests in hand, or
    /// the loop's runtime was shut down.
    Aborted,
    /// The handler took longer than its loop allows for one request, and was not allowed to finish.
    ///
    /// This is a limit of the server. If a deadline of the caller passes, the outcome is
    /// [`RequestError::TimeoutTaken`](crate::RequestError::TimeoutTaken).
    TimedOut,
    /// The handler answered with a reply or an error that belongs to another message, so the
    /// caller of a [typed request](crate::Typed) cannot use it. The answer was dropped; the channel
    /// counts it as an answer.
    Mismatched,
}

impl NoReply {
    /// Runs `f`. Each reply context that `f` drops on this thread ends with this reason instead of
    /// [`Dropped`](Self::Dropped).
    ///
    /// For loops that drop the future of a handler's call. A context that is dropped while the
    /// thread unwinds still ends as panicked.
    ///
    /// ```
    /// use ump::{NoReply, RequestError};
    ///
    /// let (server, client) = ump::channel::<u32, u32, ()>();
    /// let reply = client.request(1).submit().wait().unwrap();
    /// let (_, rctx) = server.wait().unwrap();
    /// let call = async move { drop(rctx) };
    /// NoReply::Aborted.scope(|| drop(call));
    /// assert_eq!(reply.wait(), Err(RequestError::NoReply(NoReply::Aborted)));
    /// ```
    pub fn scope<T>(self, f: impl FnOnce() -> T) -> T {
        /// Restores the reason of the enclosing scope.
        struct Restore(Option<NoReply>);
        impl Drop for Restore {
            fn drop(&mut self) {
                let outer = self.0.take();
                let _ = REASON.try_with(|reason| reason.replace(outer));
            }
        }
        let _restore = Restore(REASON.with(|reason| reason.replace(Some(self))));
        f()
    }

    /// Returns the reason for a context that is dropped now on this thread.
    pub(crate) fn of_drop() -> Self {
        // At the end of a thread, when its thread-locals are gone, there is no scope.
        let reason = REASON.try_with(|reason| reason.borrow().clone());
        reason.ok().flatten().unwrap_or(Self::Dropped)
    }
}

thread_local! {
    static REASON: RefCell<Option<NoReply>> = const { RefCell::new(None) };
}

impl fmt::Display for NoReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dropped => f.write_str("the handler dropped the request"),
            Self::Aborted => f.write_str("the handler was aborted"),
            Self::TimedOut => f.write_str("the handler took longer than its server allows"),
            Self::Mismatched => f.write_str("the handler answered another message"),
            Self::Panicked(message) => message.fmt(f),
        }
    }
}

const NO_REPLY: &str = "no reply: the handler dropped the request, panicked or was not allowed to finish, the client's default time-out passed, or the caller would have waited for itself";

const SERVER_DISAPPEARED: &str = "the server disappeared before it took the request";

const TIMEOUT_QUEUED: &str =
    "the deadline passed before the request was taken; it will not be executed";
const WOULD_DEADLOCK: &str = "the caller would wait for itself; the request will not be executed";

const FULL: &str = "the queue is full";

const NO_TIMER: &str = "the timer thread could not be started";

/// The error of a bounded channel with a capacity of zero, in which no request could ever be
/// queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct ZeroCapacity;

impl fmt::Display for ZeroCapacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a bounded channel needs a capacity of at least one")
    }
}

impl StdError for ZeroCapacity {}
