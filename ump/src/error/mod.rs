//! What can go wrong, told to the one who can do something about it.
//!
//! [`Error`] is what the plain calls return. [`RequestError`] and [`SendError`] belong to requests made through
//! [`Client::request`](crate::Client::request): they can say more, and hand the message back when it was not executed.

#![forbid(unsafe_code)]

pub(crate) mod os_error;
pub(crate) mod panic;

use std::{cell::RefCell, error::Error as StdError, fmt};

use crate::hooks::Cycle;

use self::{os_error::OsError, panic::PanicMessage};

/// Why a request has no reply, or a call on an end-point failed.
///
/// A server that never refuses a request has [`Infallible`](std::convert::Infallible) for `E`: there is no such value, so its callers need no arm for
/// [`App`](Self::App). ([`map_app`](Self::map_app) makes it an error of another channel: `error.map_app(|never| match never {})`.)
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
    /// The server went, or was [closed](crate::Server::close), before it took the request, which was not executed.
    ServerDisappeared,
    /// Nobody waits for this reply any more.
    OriginDisappeared,
    /// The queue is empty and there will never be another request: no client is left, or the server was
    /// [closed](crate::Server::close).
    ClientsDisappeared,
    /// A handler took the request and let go of it without an answer: it dropped the reply context, or it panicked.
    /// A request made through [`Client::request`](crate::Client::request) learns which of the two. Also for want of a better one, as this is
    /// that of the published crate: the caller [would have waited for itself](RequestError::WouldDeadlock), or its client's
    /// [default time-out](crate::Client::with_timeout) has passed.
    NoReply,
    /// The handler refused the request, with the application's own error.
    App(E),
}

impl<E> Error<E> {
    /// The application's own error, if it is one.
    pub fn into_apperr(self) -> Option<E> {
        match self {
            Self::App(error) => Some(error),
            _ => None,
        }
    }

    /// The application's own error.
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

    /// Whether the request that failed so was executed. `No` means that it can safely be made again.
    #[must_use]
    pub fn executed(&self) -> Executed {
        match self {
            Self::ServerDisappeared | Self::ClientsDisappeared => Executed::No,
            Self::NoReply => Executed::Perhaps,
            Self::OriginDisappeared | Self::App(_) => Executed::Yes,
        }
    }

    /// The same with another application error. `error.map_app(|()| Refused)` makes an `Error<()>` printable.
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

/// The text of the application's error is part of the text of this one, so the source is the source of that.
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
/// Rust does not let `Error<()>` implement `Display` beside `Error<E>` for every `E: Display`: the standard library might
/// give `()` a `Display` one day. So a channel whose `E` is `()` either uses this type instead, or converts:
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
    /// The handler answered it. What an application's own error says about that is the application's.
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
/// The first two are the handler's own doing. The others come from a loop that drops the future of a handler's call, which
/// [says so](Self::scope) meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum NoReply {
    /// It dropped the reply context.
    Dropped,
    /// It panicked: the reply context was dropped while its thread was unwinding, or whoever caught the panic
    /// [said so](crate::ReplyContext::panicked).
    Panicked(PanicMessage),
    /// It was not allowed to finish: its loop was told to abort what is in hand, or the loop's runtime was shut down.
    Aborted,
    /// It took longer than its loop allows for one request, and was not allowed to finish. That is the server's limit; a deadline of the caller is
    /// [`RequestError::TimeoutTaken`].
    TimedOut,
}

impl NoReply {
    /// Runs `f`. Each reply context that is dropped in it on this thread ends with this reason instead of [`Dropped`](Self::Dropped).
    ///
    /// For loops that drop the future of a handler's call. A context that is dropped while the thread unwinds ends as panicked all the same.
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

/// Why a request made through [`Client::request`](crate::Client::request) has no reply. What was not executed comes back.
///
/// The message is in the way where an error is passed on: `anyhow` and `eyre` want one that is `Send`, `Sync` and `'static`.
/// [`without_message`](Self::without_message) leaves one that is, whatever the message, and [`split`](Self::split) keeps the message beside it.
#[derive(Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum RequestError<S, E> {
    /// The handler refused the request, with the application's own error.
    App(E),
    /// A handler took the request and let go of it without an answer.
    NoReply(NoReply),
    /// The server went, or was [closed](crate::Server::close), before it took the request.
    ServerDisappeared(S),
    /// The deadline passed before a handler took the request, which will never be executed.
    TimeoutQueued(S),
    /// The deadline passed while a handler held the request. The handler can see that nobody waits.
    TimeoutTaken,
    /// The caller would have waited for itself, by the cycle of servers that is told. The request was not taken and will never be
    /// executed. Only in loops that [watch](crate::hooks), blocking or awaited.
    WouldDeadlock(S, Cycle),
    /// The same, while a handler held the request. The handler can see that nobody waits.
    WouldDeadlockTaken(Cycle),
    /// The queue was full, and the request was not to wait for room.
    Full(S),
    /// The deadline of an awaited request needs the process's timer thread, and the system refused to start it.
    NoTimer(S, OsError),
}

