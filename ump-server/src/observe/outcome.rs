//! How a call for a request ended, as far as the loop knows.

/// The column of the books to which the call adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    any(not(feature = "tokio"), loom, shuttle),
    expect(dead_code, reason = "only a task can be aborted")
)]
pub(crate) enum CallOutcome {
    Replied,
    /// With the application's own error.
    Failed,
    /// The handler let go of it.
    NoReply,
    Panicked,
    /// The handler took the duty along, to answer elsewhere.
    Detached,
    /// There was nobody to take the answer.
    CallerGone,
    /// The handler was not allowed to finish, as its loop was told to abort it.
    Aborted,
    /// The handler was not allowed to finish, as it took longer than its loop allows.
    TimedOut,
}

#[cfg(any(feature = "tracing", feature = "metrics"))]
impl CallOutcome {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Replied => "replied",
            Self::Failed => "failed",
            Self::NoReply => "no_reply",
            Self::Panicked => "panicked",
            Self::Detached => "detached",
            Self::CallerGone => "caller_gone",
            Self::Aborted => "aborted",
            Self::TimedOut => "timed_out",
        }
    }
}
