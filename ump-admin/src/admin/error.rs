//! The reasons why it does not listen.

use std::io;

use crate::{admin::Admin, serve::AddressError};

/// The reason why the admin surface does not listen. From [`Admin::listen`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The text is not an address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Other hosts could connect, and there is no token.
    #[error("other hosts can connect to {0}: listen on a loopback address, or set a token")]
    NeedsToken(String),
    /// The token is too short, or has other characters than visible ASCII.
    #[error(
        "a token has at least {} bytes, all of them visible ASCII characters",
        Admin::MIN_TOKEN
    )]
    Token,
    /// The address is in use, or the system refused it.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: String,
        /// The reason.
        source: io::Error,
    },
    /// systemd has asked to be told of the program's state, and cannot be.
    #[error("cannot send to the socket of systemd, whose path is in NOTIFY_SOCKET")]
    Systemd(#[source] io::Error),
    /// The thread, or its runtime, could not be started.
    #[error("cannot start the thread of the admin surface")]
    Start(#[source] io::Error),
}