impl<S, E> RequestError<S, E> {
    /// Whether the request was executed. `No` comes with the message: it is safe to make the request again.
    #[must_use]
    pub fn executed(&self) -> Executed {
        match self {
            Self::App(_) => Executed::Yes,
            Self::NoReply(_) | Self::TimeoutTaken | Self::WouldDeadlockTaken(_) => {
                Executed::Perhaps
            }
            Self::ServerDisappeared(_)
            | Self::TimeoutQueued(_)
            | Self::WouldDeadlock(..)
            | Self::Full(_)
            | Self::NoTimer(..) => Executed::No,
        }
    }

    /// Whether the deadline passed, wherever the request was.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::TimeoutQueued(_) | Self::TimeoutTaken)
    }

    /// The servers that would have waited for each other, if that is why.
    #[must_use]
    pub fn cycle(&self) -> Option<&Cycle> {
        match self {
            Self::WouldDeadlock(_, cycle) | Self::WouldDeadlockTaken(cycle) => Some(cycle),
            _ => None,
        }
    }

    /// The message, if it was not handed to a handler.
    pub fn into_message(self) -> Option<S> {
        match self {
            Self::ServerDisappeared(message)
            | Self::TimeoutQueued(message)
            | Self::WouldDeadlock(message, _)
            | Self::Full(message)
            | Self::NoTimer(message, _) => Some(message),
            Self::App(_) | Self::NoReply(_) | Self::TimeoutTaken | Self::WouldDeadlockTaken(_) => {
                None
            }
        }
    }

    /// The same without the message, which is dropped: `Send`, `Sync`, `'static`, `Clone` and `PartialEq` if `E` is.
    ///
    /// ```
    /// # use std::{cell::RefCell, rc::Rc};
    /// # fn ask(client: &ump::Client<Rc<RefCell<u8>>, u8, ump::Refused>) -> Result<u8, Box<dyn std::error::Error + Send + Sync>> {
    /// let reply = client
    ///     .request(Rc::new(RefCell::new(1)))
    ///     .wait()
    ///     .map_err(ump::RequestError::without_message)?; // as with anyhow and eyre
    /// # Ok(reply)
    /// # }
    /// # let (server, client) = ump::channel();
    /// # drop(server);
    /// # assert_eq!(ask(&client).unwrap_err().to_string(), "the server disappeared before it took the request");
    /// ```
    #[must_use]
    pub fn without_message(self) -> RequestError<(), E> {
        self.map_message(drop)
    }

    /// The message, if it was not handed to a handler, and the error without it.
    ///
    /// ```
    /// use ump::RequestError;
    ///
    /// let (server, client) = ump::channel::<String, (), ump::Refused>();
    /// drop(server);
    /// let error = client.request("again".to_owned()).wait().unwrap_err();
    /// let (message, error) = error.split();
    /// assert_eq!(message.as_deref(), Some("again"));
    /// assert_eq!(error, RequestError::ServerDisappeared(()));
    /// ```
    #[must_use]
    pub fn split(self) -> (Option<S>, RequestError<(), E>) {
        let mut message = None;
        let error = self.map_message(|it| message = Some(it));
        (message, error)
    }

    /// The same with another message, if it comes back. For layers over the channel, whose messages are parts of its messages.
    pub fn map_message<T>(self, f: impl FnOnce(S) -> T) -> RequestError<T, E> {
        match self {
            Self::App(error) => RequestError::App(error),
            Self::NoReply(why) => RequestError::NoReply(why),
            Self::ServerDisappeared(message) => RequestError::ServerDisappeared(f(message)),
            Self::TimeoutQueued(message) => RequestError::TimeoutQueued(f(message)),
            Self::TimeoutTaken => RequestError::TimeoutTaken,
            Self::WouldDeadlock(message, cycle) => RequestError::WouldDeadlock(f(message), cycle),
            Self::WouldDeadlockTaken(cycle) => RequestError::WouldDeadlockTaken(cycle),
            Self::Full(message) => RequestError::Full(f(message)),
            Self::NoTimer(message, refusal) => RequestError::NoTimer(f(message), refusal),
        }
    }

    /// The same with another application error.
    pub fn map_app<F>(self, f: impl FnOnce(E) -> F) -> RequestError<S, F> {
        match self {
            Self::App(error) => RequestError::App(f(error)),
            Self::NoReply(why) => RequestError::NoReply(why),
            Self::ServerDisappeared(message) => RequestError::ServerDisappeared(message),
            Self::TimeoutQueued(message) => RequestError::TimeoutQueued(message),
            Self::TimeoutTaken => RequestError::TimeoutTaken,
            Self::WouldDeadlock(message, cycle) => RequestError::WouldDeadlock(message, cycle),
            Self::WouldDeadlockTaken(cycle) => RequestError::WouldDeadlockTaken(cycle),
            Self::Full(message) => RequestError::Full(message),
            Self::NoTimer(message, refusal) => RequestError::NoTimer(message, refusal),
        }
    }

    /// The application's own error, if it is one.
    pub fn into_apperr(self) -> Option<E> {
        match self {
            Self::App(error) => Some(error),
            _ => None,
        }
    }

    fn text(&self) -> &'static str {
        match self {
            Self::App(_) => "the handler refused the request",
            Self::NoReply(_) => "no reply",
            Self::ServerDisappeared(_) => SERVER_DISAPPEARED,
            Self::TimeoutQueued(_) => TIMEOUT_QUEUED,
            Self::TimeoutTaken => {
                "the deadline passed while a handler held the request; it may have been executed"
            }
            Self::WouldDeadlock(..) => WOULD_DEADLOCK,
            Self::WouldDeadlockTaken(_) => {
                "the caller would wait for itself while a handler holds the request; it may have been executed"
            }
            Self::Full(_) => FULL,
            Self::NoTimer(..) => NO_TIMER,
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

impl<S, E: fmt::Debug> fmt::Debug for RequestError<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::App(error) => f.debug_tuple("App").field(error).finish(),
            Self::NoReply(why) => f.debug_tuple("NoReply").field(why).finish(),
            Self::ServerDisappeared(_) => f.write_str("ServerDisappeared(..)"),
            Self::TimeoutQueued(_) => f.write_str("TimeoutQueued(..)"),
            Self::TimeoutTaken => f.write_str("TimeoutTaken"),
            Self::WouldDeadlock(_, cycle) => write!(f, "WouldDeadlock(.., {cycle})"),
            Self::WouldDeadlockTaken(cycle) => write!(f, "WouldDeadlockTaken({cycle})"),
            Self::Full(_) => f.write_str("Full(..)"),
            Self::NoTimer(_, refusal) => f.debug_tuple("NoTimer").field(refusal).finish(),
        }
    }
}

