//! The outcome of a call for a request, as far as the loop knows.

/// The outcome of a call, as a label of metrics and a field of spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    any(not(feature = "tokio"), loom, shuttle),
    expect(dead_code, reason = "only a task can be aborted")
)]
pub(crate) enum CallOutcome {
    Replied,
    /// The handler replied with the application's own error.
    Failed,
    /// The handler dropped the request.
    NoReply,
    Panicked,
    /// The handler detached the reply context, to answer elsewhere.
    Detached,
    /// The caller was gone and did not take the reply.
    CallerGone,
    /// The call was cut short because its loop was aborted.
    Aborted,
    /// The call was cut short because it took longer than its loop allows.
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
