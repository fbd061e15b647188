//! What can go wrong, told to the one who can do something about it.
//!
//! [`Error`] is what the plain calls return. [`RequestError`](crate::RequestError) and
//! [`SendError`] belong to requests made through [`Client::request`](crate::Client::request): they
//! can say more, and hand the message back when it was not executed.

#![forbid(unsafe_code)]

pub(crate) mod cycle;
pub(crate) mod os_error;
pub(crate) mod panic;
pub(crate) mod request_error;
pub(crate) mod send_error;

use std::{cell::RefCell, error::Error as StdError, fmt};

use self::panic::PanicMessage;

/// Why a request has no reply, or a call on an end-point failed.
///
/// A server that never refuses a request has [`Infallible`](std::convert::Infallible) for `E`:
/// there is no such value, so its callers need no arm for [`App`](Self::App).
/// ([`map_app`](Self::map_app) makes it an error of another channel: `error.map_app(|never| match
/// never {})`.)
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
    /// The server went, or was [closed](crate::Server::close), before it took the request, which
    /// was not executed.
    ServerDisappeared,
    /// Nobody waits for this reply any more.
    OriginDisappeared,
    /// The queue is empty and there will never be another request: no client is left, or the server
    /// was [closed](crate::Server::close).
    ClientsDisappeared,
    /// A handler took the request and let go of it without an answer: it dropped the reply context,
    /// or it panicked. A request made through [`Client::request`](crate::Client::request) learns
    /// which of the two. Also for want of a better one, as this is that of the published crate: the
    /// caller [would have waited for itself](crate::RequestError::WouldDeadlock), or its client's
    /// [default time-out](crate::Client::with_timeout) has passed.
    NoReply,
    /// The handler refused the request, with the application's own error.
    App(E),
}

impl<E> Error<E> {
    /// Returns the application's own error, if it is one.
    pub fn into_apperr(self) -> Option<E> {
        match self {
            Self::App(error) => Some(error),
            _ => None,
        }
    }

    /// Returns the application's own error.
    ///
    /// # Panics
    /// If it is not [`Error::App`].
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

    /// Returns whether the request that failed so was executed. `No` means that it can safely be
    /// made again.
    #[must_use]
    pub fn executed(&self) -> Executed {
        match self {
            Self::ServerDisappeared | Self::ClientsDisappeared => Executed::No,
            Self::NoReply => Executed::Perhaps,
            Self::OriginDisappeared | Self::App(_) => Executed::Yes,
        }
    }

    /// The same with another application error. `error.map_app(|()| Refused)` makes an `Error<()>`
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
            Self::OriginDisappeared => f.write_str("nobody waits for this reply any more"),
            Self::ClientsDisappeared => {
                f.write_str("the queue is empty, and no client is left or the server was closed")
            }
            Self::NoReply => f.write_str(NO_REPLY),
            Self::App(error) => write!(f, "the handler refused the request: {error}"),
        }
    }
}

/// The text of the application's error is part of the text of this one, so the source is the source
/// of that.
impl<E: StdError> StdError for Error<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::App(error) => error.source(),
            _ => None,
        }
    }
}

/// `()` has no text of its own and is no error; in an `Error<Refused>` it is both.
impl From<Error<()>> for Error<Refused> {
    fn from(error: Error<()>) -> Self {
        error.map_app(|()| Refused)
    }
}

/// Stands for `()` where an application error has to be printed or be an `std::error::Error`.
///
/// Rust does not let `Error<()>` implement `Display` beside `Error<E>` for every `E: Display`: the
/// standard library might give `()` a `Display` one day. So a channel whose `E` is `()` either uses
/// this type instead, or converts:
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
    /// It was not, and never will be: it is safe to make it again.
    No,
    /// A handler had it; what it did of it is not known.
    Perhaps,
    /// The handler answered it. What an application's own error says about that is the
    /// application's.
    Yes,
}

/// `no`, `perhaps` or `yes`.
impl fmt::Display for Executed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::No => "no",
            Self::Perhaps => "perhaps",
            Self::Yes => "yes",
        })
    }
}

/// How a handler let go of a request.
///
/// The first two are the handler's own doing. The others come from a loop that drops the future of
/// a handler's call, which [says so](Self::scope) meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum NoReply {
    /// It dropped the reply context.
    Dropped,
    /// It panicked: the reply context was dropped while its thread was unwinding, or whoever caught
    /// the panic [said so](crate::ReplyContext::panicked).
    Panicked(PanicMessage),
    /// It was not allowed to finish: its loop was told to abort what is in hand, or the loop's
    /// runtime was shut down.
    Aborted,
    /// It took longer than its loop allows for one request, and was not allowed to finish. That is
    /// the server's limit; a deadline of the caller is
    /// [`RequestError::TimeoutTaken`](crate::RequestError::TimeoutTaken).
    TimedOut,
}

impl NoReply {
    /// Runs `f`. Each reply context that is dropped in it on this thread ends with this reason
    /// instead of [`Dropped`](Self::Dropped).
    ///
    /// For loops that drop the future of a handler's call. A context that is dropped while the
    /// thread unwinds ends as panicked all the same.
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
        /// Restores the reason of the scope around this one.
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

    /// Why a context that is dropped now on this thread has no answer.
    pub(crate) fn of_drop() -> Self {
        // Without thread-locals, at the thread's end, there is no scope.
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

/// A bounded channel was asked for with a capacity of zero, in which no request could ever be
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