impl<S, E: fmt::Display> fmt::Display for RequestError<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())?;
        match self {
            Self::App(error) => write!(f, ": {error}"),
            Self::NoReply(why) => write!(f, ": {why}"),
            Self::WouldDeadlock(_, cycle) | Self::WouldDeadlockTaken(cycle) => {
                write!(f, ": {cycle}")
            }
            Self::NoTimer(_, refusal) => write!(f, ": {refusal}"),
            _ => Ok(()),
        }
    }
}

impl<S, E: StdError> StdError for RequestError<S, E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::App(error) => error.source(),
            Self::NoTimer(_, refusal) => refusal.source(),
            _ => None,
        }
    }
}

impl<S> From<RequestError<S, ()>> for RequestError<S, Refused> {
    fn from(error: RequestError<S, ()>) -> Self {
        error.map_app(|()| Refused)
    }
}

/// Why a post or a submitted request was not accepted. It was not executed, and the message comes back.
///
/// To pass it on by `?` where the message is in the way, see [`without_message`](Self::without_message).
#[derive(Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum SendError<S> {
    /// The server is gone or [closed](crate::Server::close).
    ServerDisappeared(S),
    /// The deadline passed before there was room in the queue.
    TimeoutQueued(S),
    /// The caller would have waited for itself before there was room: see [`hooks`](crate::hooks).
    WouldDeadlock(S, Cycle),
    /// The queue was full, and the message was not to wait for room.
    Full(S),
    /// The deadline of an awaited message needs the process's timer thread, and the system refused to start it.
    NoTimer(S, OsError),
}

