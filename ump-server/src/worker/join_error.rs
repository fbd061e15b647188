//! The reason why joining a loop failed.

use std::{
    any::Any,
    error::Error as StdError,
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use ump::{PanicMessage, hooks::Cycle};

use crate::sync::Mutex;

/// The reason why joining a loop failed.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq, Hash)]
#[error("server {name} {}: {}", self.has_ended(), self.why())]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct JoinError {
    name: Arc<str>,
    kind: JoinErrorKind,
    #[cfg_attr(feature = "serde", serde(skip))]
    refusal: Refusal,
}

/// The kind of a [`JoinError`].
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum JoinErrorKind {
    /// The handler panicked.
    #[error("{0}")]
    Panicked(PanicMessage),
    /// The handler failed more often than its [policy](crate::Restart) allows. Contains the last
    /// failure: `Panicked`, `Refused` or `TimedOut`.
    #[error("it failed too often; the last failure: {0}")]
    GaveUp(Box<JoinErrorKind>),
    /// The factory refused to make a handler. [`JoinError::take_refusal`] returns the factory's
    /// error.
    #[error("the factory returned an error")]
    Refused,
    /// The handler took longer for a request than its
    /// [limit](crate::task::Builder::request_timeout), and the loop's policy takes that for a
    /// [failure](crate::task::OnTimeout::Fail).
    #[error("the handler took longer for a request than its time limit")]
    TimedOut,
    /// The loop has not ended, and goes on. The joining handler would wait for itself: it runs in
    /// this loop, or a worker of this loop waits for it. The cycle names the servers.
    #[error("joining it here would deadlock: {0}")]
    WouldDeadlock(Cycle),
    /// The loop was not allowed to finish: its runtime was shut down, or its `term` was
    /// [aborted](crate::Stop::Abort). Or it was not allowed to begin: the system refused its thread
    /// a priority or a CPU.
    #[error(
        "it did not finish: its runtime was shut down, its task was aborted, or the operating system refused an attribute of its thread"
    )]
    Aborted,
}

impl JoinError {
    pub(crate) fn new(name: &Arc<str>, kind: JoinErrorKind) -> Self {
        Self {
            name: Arc::clone(name),
            kind,
            refusal: Refusal::default(),
        }
    }

    /// Adds the error that a factory returned.
    pub(crate) fn with_refusal(self, refusal: Refusal) -> Self {
        Self { refusal, ..self }
    }

    /// Returns the name of the loop.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the kind of the error.
    #[must_use]
    pub fn kind(&self) -> &JoinErrorKind {
        &self.kind
    }

    /// Takes the error that the factory returned, if the loop ended because of it and if the error
    /// is an `E`.
    ///
    /// That is the case for [`Refused`](JoinErrorKind::Refused), and for
    /// [`GaveUp`](JoinErrorKind::GaveUp) with `Refused` as the last failure. The error is the
    /// application's, or the [`BoxError`](crate::system::BoxError) of a component. It can be taken
    /// once: clones share it.
    ///
    /// ```
    /// use std::{ops::ControlFlow, time::Duration};
    /// use ump_server::{Context, OnPanic, ReplyContext, Restart, thread};
    ///
    /// #[derive(Debug, PartialEq)]
    /// struct NoDevice(u8);
    ///
    /// let (client, handle) = thread::Builder::new()
    ///     .on_panic(OnPanic::Restart(Restart::new().limit(1, Duration::from_secs(60))))
    ///     .spawn_with(|cx| {
    ///         if cx.restarts() > 0 {
    ///             return Err(NoDevice(7));
    ///         }
    ///         Ok(|(): (), _: ReplyContext<'_, (), NoDevice>| -> ControlFlow<()> { panic!("unplugged") })
    ///     })
    ///     .unwrap();
    /// assert!(client.req(()).is_err());
    /// let error = handle.join().unwrap_err();
    /// assert_eq!(error.take_refusal(), Some(NoDevice(7)));
    /// ```
    #[must_use]
    pub fn take_refusal<E: 'static>(&self) -> Option<E> {
        self.refusal.take()
    }

    fn has_ended(&self) -> &'static str {
        match self.kind {
            JoinErrorKind::WouldDeadlock(_) => "has not ended",
            _ => "ended",
        }
    }

    /// Returns the text of the kind and of the factory's error.
    pub(crate) fn why(&self) -> Why<'_> {
        Why(self)
    }
}

/// The text of an error without the name of the loop.
pub(crate) struct Why<'a>(&'a JoinError);

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(JoinError { kind, refusal, .. }) = self;
        match refusal.text() {
            Some(text) => write!(f, "{kind}: {text}"),
            None => write!(f, "{kind}"),
        }
    }
}

/// The error that a factory returned. Comparisons of errors ignore it.
#[derive(Clone, Default)]
pub(crate) struct Refusal(Option<Arc<Refused>>);

struct Refused {
    /// The error's text, if its type is known to have one.
    text: Option<String>,
    error: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Refusal {
    pub(crate) fn new<X: Send + 'static>(error: X) -> Self {
        Self(Some(Arc::new(Refused {
            text: text(&error),
            error: Mutex::new(Some(Box::new(error))),
        })))
    }

    fn text(&self) -> Option<&str> {
        self.0.as_ref()?.text.as_deref()
    }

    fn take<X: 'static>(&self) -> Option<X> {
        let mut error = self.0.as_ref()?.error.lock();
        match error.take()?.downcast() {
            Ok(own) => Some(*own),
            Err(other) => {
                *error = Some(other);
                None
            }
        }
    }
}

fn text(error: &dyn Any) -> Option<String> {
    if let Some(error) = error.downcast_ref::<Box<dyn StdError + Send + Sync>>() {
        return Some(error.to_string());
    }
    let text = error.downcast_ref::<String>().cloned();
    text.or_else(|| error.downcast_ref::<&str>().map(ToString::to_string))
}

impl PartialEq for Refusal {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Refusal {}

impl Hash for Refusal {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text() {
            Some(text) => f.debug_tuple("Refusal").field(&text).finish(),
            None => f.write_str("Refusal"),
        }
    }
}
