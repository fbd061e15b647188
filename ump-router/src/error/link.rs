//! The error of a request that went over a link.

use std::{fmt, sync::Arc};

use ump::Executed;

use crate::link::wire::Failure;

/// The reason why a request that went to a router in another process has no reply. It names the
/// link.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct LinkError {
    /// The link: the address that was connected to, or that of the connection that was accepted.
    pub link: Arc<str>,
    /// What happened.
    pub failure: Failure,
    /// Whether the request was executed. If not, it can safely be made again.
    pub executed: Executed,
    /// An explanation of the other router, for people. Empty if there is none.
    pub text: String,
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            link,
            failure,
            executed,
            text,
        } = self;
        write!(f, "over the link {link}: {failure}")?;
        if !text.is_empty() {
            write!(f, " ({})", text.escape_debug())?;
        }
        write!(f, "; executed: {executed}")
    }
}

impl std::error::Error for LinkError {}