impl<S> SendError<S> {
    /// The message.
    pub fn into_message(self) -> S {
        match self {
            Self::ServerDisappeared(message)
            | Self::TimeoutQueued(message)
            | Self::WouldDeadlock(message, _)
            | Self::Full(message)
            | Self::NoTimer(message, _) => message,
        }
    }

    /// The same without the message, which is dropped: `Send`, `Sync`, `'static`, `Clone` and `PartialEq`.
    #[must_use]
    pub fn without_message(self) -> SendError<()> {
        self.map_message(drop)
    }

    /// The message, and the error without it.
    ///
    /// ```
    /// use ump::SendError;
    ///
    /// let (server, client) = ump::bounded::<&str, (), ()>(1).unwrap();
    /// client.post("first").wait().unwrap();
    /// let error = client.post("second").if_room().wait().unwrap_err();
    /// assert_eq!(error.split(), ("second", SendError::Full(())));
    /// # drop(server);
    /// ```
    #[must_use]
    pub fn split(self) -> (S, SendError<()>) {
        match self {
            Self::ServerDisappeared(message) => (message, SendError::ServerDisappeared(())),
            Self::TimeoutQueued(message) => (message, SendError::TimeoutQueued(())),
            Self::WouldDeadlock(message, cycle) => (message, SendError::WouldDeadlock((), cycle)),
            Self::Full(message) => (message, SendError::Full(())),
            Self::NoTimer(message, refusal) => (message, SendError::NoTimer((), refusal)),
        }
    }

    /// The same with another message. For layers over the channel, whose messages are parts of its messages.
    pub fn map_message<T>(self, f: impl FnOnce(S) -> T) -> SendError<T> {
        match self {
            Self::ServerDisappeared(message) => SendError::ServerDisappeared(f(message)),
            Self::TimeoutQueued(message) => SendError::TimeoutQueued(f(message)),
            Self::WouldDeadlock(message, cycle) => SendError::WouldDeadlock(f(message), cycle),
            Self::Full(message) => SendError::Full(f(message)),
            Self::NoTimer(message, refusal) => SendError::NoTimer(f(message), refusal),
        }
    }

    /// Always [`Executed::No`].
    #[must_use]
    pub fn executed(&self) -> Executed {
        Executed::No
    }
}

impl<S, E> From<SendError<S>> for RequestError<S, E> {
    fn from(error: SendError<S>) -> Self {
        match error {
            SendError::ServerDisappeared(message) => Self::ServerDisappeared(message),
            SendError::TimeoutQueued(message) => Self::TimeoutQueued(message),
            SendError::WouldDeadlock(message, cycle) => Self::WouldDeadlock(message, cycle),
            SendError::Full(message) => Self::Full(message),
            SendError::NoTimer(message, refusal) => Self::NoTimer(message, refusal),
        }
    }
}

impl<S> fmt::Debug for SendError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServerDisappeared(_) => f.write_str("ServerDisappeared(..)"),
            Self::TimeoutQueued(_) => f.write_str("TimeoutQueued(..)"),
            Self::WouldDeadlock(_, cycle) => write!(f, "WouldDeadlock(.., {cycle})"),
            Self::Full(_) => f.write_str("Full(..)"),
            Self::NoTimer(_, refusal) => f.debug_tuple("NoTimer").field(refusal).finish(),
        }
    }
}

impl<S> fmt::Display for SendError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServerDisappeared(_) => f.write_str(SERVER_DISAPPEARED),
            Self::TimeoutQueued(_) => f.write_str(TIMEOUT_QUEUED),
            Self::WouldDeadlock(_, cycle) => write!(f, "{WOULD_DEADLOCK}: {cycle}"),
            Self::Full(_) => f.write_str(FULL),
            Self::NoTimer(_, refusal) => write!(f, "{NO_TIMER}: {refusal}"),
        }
    }
}

impl<S> StdError for SendError<S> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::NoTimer(_, refusal) => refusal.source(),
            _ => None,
        }
    }
}

/// A bounded channel was asked for with a capacity of zero, in which no request could ever be queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct ZeroCapacity;

impl fmt::Display for ZeroCapacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a bounded channel needs a capacity of at least one")
    }
}

impl StdError for ZeroCapacity {}
